"""Cart states and their timers in Valkey: read in one trip, written with the stream's commit, cached meanwhile.

A timer may ring too early, never too late: it is set when a cart has none and looked at again when it rings, so that a
busy cart costs one entry in half an hour and not one an event.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import msgspec

from recoup.kit.valkey import Pipeline, Valkey, translated
from recoup.messages.keys import CART_DUE, CARTS
from recoup.services.pipeline.carts.domain import CartKey, CartState, key_of

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(CartState).decode
TIMERS_AT_ONCE: Final = 2_000


@dataclass(slots=True)
class CartStore:
    """States of the carts whose partitions this process owns."""

    valkey: Valkey
    cache_size: int
    _cache: OrderedDict[CartKey, CartState] = field(default_factory=OrderedDict)
    _absent: set[CartKey] = field(default_factory=set)

    def forget(self) -> None:
        """Drops everything remembered; after another process may have changed it."""
        self._cache.clear()
        self._absent.clear()

    async def load(self, keys: Iterable[CartKey]) -> dict[CartKey, CartState]:
        """The states of these carts, as far as there are any."""
        wanted = set(keys)
        missing = [key for key in wanted if key not in self._cache and key not in self._absent]
        by_partition: dict[int, list[CartKey]] = {}
        for key in missing:
            by_partition.setdefault(key.partition, []).append(key)
        if missing:
            await self._fetch(by_partition)
        return {key: self._cache[key] for key in wanted if key in self._cache}

    async def _fetch(self, by_partition: Mapping[int, Sequence[CartKey]]) -> None:
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                for partition, keys in by_partition.items():
                    pipe.hmget(CARTS.key(partition=partition), [key.field for key in keys])
                answers = cast("list[list[bytes | None]]", await pipe.execute())
        for keys, values in zip(by_partition.values(), answers, strict=True):
            for key, value in zip(keys, values, strict=True):
                if value is None:
                    self._absent.add(key)
                else:
                    self._cache[key] = _DECODE(value)

    async def due(self, until: Mapping[tuple[int, str], int]) -> list[CartKey]:
        """Carts whose timers have rung by the time reached, given by partition and store ("" for the wall clock)."""
        if not until:
            return []
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                for (partition, store_id), now in until.items():
                    key = CART_DUE.key(partition=partition, store_id=store_id)
                    pipe.zrangebyscore(key, 0, now, start=0, num=TIMERS_AT_ONCE)
                answers = cast("list[list[bytes]]", await pipe.execute())
        return [
            key_of(partition, member.decode())
            for (partition, _), members in zip(until, answers, strict=True)
            for member in members
        ]

    def remember(self, changed: Mapping[CartKey, CartState], gone: Iterable[CartKey]) -> None:
        """Keeps what a successful commit wrote, the most recent carts first."""
        for key, state in changed.items():
            self._cache[key] = state
            self._cache.move_to_end(key)
            self._absent.discard(key)
        for key in gone:
            self._cache.pop(key, None)
        while len(self._cache) > self.cache_size:
            self._cache.popitem(last=False)
        if len(self._absent) > self.cache_size:
            self._absent.clear()


def save_carts(
    pipe: Pipeline,
    changed: Mapping[CartKey, CartState],
    timers: Mapping[CartKey, tuple[str, int]],
    gone: Mapping[CartKey, str],
) -> None:
    """Queues writes: states, timers (clock domain and deadline by cart), and carts to drop (clock domain by cart)."""
    for partition, group in _grouped(changed).items():
        pipe.hset(CARTS.key(partition=partition), mapping={key.field: _ENCODE(state) for key, state in group})
    rings: dict[str, dict[str, int]] = {}
    for key, (domain, at) in timers.items():
        rings.setdefault(CART_DUE.key(partition=key.partition, store_id=domain), {})[key.field] = at
    for name, members in rings.items():
        pipe.zadd(name, members)
    for key, domain in gone.items():
        pipe.hdel(CARTS.key(partition=key.partition), key.field)
        pipe.zrem(CART_DUE.key(partition=key.partition, store_id=domain), key.field)


def _grouped(states: Mapping[CartKey, CartState]) -> dict[int, list[tuple[CartKey, CartState]]]:
    grouped: dict[int, list[tuple[CartKey, CartState]]] = {}
    for key, state in states.items():
        grouped.setdefault(key.partition, []).append((key, state))
    return grouped
