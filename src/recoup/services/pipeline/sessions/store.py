"""Sessions in Valkey, written with the stream's commit; read once, and kept in memory from then on.

Two hashes a store and hour: how each session began, and how many pages it has seen. Most batches only move the second.
What is active is written into the hash of the hour, so a session silent for one to two hours is forgotten.

A session's rows may be in two partitions: its visitor's, and its cart's. A process that meets a session first asks
what others have written of it. What two processes count of one session at the same time is not added up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import compress
from typing import Final, cast

import msgspec
import numpy as np

from recoup.kit.clock import milliseconds
from recoup.kit.valkey import Pipeline, Valkey, translated
from recoup.messages.keys import SESSION_PAGES, SESSIONS, KeyPattern
from recoup.services.pipeline.sessions.domain import UNKNOWN, Landing, Past, Sessions, SessionTable, Slots

_HOUR_MS: Final = 3_600_000
_Begin = tuple[int, int, str | None, str | None, str | None]
"""When it started; then when, from where, by what medium and on which page it landed."""
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(_Begin).decode
# One packed argument: thousands of single ones take the client ten times as long.
_WRITE: Final = """
local names, values = unpack(cmsgpack.unpack(ARGV[1]))
for first = 1, #names, 1000 do
    local words = {}
    for at = first, math.min(first + 999, #names) do
        words[#words + 1] = names[at]
        words[#words + 1] = values[at]
    end
    redis.call('HSET', KEYS[1], unpack(words))
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""


@dataclass(slots=True)
class SessionStore:
    """Sessions that pass by."""

    valkey: Valkey
    cache_size: int
    table: SessionTable = field(default_factory=SessionTable)
    _writing: Slots = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def forget(self) -> None:
        """Begins anew, after another process may have changed what is known here or a commit failed."""
        self.table = SessionTable()

    def take_in(self, pasts: Mapping[tuple[str, str], Past]) -> Slots:
        """Begins anew with these sessions, by store and name; where they are in the table."""
        self.forget()
        for (store_id, name), past in pasts.items():
            self.table.put(store_id, name, past)
        return np.arange(len(pasts), dtype=np.int64)

    async def locate(self, sessions: Sessions, now: datetime) -> Slots:
        """Where a batch's sessions are in the table, in their order; those not there yet are read."""
        found: list[Slots] = []
        for store_id, names in sessions.by_store:
            slots = self.table.find(store_id, names)
            missing = [names[index] for index in np.flatnonzero(slots == UNKNOWN).tolist()]
            if missing:
                await self._fetch(store_id, missing, now)
                slots = self.table.find(store_id, names)
            found.append(slots)
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)

    async def _fetch(self, store_id: str, names: Sequence[str], now: datetime) -> None:
        hour = _hour(now)
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                for at in (hour, hour - 1):
                    for pattern in (SESSIONS, SESSION_PAGES):
                        pipe.hmget(pattern.key(store_id=store_id, hour=at), names)
                answers = cast("list[list[bytes | None]]", await pipe.execute())
        for name, begin, pages, old_begin, old_pages in zip(names, *answers, strict=True):
            self.table.put(store_id, name, _past(begin, pages) or _past(old_begin, old_pages))

    def save(self, pipe: Pipeline, begun: Slots, viewed: Slots, now: datetime) -> None:
        """Queues what a batch did: sessions whose beginning is news, and those that have seen more pages."""
        hour = _hour(now)
        self._writing = np.union1d(begun, viewed[self.table.written[viewed] != hour])
        if len(self._writing):
            begins = zip(*(column[self._writing].tolist() for column in self._begins()), strict=True)
            self._write(pipe, SESSIONS, self._writing, [msgspec.json.encode(begin).decode() for begin in begins], hour)
        seen = np.union1d(self._writing, viewed) if len(self._writing) else viewed
        if len(seen):
            self._write(pipe, SESSION_PAGES, seen, self.table.pages[seen].tolist(), hour)

    def _begins(self) -> Sequence[np.ndarray]:
        return (self.table.started, self.table.landed_at, *self.table.told.values())

    def _write(self, pipe: Pipeline, pattern: KeyPattern, slots: Slots, values: Sequence[str | int], hour: int) -> None:
        table = self.table
        names, stores = ([column[slot] for slot in slots.tolist()] for column in (table.names, table.stores))
        lifetime = str(round(cast("timedelta", pattern.lifetime).total_seconds()))
        for store_id in set(stores):
            mine = [each == store_id for each in stores]
            packed = _ENCODE((list(compress(names, mine)), list(compress(values, mine))))
            pipe.eval(_WRITE, 1, pattern.key(store_id=store_id, hour=hour), packed, lifetime)

    def settle(self, now: datetime) -> None:
        """After the commit took what `save` queued."""
        self.table.written[self._writing] = _hour(now)
        self.table.shrink(self.cache_size)


def _past(begin: bytes | None, pages: bytes | None) -> Past | None:
    if begin is None:
        return None
    started, *_ = told = _DECODE(begin)
    return Past(started, int(pages or 0), Landing(*told[1:]))


def _hour(now: datetime) -> int:
    return milliseconds(now) // _HOUR_MS
