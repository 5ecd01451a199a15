"""A Valkey log that comes back empty is set up again by its readers; nothing is trimmed before all of them have."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from tests.contracts.reading import PATIENCE_SECONDS, numbered, numbers, reached, take

from recoup.kit.log import valkey_streams
from recoup.kit.log.port import Fenced, Reader, Record
from recoup.kit.log.valkey_streams import ValkeyLog
from recoup.kit.valkey import connect, settled


@pytest.fixture
async def log(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ValkeyLog]:
    """A log that was empty a moment ago and is young until we say that it has grown up."""
    monkeypatch.setattr(valkey_streams, "SETTLE_MS", 600_000)
    monkeypatch.setattr(valkey_streams, "RENEW_MS", 50)
    await empty(valkey_url)
    made = ValkeyLog(valkey_url, 3)
    yield made
    await made.close()


async def empty(url: str) -> None:
    async with connect(url) as valkey:
        await settled(valkey.flushall())


async def grown_up(url: str) -> None:
    async with connect(url) as valkey:
        assert await settled(valkey.delete("log:y"))


async def alive(*readers: Reader) -> None:
    """Each gives a sign of life."""
    for reader in readers:
        await reader.rewind()
        await reader.read(wait_seconds=0.05, limit=1)
        await reader.rewind()


async def test_what_every_group_has_committed_is_dropped_once_its_time_is_over_and_nothing_else(
    log: ValkeyLog, valkey_url: str
) -> None:
    topic = f"t-{uuid4().hex}"
    await log.register("fast", [topic])
    await log.register("slow", [topic])
    await log.append(topic, numbered(900))
    fast, slow = log.reader("fast", "a", [topic]), log.reader("slow", "a", [topic])
    await fast.commit(reached(await take(fast, 900)))
    await slow.commit(reached([record for record in await take(slow, 900) if record.partition == 0]))
    await alive(fast, slow)
    await grown_up(valkey_url)

    await log.trim(topic, keep_seconds=3_600)
    assert await log.size(topic) == 900
    await log.trim(topic, keep_seconds=0)

    # The server drops whole nodes of a stream, so some that could go may stay.
    assert 600 <= await log.size(topic) < 750
    await slow.rewind()
    assert numbers(await take(slow, 600)) == [number for number in range(900) if number % 3]
    await fast.close()
    await slow.close()


async def test_readers_register_again_and_nothing_is_trimmed_before(log: ValkeyLog, valkey_url: str) -> None:
    topic = f"t-{uuid4().hex}"
    await log.register("fast", [topic])
    await log.register("slow", [topic])
    fast, slow = log.reader("fast", "a", [topic]), log.reader("slow", "a", [topic])
    await log.append(topic, numbered(3))
    for reader in (fast, slow):
        await reader.commit(reached(await take(reader, 3)))

    await empty(valkey_url)
    await log.append(topic, numbered(300, start=3))
    found = await _taken_over(fast, 300)
    await log.trim(topic, keep_seconds=0)
    await alive(fast, slow)
    await grown_up(valkey_url)

    assert await log.holds_for(topic) == {"fast", "slow"}
    await log.trim(topic, keep_seconds=0)
    assert numbers(found) == list(range(3, 303))
    assert numbers(await _taken_over(slow, 300)) == list(range(3, 303))
    await fast.close()
    await slow.close()


async def _taken_over(reader: Reader, count: int) -> list[Record]:
    """Reads and commits, through the discovery that the positions it knew are gone."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                found = await take(reader, count)
                await reader.commit(reached(found))
            except Fenced:
                await reader.rewind()
            else:
                return found
