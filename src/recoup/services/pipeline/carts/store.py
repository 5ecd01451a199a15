"""Cart states and their timers in Valkey, written with the stream's commit; read once, and kept in memory from then on.

A batch touches thousands of carts, and writing each one's state is what a batch would spend most on. So a commit adds
one entry a partition to a journal: states of carts that changed, times of those that merely saw activity. Every few
seconds a partition's changed carts are written down in full and its journal begins anew, in a commit like any other.
Who takes a partition over reads the states, and the journal on top.

A timer may ring too early, never too late: it is set when a cart has none and looked at again when it rings, so that a
busy cart costs one entry in half an hour and not one an event.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import msgspec
import numpy as np
from msgspec import Struct

from recoup.kit.clock import stopwatch
from recoup.kit.valkey import Pipeline, Valkey, translated
from recoup.messages.keys import CART_DUE, CART_JOURNAL, CARTS
from recoup.services.pipeline.carts.domain.cart import CartState
from recoup.services.pipeline.carts.domain.table import UNKNOWN, CartTable, Slots, Standing, key_of

TIMERS_AT_ONCE: Final = 2_000
# A journal is written down when it is this old or large: what a takeover reads on top of the states stays small.
SAVE_SECONDS: Final = 15.0
SAVE_BYTES: Final = 4_000_000


class Entry(Struct, array_like=True):
    """What one commit did to the carts of one partition, by their names."""

    changed: dict[str, CartState]
    touched: list[str]
    at: list[int]
    """When each of `touched` was last active (ms)."""
    gone: list[str]


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(CartState).decode
_DECODE_ENTRY: Final = msgspec.msgpack.Decoder(Entry).decode


def write_down(pipe: Pipeline, carts: Iterable[Standing]) -> None:
    """Queues carts for whoever takes their partitions over next."""
    states: dict[str, dict[str, bytes]] = {}
    rings: dict[str, dict[str, int]] = {}
    for cart in carts:
        partition, name, _ = cart.key
        states.setdefault(CARTS.key(partition=partition), {})[name] = _ENCODE(cart.state)
        rings.setdefault(CART_DUE.key(partition=partition, store_id=cart.domain), {})[name] = cart.state.due_at
    for key, values in states.items():
        pipe.hset(key, items=[word for pair in values.items() for word in pair])
    for key, members in rings.items():
        pipe.zadd(key, members)


@dataclass(slots=True)
class _Journal:
    """How long a partition's journal has been growing, and how large it is."""

    since: float
    size: int = 0

    @property
    def is_full(self) -> bool:
        return self.size > SAVE_BYTES or (self.size > 0 and stopwatch() - self.since > SAVE_SECONDS)


