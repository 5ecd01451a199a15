"""What the stream remembers between batches: ids that took effect, event clocks, counts, its own rates."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from secrets import token_bytes
from typing import Final, cast

import msgspec
import numpy as np
from msgspec import Struct

from recoup.kit.clock import milliseconds
from recoup.kit.valkey import Pipeline, Valkey, settled, translated
from recoup.messages.keys import EVENT_STATS, PIPELINE_STATUS, SEEN_EVENTS, STORE_CLOCKS, VISITOR_USERS
from recoup.services.pipeline.stream.domain.seen import Flags, Ids, RecentIds, first_of_each
from recoup.services.pipeline.stream.domain.work import Visitor

_SLOT_MS: Final = 600_000
_SLOTS_AN_HOUR: Final = 6
_MONTH: Final = timedelta(days=30)
_WRITTEN_AGAIN: Final = timedelta(minutes=10)
_DECODE: Final = msgspec.msgpack.Decoder(dict[str, bytes]).decode


class StageStatus(Struct, frozen=True, kw_only=True):
    """One step's work since the process started, and its latest pace."""

    stage: str
    events: int
    events_per_second: float
    milliseconds_p50: float
    milliseconds_p99: float
    """Of the last batches, per batch."""
    errors: int = 0
    """Batches that broke off in this step, since the process started; each is tried again."""


class ProcessorStatus(Struct, frozen=True, kw_only=True):
    """What a processor says of itself."""

    member: str
    at: datetime
    partitions: list[int]
    events: int
    batches: int
    events_per_second: float
    delay_p50_ms: float
    delay_p99_ms: float
    """From received to enriched, over the last batches."""
    errors: int = 0
    stages: list[StageStatus]


@dataclass(slots=True)
class SeenEvents:
    """Ids of events that took effect within the last hour at least, exactly.

    They are held in memory, and written with each commit as one entry a partition, from which whoever takes a partition
    over learns them: 16 bytes an id in Valkey, and no trip for asking.
    """

    valkey: Valkey
    # Makes the same id differ between stores, in a way no client can foresee.
    secret: bytes = field(default_factory=lambda: token_bytes(16))
    _ids: RecentIds = field(default_factory=RecentIds)
    _masks: dict[str, tuple[int, int]] = field(default_factory=dict)
    # Entries read or written by us, by partition and slot of time.
    _entries: Counter[tuple[int, int]] = field(default_factory=Counter)

    async def catch_up(self, partitions: Iterable[int], now: datetime) -> None:
        """Learns what others have written of these partitions; what is known already is not read again."""
        newest, oldest = _slots(now)
        self._entries = Counter({at: count for at, count in self._entries.items() if at[1] >= oldest})
        for at in [(partition, slot) for partition in partitions for slot in range(oldest, newest + 1)]:
            key = SEEN_EVENTS.key(partition=at[0], slot=at[1])
            if self._entries[at] and await settled(self.valkey.llen(key)) < self._entries[at]:
                # Valkey has come back empty: what stands there now is all news.
                self._entries[at] = 0
            while entries := await settled(self.valkey.lrange(key, self._entries[at], self._entries[at] + 999)):
                for entry in cast("list[bytes]", entries):
                    for store_id, ids in _DECODE(entry).items():
                        self._learn(store_id, np.frombuffer(ids, dtype=np.uint64).reshape(-1, 2), at[1], oldest)
                self._entries[at] += len(entries)

    def forget(self) -> None:
        """Begins anew: an id counts again only where it stands written.

        Of a batch that happened, but of which the log was never told, nothing may be left where Valkey came back empty.
        """
        self._ids = RecentIds()
        self._entries = Counter()

    def _learn(self, store_id: str, ids: Ids, slot: int, oldest: int) -> None:
        masked = ids ^ np.array(self._mask(store_id), dtype=np.uint64)
        new = masked[first_of_each(masked)]
        self._ids.add(new[~self._ids.seen(new, oldest)], slot, oldest)

    def seen(self, ids: Ids, now: datetime) -> Flags:
        """Which of these, as `apart` gave them, took effect before."""
        return self._ids.seen(ids, _slots(now)[1])

    def apart(self, ids: Ids, store_codes: np.ndarray, store_names: Sequence[str]) -> Ids:
        """The ids with a mask over each that depends on its store, given by place among `store_names`."""
        if not len(ids):
            return ids
        masks = np.array([self._mask(name) for name in store_names], dtype=np.uint64)
        return ids ^ masks[store_codes]

    def _mask(self, store_id: str) -> tuple[int, int]:
        known = self._masks.get(store_id)
        if known is None:
            digest = blake2b(store_id.encode(), digest_size=16, key=self.secret).digest()
            known = self._masks[store_id] = (
                int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
            )  # fmt: skip
        return known

    @staticmethod
    def claim(pipe: Pipeline, ids: Mapping[int, Mapping[str, bytes]], now: datetime) -> None:
        """Queues the remembering of ids that take effect with this commit: 16 bytes each, by partition and store."""
        slot, _ = _slots(now)
        for partition, by_store in ids.items():
            key = SEEN_EVENTS.key(partition=partition, slot=slot)
            pipe.rpush(key, msgspec.msgpack.encode(by_store))
            pipe.expire(key, cast("timedelta", SEEN_EVENTS.lifetime))

    def remember(self, ids: Ids, partitions: Iterable[int], now: datetime) -> None:
        """After the commit took what `claim` queued: these ids, as `apart` gave them, have taken effect."""
        slot, oldest = _slots(now)
        self._ids.add(ids, slot, oldest)
        self._entries.update((partition, slot) for partition in partitions)


