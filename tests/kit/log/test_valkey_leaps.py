"""The clock of a Valkey log's server is set back: who died around then holds nothing up until the old time is back."""

from uuid import uuid4

import pytest
from tests.contracts.reading import Readers, numbered, numbers, shared, take, until

from recoup.kit.clock import now_milliseconds
from recoup.kit.log import valkey_streams
from recoup.kit.log.valkey_streams import ValkeyLog
from recoup.kit.valkey import connect, settled

HOUR_MS = 3_600_000


async def from_an_hour_ahead(valkey_url: str, scope: str, members: str) -> None:
    """All that these members have said of themselves was said while the server's clock was an hour ahead."""
    async with connect(valkey_url) as valkey:
        for member in members:
            await settled(valkey.zadd(f"log:m:{scope}", {member: now_milliseconds() + HOUR_MS}))
        async for lease in valkey.scan_iter(match=f"log:l:{scope}:*"):
            await settled(valkey.pexpire(lease, HOUR_MS))


async def test_partitions_of_one_who_died_before_the_clock_was_set_back_are_taken_over(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_streams, "RENEW_MS", 50)
    topic = f"t-{uuid4().hex}"
    readers = Readers(ValkeyLog(valkey_url, 3), [])
    one, two = readers.open("g", "a", topic), readers.open("g", "b", topic)
    await until(lambda: shared(one, two))

    await from_an_hour_ahead(valkey_url, f"g:{topic}", "ab")
    await readers.log.append(topic, numbered(9))

    assert numbers(await take(two, 9)) == list(range(9))
    for reader in readers.opened:
        await reader.close()
    await readers.log.close()
