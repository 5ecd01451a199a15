"""What the tests of the Kafka log do with readers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from recoup.kit.log.port import Reader, Record

PATIENCE_SECONDS = 60


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
            await asyncio.sleep(0.05)


def reached(records: Sequence[Record]) -> dict[tuple[str, int], int]:
    """The positions that say that these records, in order, have been dealt with."""
    return {(record.topic, record.partition): record.offset for record in records}
