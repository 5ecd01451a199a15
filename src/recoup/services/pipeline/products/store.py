"""Products' facts in Valkey, with the latest ones in memory: one hash a store and month, of which the last two count.

Asking never holds up a batch for longer than it may. A store that has no facts at all is asked for again only after a
while, so that shops who tell nothing pay nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, NamedTuple, cast

import msgspec

from recoup.kit.clock import milliseconds
from recoup.kit.errors import Unavailable
from recoup.kit.telemetry import logger
from recoup.kit.valkey import Pipeline, Valkey, translated
from recoup.messages.keys import PRODUCT_FACTS
from recoup.services.pipeline.products.domain import Facts, Product

log = logger(__name__)
# Another processor may have learned something: what is in memory is asked for again after so long.
_FRESH_MS: Final = 600_000
# The same for stores without any facts, and how soon after a change a product may be written again: where two of a
# shop's programs call it differently, each would take back what the other said.
_EMPTY_MS: Final = 60_000
_MONTH_MS: Final = 30 * 86_400_000
_MOST_ASKED: Final = 1_000
_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(tuple[str | None, str | None, str | None]).decode
_Answer = list[bytes | None]


class _Known(NamedTuple):
    read_at: int
    facts: Facts
    is_old: bool = False
    """It stands in the older month only, and is written again when it is next told."""
    written_at: int = 0


@dataclass(slots=True)
class Products:
    """Facts of the products that pass by."""

    valkey: Valkey
    wait_seconds: float
    most_known: int
    _known: dict[Product, _Known] = field(default_factory=dict)
    """The ones used latest come last."""
    _empty: dict[str, int] = field(default_factory=dict)
    """Stores without facts, and when that was found out (ms)."""
    _asking: asyncio.Task[None] | None = None
    _now: int = 0

    def has_facts(self, store_id: str) -> bool:
        """No where there was none of the store a moment ago."""
        return self._now - self._empty.get(store_id, -_EMPTY_MS) >= _EMPTY_MS

    async def find(self, products: Sequence[Product], now: datetime) -> dict[Product, Facts]:
        """Without those of whom there was no answer in time: the next batch will have it."""
        self._now = milliseconds(now)
        unknown = [each for each in products if self._is_asked_for(each)]
        if unknown and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask(sorted(unknown[:_MOST_ASKED]), self._now))
            await asyncio.wait({self._asking}, timeout=self.wait_seconds)
        found: dict[Product, Facts] = {}
        for product in products:
            if known := self._known.pop(product, None):
                self._known[product] = known
                found[product] = known.facts
            elif not self.has_facts(product.store_id):
                found[product] = Facts()
        return found

    def _is_asked_for(self, product: Product) -> bool:
        known = self._known.get(product)
        if known is None:
            return self.has_facts(product.store_id)
        return self._now - known.read_at > _FRESH_MS

    async def _ask(self, products: Sequence[Product], at: int) -> None:
        try:
            for store_id, group in groupby(products, lambda product: product.store_id):
                await self._read(store_id, [product.product_id for product in group], at)
        except Unavailable as failure:
            log.warning("facts of products are missing", why=failure.detail)

    async def _read(self, store_id: str, ids: Sequence[str], at: int) -> None:
        keys = [PRODUCT_FACTS.key(store_id=store_id, month=at // _MONTH_MS - back) for back in (0, 1)]
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                pipe.exists(*keys)
                for key in keys:
                    pipe.hmget(key, ids)
                there, new, old = cast("tuple[int, _Answer, _Answer]", await pipe.execute())
        if not there:
            self._empty[store_id] = at
            return
        self._empty.pop(store_id, None)
        for product_id, newer, older in zip(ids, new, old, strict=True):
            said = newer or older
            facts = Facts() if said is None else Facts(*_DECODE(said))
            before = self._known.get(Product(store_id, product_id))
            written_at = 0 if before is None else before.written_at
            self._known[Product(store_id, product_id)] = _Known(at, facts, newer is None, written_at)

    def news(self, told: Mapping[Product, Facts]) -> dict[Product, Facts]:
        """What of this has to be written."""
        return {product: facts for product, facts in told.items() if self._is_news(product, facts)}

    def _is_news(self, product: Product, facts: Facts) -> bool:
        known = self._known.get(product)
        if known is None:
            return True
        waits = self._now - known.written_at < _EMPTY_MS
        return (facts != known.facts or known.is_old) and not waits

    def save(self, pipe: Pipeline, news: Mapping[Product, Facts], now: datetime) -> None:
        """Queues facts; in memory they count when `settle` says that they were taken."""
        for store_id in {product.store_id for product in news}:
            key = PRODUCT_FACTS.key(store_id=store_id, month=milliseconds(now) // _MONTH_MS)
            for product, facts in news.items():
                if product.store_id == store_id:
                    pipe.hset(key, product.product_id, _ENCODE(facts).decode())
            pipe.expire(key, cast("timedelta", PRODUCT_FACTS.lifetime))

    def settle(self, news: Mapping[Product, Facts]) -> None:
        """After the commit took what `save` queued."""
        for product, facts in news.items():
            self._known[product] = _Known(self._now, facts, written_at=self._now)
            self._empty.pop(product.store_id, None)
        while len(self._known) > self.most_known:
            del self._known[next(iter(self._known))]

    async def close(self) -> None:
        """Waits for no answer any more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})