@dataclass(slots=True)
class CartStore:
    """States of the carts whose partitions this process owns."""

    valkey: Valkey
    cache_size: int
    table: CartTable = field(default_factory=CartTable)
    _journals: dict[int, _Journal] = field(default_factory=dict)
    _saving: list[int] = field(default_factory=list)

    async def take_over(self, partitions: Iterable[int]) -> None:
        """Begins anew with these partitions, after another process may have changed their carts."""
        wanted = sorted(partitions)
        self.table = CartTable()
        # Journals that began at different moments are not all written down in the same commit.
        share = SAVE_SECONDS / max(1, len(wanted))
        self._journals = {at: _Journal(stopwatch() - index * share) for index, at in enumerate(wanted)}
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                for partition in wanted:
                    pipe.lrange(CART_JOURNAL.key(partition=partition), 0, -1)
                journals = cast("list[list[bytes]]", await pipe.execute())
        for partition, journal in zip(wanted, journals, strict=True):
            await self._read(partition, journal)

    async def _read(self, partition: int, journal: Sequence[bytes]) -> None:
        changed: dict[str, CartState | None] = {}
        touched: dict[str, int] = {}
        for value in journal:
            entry = _DECODE_ENTRY(value)
            changed |= entry.changed
            changed |= dict.fromkeys(entry.gone)
            touched |= zip(entry.touched, entry.at, strict=True)
            self._journals[partition].size += len(value)
        for name, state in changed.items():
            self.table.put(key_of(partition, name), state, unsaved=state is not None)
        slots = await self.locate([(partition, name) for name in touched])
        at = np.array(list(touched.values()), dtype=np.int64)
        later = at > self.table.rows["last_at"][slots]
        later &= self.table.rows["number"][slots] > 0
        self.table.touch(slots[later], at[later])

    async def locate(self, keys: Sequence[tuple[int, str]]) -> Slots:
        """Where these carts are in the table, given by partition and name; those not there yet are read."""
        slots = self.table.find(keys)
        missing = [keys[index] for index in np.flatnonzero(slots == UNKNOWN).tolist()]
        if not missing:
            return slots
        await self._fetch(missing)
        return self.table.find(keys)

    async def _fetch(self, keys: Sequence[tuple[int, str]]) -> None:
        by_partition: dict[int, list[str]] = {}
        for partition, name in keys:
            by_partition.setdefault(partition, []).append(name)
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                for partition, names in by_partition.items():
                    pipe.hmget(CARTS.key(partition=partition), names)
                answers = cast("list[list[bytes | None]]", await pipe.execute())
        for (partition, names), values in zip(by_partition.items(), answers, strict=True):
            for name, value in zip(names, values, strict=True):
                self.table.put(key_of(partition, name), None if value is None else _DECODE(value))

    async def due(self, until: Mapping[tuple[int, str], int]) -> list[tuple[int, str]]:
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
            (partition, member.decode())
            for (partition, _), members in zip(until, answers, strict=True)
            for member in members
        ]

    def save(self, pipe: Pipeline, changed: Mapping[int, CartState], touched: Slots, gone: Mapping[int, str]) -> None:
        """Queues what a batch did to carts, given by slot; `gone` with the clock domain of each one's timer."""
        self._saving = []
        for partition, entry in self._entries(changed, touched, gone).items():
            journal = self._journals[partition]
            if journal.is_full:
                self._write_down(pipe, partition)
                continue
            value = _ENCODE(entry)
            pipe.rpush(CART_JOURNAL.key(partition=partition), value)
            journal.size += len(value)
        for slot, domain in gone.items():
            partition, name, _ = self.table.keys[slot]
            pipe.hdel(CARTS.key(partition=partition), name)
            pipe.zrem(CART_DUE.key(partition=partition, store_id=domain), name)

    def _entries(self, changed: Mapping[int, CartState], touched: Slots, gone: Mapping[int, str]) -> dict[int, Entry]:
        found: dict[int, Entry] = {}
        keys = self.table.keys
        for slot, state in changed.items():
            partition, name, _ = keys[slot]
            found.setdefault(partition, Entry({}, [], [], [])).changed[name] = state
        for slot in gone:
            partition, name, _ = keys[slot]
            found.setdefault(partition, Entry({}, [], [], [])).gone.append(name)
        rows = self.table.rows[touched]
        for partition in np.unique(rows["partition"]).tolist():
            mine = rows["partition"] == partition
            entry = found.setdefault(partition, Entry({}, [], [], []))
            entry.touched = [keys[slot].name for slot in touched[mine].tolist()]
            entry.at = rows["last_at"][mine].tolist()
        return found

    def _write_down(self, pipe: Pipeline, partition: int) -> None:
        """Every changed cart in full, this batch's included, instead of the journal."""
        slots = self.table.unsaved(partition)
        states = [word for slot in slots for word in (self.table.keys[slot].name, _ENCODE(self.table.state(slot)))]
        if states:
            pipe.hset(CARTS.key(partition=partition), items=states)
        pipe.delete(CART_JOURNAL.key(partition=partition))
        self._saving += slots
        self._journals[partition] = _Journal(stopwatch())

    def set_timers(self, pipe: Pipeline, timers: Mapping[int, tuple[str, int]]) -> None:
        """Queues when to look at carts again: clock domain and moment (ms) by slot."""
        rings: dict[str, dict[str, int]] = {}
        for slot, (domain, at) in timers.items():
            partition, name, _ = self.table.keys[slot]
            rings.setdefault(CART_DUE.key(partition=partition, store_id=domain), {})[name] = at
        for key, members in rings.items():
            pipe.zadd(key, members)

    def settle(self) -> None:
        """After the commit took what `save` queued: that is written down now, and the longest unused may go."""
        self.table.saved(self._saving)
        self._saving = []
        self.table.shrink(self.cache_size)
