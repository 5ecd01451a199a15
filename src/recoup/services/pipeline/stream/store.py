"""What the stream remembers between batches: ids that took effect, event clocks, counts, its own rates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

import msgspec
import numpy as np
from msgspec import Struct

from recoup.kit.clock import milliseconds
from recoup.kit.valkey import Pipeline, Valkey, settled, translated
from recoup.messages.keys import EVENT_STATS, PIPELINE_STATUS, SEEN_EVENTS, STORE_CLOCKS

_HOUR_MS: Final = 3_600_000


class StageStatus(Struct, frozen=True, kw_only=True):
    """One step's work since the process started, and its latest pace."""

    stage: str
    events: int
    events_per_second: float
    milliseconds_p50: float
    milliseconds_p99: float
    """Of the last batches, per batch."""


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
    stages: list[StageStatus]


@dataclass(frozen=True, slots=True)
class StreamStore:
    """Ids are exact: a set of 16-byte ids by store and hour, of which this hour's and the last one's are asked."""

    valkey: Valkey

    async def seen(self, ids: Mapping[str, Sequence[bytes]], now: datetime) -> dict[str, np.ndarray]:
        """For each store, which of its ids took effect within the last hour at least."""
        hour = milliseconds(now) // _HOUR_MS
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                for store_id, members in ids.items():
                    for past in (hour, hour - 1):
                        pipe.smismember(SEEN_EVENTS.key(store_id=store_id, hour=past), cast("list[str]", members))
                answers = cast("list[list[int]]", await pipe.execute())
        return {
            store_id: np.array(answers[2 * index], dtype=bool) | np.array(answers[2 * index + 1], dtype=bool)
            for index, store_id in enumerate(ids)
        }

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


def claim(pipe: Pipeline, ids: Mapping[str, Sequence[bytes]], now: datetime) -> None:
    """Queues the remembering of ids that take effect with this commit."""
    hour = milliseconds(now) // _HOUR_MS
    for store_id, members in ids.items():
        if members:
            key = SEEN_EVENTS.key(store_id=store_id, hour=hour)
            pipe.sadd(key, *members)
            pipe.expire(key, cast("timedelta", SEEN_EVENTS.lifetime))


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