def _slots(now: datetime) -> tuple[int, int]:
    """The slot of time we are in, and the oldest that still counts: an hour and up to ten minutes ago."""
    slot = milliseconds(now) // _SLOT_MS
    return slot, slot - _SLOTS_AN_HOUR


@dataclass(slots=True)
class Identities:
    """Which user each visitor was last seen as, for one to two months after that, whichever process saw it.

    What was written lately is not written again: a visitor's link costs one entry in ten minutes.
    """

    valkey: Valkey
    cache_size: int
    _written: dict[Visitor, tuple[str, datetime]] = field(default_factory=dict)
    _writing: dict[Visitor, tuple[str, datetime]] = field(default_factory=dict)

    def link(self, pipe: Pipeline, links: Mapping[Visitor, str], now: datetime) -> None:
        """Queues the writing of links that are not known to be written."""
        self._writing = {
            visitor: (user, now) for visitor, user in links.items() if self._is_news(visitor, user, now)
        }  # fmt: skip
        by_store: dict[str, dict[str, str]] = {}
        for visitor, (user, _) in self._writing.items():
            by_store.setdefault(visitor.store_id, {})[visitor.anonymous_id] = user
        for store_id, users in by_store.items():
            key = VISITOR_USERS.key(store_id=store_id, month=_month(now))
            pipe.hset(key, items=[word for pair in users.items() for word in pair])
            pipe.expire(key, cast("timedelta", VISITOR_USERS.lifetime))

    def _is_news(self, visitor: Visitor, user: str, now: datetime) -> bool:
        known = self._written.get(visitor)
        return known is None or known[0] != user or now - known[1] >= _WRITTEN_AGAIN

    def settle(self) -> None:
        """After the commit took what `link` queued."""
        if len(self._written) + len(self._writing) > self.cache_size:
            self._written = {}
        self._written |= self._writing
        self._writing = {}

    async def users(self, visitors: Iterable[Visitor], now: datetime) -> dict[Visitor, str]:
        """The users of those visitors that have one."""
        by_store: dict[str, list[Visitor]] = {}
        for visitor in visitors:
            by_store.setdefault(visitor.store_id, []).append(visitor)
        if not by_store:
            return {}
        # The older month first, so that the newer one has the last word.
        asked = [(month, found) for month in (_month(now) - 1, _month(now)) for found in by_store.values()]
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                for month, found in asked:
                    key = VISITOR_USERS.key(store_id=found[0].store_id, month=month)
                    pipe.hmget(key, [visitor.anonymous_id for visitor in found])
                answers = cast("list[list[bytes | None]]", await pipe.execute())
        return {
            visitor: user.decode()
            for (_, found), users in zip(asked, answers, strict=True)
            for visitor, user in zip(found, users, strict=True)
            if user is not None
        }


def _month(now: datetime) -> int:
    return milliseconds(now) // (_MONTH // timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True)
class StreamStore:
    """Event clocks and what processors say of themselves."""

    valkey: Valkey

    async def clocks(self, partitions: Iterable[int]) -> dict[tuple[int, str], int]:
        """Event time reached (ms), by partition and store."""
        wanted = list(partitions)
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                for partition in wanted:
                    pipe.hgetall(STORE_CLOCKS.key(partition=partition))
                answers = cast("list[dict[bytes, bytes]]", await pipe.execute())
        return {
            (partition, store_id.decode()): int(value)
            for partition, clocks in zip(wanted, answers, strict=True)
            for store_id, value in clocks.items()
        }

    async def write_status(self, status: ProcessorStatus) -> None:
        """Says how this processor is doing; gone a minute after it stops saying so."""
        key = PIPELINE_STATUS.key(member=status.member)
        await settled(self.valkey.set(key, msgspec.json.encode(status), ex=PIPELINE_STATUS.lifetime))

    async def read_status(self) -> list[ProcessorStatus]:
        """What every living processor says of itself."""
        keys = [key async for key in self.valkey.scan_iter(match=PIPELINE_STATUS.key(member="*"), count=1000)]
        values = await settled(self.valkey.mget(keys)) if keys else []
        return [msgspec.json.decode(value, type=ProcessorStatus) for value in values if value]


def count(pipe: Pipeline, counts: Mapping[str, Mapping[str, int]], last: Mapping[str, int]) -> None:
    """Queues counts by store, and when its last event reached us (ms)."""
    for store_id, by_name in counts.items():
        key = EVENT_STATS.key(store_id=store_id)
        for name, count in by_name.items():
            if count:
                pipe.hincrby(key, name, count)
    for store_id, at in last.items():
        pipe.hset(EVENT_STATS.key(store_id=store_id), "last_event_at", at)


def set_clocks(pipe: Pipeline, moved: Mapping[tuple[int, str], int]) -> None:
    """Queues event times that have moved on."""
    for (partition, store_id), at in moved.items():
        pipe.hset(STORE_CLOCKS.key(partition=partition), store_id, at)
