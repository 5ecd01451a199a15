"""What the contracts do with readers and records."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from recoup.kit.log.kafka_reader import KafkaReader
from recoup.kit.log.port import Log, Outgoing, Reader, Record
from recoup.kit.valkey import Pipeline, connect

PARTITIONS = 3
PATIENCE_SECONDS = 60


@dataclass
class Readers:
    """Readers of one test, which are left at its end."""

    log: Log
    opened: list[Reader]

    def open(self, group: str, member: str, *topics: str) -> Reader:
        reader = self.log.reader(group, member, topics)
        self.opened.append(reader)
        return reader


def numbered(count: int, *, start: int = 0) -> list[Outgoing]:
    return [Outgoing(number % PARTITIONS, str(number).encode()) for number in range(start, start + count)]


def numbers(records: Sequence[Record]) -> list[int]:
    return sorted(int(record.value) for record in records)


def reached(records: Sequence[Record]) -> dict[tuple[str, int], int]:
    return {(record.topic, record.partition): record.offset for record in records}


class Stoppable(Protocol):
    """An engine that a test may kill and start again."""

    @property
    def url(self) -> str: ...
    def start(self) -> None: ...
    def kill(self) -> None: ...


async def take(reader: Reader, count: int) -> list[Record]:
    """Reads until `count` records have come."""
    found: list[Record] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count:
            found += await reader.read(wait_seconds=0.2, limit=1000)
    return found


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)


async def nothing_waits(reader: Reader) -> bool:
    """After a while of reading, so that what is still on its way would have come."""
    return not [record for _ in range(5) for record in await reader.read(wait_seconds=0.1, limit=1000)]


def counted(key: str) -> Callable[[Pipeline], None]:
    def effects(pipe: Pipeline) -> None:
        pipe.incr(key)

    return effects


async def count_of(valkey_url: str, key: str) -> int:
    valkey = connect(valkey_url)
    try:
        return int(await valkey.get(key) or 0)
    finally:
        await valkey.aclose()


async def shared(*members: Reader) -> bool:
    """Whether each owns something, none the same, and together all."""
    await asyncio.gather(*(member.read(wait_seconds=0.1, limit=100) for member in members))
    owned = [member.owned() for member in members]
    together = frozenset[int]().union(*owned)
    return all(owned) and sum(map(len, owned)) == len(together) == PARTITIONS


async def die(reader: Reader) -> None:
    """Stops all signs of life without leaving the group."""
    if isinstance(reader, KafkaReader):
        await reader._thread.do(reader.member._drop)
