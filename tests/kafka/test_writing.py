"""What is written is there once and stays, though it may be sent again, or the broker's disk is full."""

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from struct import Struct
from uuid import uuid4

import pytest
from tests.contracts.reading import take
from tests.kafka.broker import Broker

from recoup.kit.errors import Unavailable
from recoup.kit.log.open import open_log
from recoup.kit.log.port import Log, Outgoing, Record

pytestmark = pytest.mark.kafka
MOST_RECORDS = 100


@pytest.fixture
async def log(broker: Broker, valkey_url: str) -> AsyncIterator[Log]:
    log = open_log(broker.url, 1, valkey_url)
    yield log
    await log.close()


@pytest.fixture
def topic() -> str:
    return f"t-{uuid4().hex[:12]}"


async def test_each_record_bears_its_writer_and_its_place_by_which_the_broker_knows_it_when_it_is_sent_again(
    broker: Broker, log: Log, topic: str
) -> None:
    for _ in range(3):
        await log.append(topic, [Outgoing(0, b"once")])

    written = (broker.folder / "data" / f"{topic}-0" / f"{0:020}.log").read_bytes()
    heads = [_HEAD.unpack_from(written, place) for place in _places(written)]
    assert [sequence for _, sequence in heads] == [0, 1, 2]
    [writer] = {writer for writer, _ in heads}
    assert writer >= 0


# Of a batch of records on disk: its length behind the first 12 bytes; producer id, epoch and sequence from the 43rd on.
_LENGTH = Struct(">8xi")
_HEAD = Struct(">43xq2xi")


def _places(written: bytes) -> Iterator[int]:
    """Where each batch begins."""
    place = 0
    while place < len(written):
        yield place
        (length,) = _LENGTH.unpack_from(written, place)
        place += _LENGTH.size + length


async def test_a_full_disk_takes_no_record_more_and_costs_none_that_it_took(
    broker: Broker, log: Log, topic: str
) -> None:
    await log.append(topic, [_large(number) for number in range(3)])
    assert broker.process is not None
    largest = max(file.stat().st_size for file in (broker.folder / "data").rglob("*.log"))
    resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE, (largest + 100_000, resource.RLIM_INFINITY))
    taken = await _filled(log, topic)

    broker.kill()
    await asyncio.to_thread(broker.start)

    reader = log.reader(f"g-{topic}", "a", [topic])
    assert [_number(record) for record in await take(reader, taken)][:taken] == list(range(taken))
    await log.append(topic, [_large(MOST_RECORDS)])
    assert _number((await take(reader, 1))[-1]) == MOST_RECORDS
    await reader.close()


async def _filled(log: Log, topic: str) -> int:
    """Writes large records until one is not taken; the number of that one."""
    for number in range(3, MOST_RECORDS):
        try:
            await log.append(topic, [_large(number)])
        except Unavailable:
            return number
    raise AssertionError("there is always room")


def _large(number: int) -> Outgoing:
    return Outgoing(0, number.to_bytes(50_000))


def _number(record: Record) -> int:
    return int.from_bytes(record.value)
