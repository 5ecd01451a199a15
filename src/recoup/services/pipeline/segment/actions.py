"""What every call of Segment's comes to: messages become events, and the collector makes them durable."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from msgspec import Struct

from recoup.kit.clock import Clock, stopwatch
from recoup.kit.config import Secret
from recoup.kit.errors import Failure, Problem, Refused, Unauthenticated
from recoup.kit.ids import new_id
from recoup.kit.loose import Table, encode, table
from recoup.kit.peers import Peers
from recoup.kit.telemetry import logger
from recoup.messages.access import Principal
from recoup.messages.events import Event
from recoup.services.pipeline.collect.actions import Collector
from recoup.services.pipeline.collect.domain.limits import SHOP_TYPES
from recoup.services.pipeline.collect.domain.origin import PAGE, Origin
from recoup.services.pipeline.foreign.actions import collect
from recoup.services.pipeline.foreign.domain import cleaned
from recoup.services.pipeline.segment.domain.carts import settled, visitors_of
from recoup.services.pipeline.segment.domain.mapping import Call, Mapped, event_of
from recoup.services.pipeline.segment.store import VisitorCarts

log = logger(__name__)
FRESH_SECONDS: Final = 1.0
"""A revoked key may open this door for so long, as it may the others."""
_REMEMBERED: Final = 1_000


class Presented(Struct, frozen=True):
    """A key and the page it came from, for the platform to say whose it is."""

    key: str
    origin: str | None


@dataclass(slots=True)
class WriteKeys:
    """Whose a key is that came inside a body, where the gateway does not look."""

    peers: Peers
    _known: dict[Presented, tuple[float, Principal]] = field(default_factory=dict)

    async def principal(self, key: str, origin: str | None) -> Principal:
        """Who the key stands for; raises Unauthenticated, for a page the key is not for too."""
        presented = Presented(key, origin)
        known = self._known.get(presented)
        if known is not None and stopwatch() - known[0] < FRESH_SECONDS:
            return known[1]
        try:
            found = await self.peers.post("platform", "/internal/keys", presented, Principal)
        except Refused as refusal:
            self._known.pop(presented, None)
            raise Unauthenticated("this write key is not in force, or not here", code="key_invalid") from refusal
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[presented] = (stopwatch(), found)
        return found


@dataclass(frozen=True, slots=True)
class Batch:
    """What a request said, and where it came from."""

    messages: Sequence[object]
    sent_at: datetime | None = None
    context: Table | None = None
    client_ip: str | None = None
    origin: Origin = PAGE


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes calls for any store."""

    collector: Collector
    carts: VisitorCarts
    clock: Clock
    salt: Secret

    async def take(self, store_id: str, batch: Batch) -> list[Problem]:
        """Makes a batch durable; what could not be an event, by its place in the batch."""
        store = await self.collector.stores.settings(store_id)
        known = await self.collector.schemas.find(store_id)
        types = SHOP_TYPES | known.types if known is not None else SHOP_TYPES
        call = Call(
            store_id=store_id, currency=store.currency, types=types, received_at=self.clock.now(),
            request_id=new_id(), salt=self.salt, corrects_clocks=store.clock == "wall", sent_at=batch.sent_at,
            context=batch.context, client_ip=batch.client_ip,
        )  # fmt: skip
        mapped = [
            event_of(table(message), call, place) if isinstance(message, dict) else None
            for place, message in enumerate(batch.messages)
        ]
        events = iter(await self._with_carts(store_id, [each for each in mapped if each is not None]))
        parts = [
            encode(cleaned(message)) if each is None else next(events)
            for each, message in zip(mapped, batch.messages, strict=True)
        ]
        return await collect(self.collector, store_id, parts, batch.origin)

    async def _with_carts(self, store_id: str, mapped: Sequence[Mapped]) -> list[Event]:
        """Events with the carts of their visitors; without a memory each visitor has their own."""
        try:
            known = await self.carts.find(store_id, visitors_of(mapped))
        except Failure as failure:
            log.warning("carts of visitors are not known", why=failure.detail)
            return settled(mapped, {})[0]
        events, learned = settled(mapped, known)
        try:
            await self.carts.remember(store_id, learned)
        except Failure as failure:
            log.warning("carts of visitors are not remembered", why=failure.detail)
        return events
