"""The consumer loop on a real log: every message is handled or parked, whatever a handler does to its neighbours."""

import asyncio
import base64
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from uuid import uuid4

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from recoup.kit import runner
from recoup.kit.errors import Invalid, Unavailable
from recoup.kit.log import arrow
from recoup.kit.log.port import Log, Outgoing
from recoup.kit.log.valkey_streams import ValkeyLog
from recoup.kit.runner import Parked, Publisher, Runner, parking_topic
from recoup.kit.service import ArrowTopic, Batch, Consumer, Topic

PARTITIONS = 2
PATIENCE_SECONDS = 30


class Order(msgspec.Struct, frozen=True):
    number: int
    fate: str = "fine"


@pytest.fixture(autouse=True)
def _no_pauses_and_no_pretty_traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(runner, "LONGEST_PAUSE_SECONDS", 0.0)
    with capture_logs():
        yield


class Handler:
    """Does to each order what its fate says."""

    def __init__(self) -> None:
        self.seen: Counter[int] = Counter()
        self.handled: set[int] = set()

    async def __call__(self, orders: Sequence[Order]) -> None:
        for order in orders:
            self.seen[order.number] += 1
            match order.fate:
                case "poison":
                    raise ValueError(f"order {order.number} is poison")
                case "refused":
                    raise Invalid(f"order {order.number} is refused")
                case "away" if self.seen[order.number] <= 2:
                    raise Unavailable("the other side is away")
                case _:
                    self.handled.add(order.number)


async def run_until(runner_: Runner, condition: Callable[[], bool]) -> None:
    """Runs the consumer until the condition holds and everything is committed."""
    running = asyncio.create_task(runner_.run())
    topic = runner_.consumer.topic.name
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (condition() and await waiting(runner_.log, runner_.group, topic) == 0):
                assert not running.done(), running.exception()
                await asyncio.sleep(0.005)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def waiting(log: Log, group: str, topic: str) -> int:
    return sum(lag.waiting for lag in await log.lag(group, topic))


async def parked_by(log: Log, group: str) -> list[Parked]:
    """What this group has parked."""
    reader = log.reader(f"look-{uuid4().hex}", "a", [parking_topic().name])
    records = await reader.read(wait_seconds=0.05, limit=100_000)
    await reader.close()
    found = [msgspec.json.decode(record.value, type=Parked) for record in records]
    return [parked for parked in found if parked.group == group]


def topic_of(name: str) -> Topic[Order]:
    return Topic(name, Order, key=lambda order: str(order.number))


def fresh() -> str:
    return f"orders-{uuid4().hex[:12]}"


FATES = st.lists(st.sampled_from(["fine", "fine", "poison", "refused", "away"]), min_size=1, max_size=12)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fates=FATES)
async def test_each_message_is_handled_or_parked_with_its_reason_whatever_its_neighbours_do(
    valkey_url: str, fates: list[str]
):
    log = ValkeyLog(valkey_url, PARTITIONS)
    name, handler = fresh(), Handler()
    orders = [Order(number, fate) for number, fate in enumerate(fates)]
    await Publisher(log)(topic_of(name), orders)
    hopeless = {order.number for order in orders if order.fate in ("poison", "refused")}

    await run_until(
        Runner(log, name, "a", Consumer(topic_of(name), on_messages=handler)), lambda: len(handler.seen) == len(orders)
    )

    parked = await parked_by(log, name)
    numbers = {msgspec.json.decode(base64.b64decode(one.body), type=Order).number for one in parked}
    assert handler.handled == {order.number for order in orders} - hopeless
    assert numbers == hopeless
    assert all(f"order {number} is" in " ".join(one.reason for one in parked) for number in hopeless)
    await log.close()


async def test_a_message_that_cannot_be_read_is_parked_and_its_neighbours_are_handled(valkey_url: str):
    log = ValkeyLog(valkey_url, PARTITIONS)
    name, handler = fresh(), Handler()
    body = msgspec.json.encode(Order(1))
    await log.append(name, [Outgoing(0, b"{"), Outgoing(0, b'{"number": "one"}'), Outgoing(0, body)])

    await run_until(
        Runner(log, name, "a", Consumer(topic_of(name), on_messages=handler)), lambda: handler.handled == {1}
    )

    assert [base64.b64decode(one.body) for one in await parked_by(log, name)] == [b"{", b'{"number": "one"}']
    await log.close()


@given(failures=st.integers(0, 6))
@settings(max_examples=7, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_an_outage_however_long_parks_nothing_and_loses_nothing(valkey_url: str, failures: int):
    log = ValkeyLog(valkey_url, PARTITIONS)
    name = fresh()
    attempts = 0
    handled: list[Order] = []

    async def on_messages(orders: Sequence[Order]) -> None:
        nonlocal attempts
        attempts += 1
        if attempts <= failures:
            raise Unavailable("the other side is away")
        handled.extend(orders)

    topic = Topic(name, Order, key=lambda _: "one")
    consumer = Consumer(topic, on_messages=on_messages)
    await Publisher(log)(topic, [Order(number) for number in range(5)])

    await run_until(Runner(log, name, "a", consumer), lambda: len(handled) >= 5)

    assert [order.number for order in handled] == [0, 1, 2, 3, 4]
    assert await parked_by(log, name) == []
    await log.close()


async def test_a_bug_that_passes_parks_nothing(valkey_url: str):
    log = ValkeyLog(valkey_url, PARTITIONS)
    name = fresh()
    attempts = 0

    async def on_messages(_: Sequence[Order]) -> None:
        nonlocal attempts
        attempts += 1
        if attempts < runner.ATTEMPTS_BEFORE_ISOLATING:
            raise RuntimeError("a race, say")

    topic = Topic(name, Order, key=lambda _: "one")
    consumer = Consumer(topic, on_messages=on_messages)
    await Publisher(log)(topic, [Order(1), Order(2)])

    await run_until(Runner(log, name, "a", consumer), lambda: attempts == runner.ATTEMPTS_BEFORE_ISOLATING)

    assert await parked_by(log, name) == []
    await log.close()


async def test_what_is_not_urgent_is_gathered_into_few_batches(valkey_url: str):
    log = ValkeyLog(valkey_url, PARTITIONS)
    name = fresh()
    sizes: list[int] = []

    async def on_messages(orders: Sequence[Order]) -> None:
        sizes.append(len(orders))

    topic = topic_of(name)
    running = Runner(log, name, "a", Consumer(topic, on_messages=on_messages, gather_seconds=0.5))

    async def publish_one_by_one() -> None:
        for number in range(20):
            await Publisher(log)(topic, [Order(number)])

    publishing = asyncio.create_task(publish_one_by_one())
    await run_until(running, lambda: sum(sizes) == 20)
    await publishing

    assert len(sizes) <= 3
    await log.close()


async def test_rows_arrive_with_the_records_they_came_in(valkey_url: str):
    log = ValkeyLog(valkey_url, PARTITIONS)
    name = fresh()
    schema = pa.schema([("number", pa.int64()), ("note", pa.string())])
    batches: list[Batch] = []

    async def on_batch(batch: Batch) -> None:
        batches.append(batch)

    for start in (0, 3):
        rows = pa.table({"number": list(range(start, start + 3)), "note": [None] * 3}, schema=schema)
        await log.append(name, [Outgoing(1, arrow.encode(rows))])

    await run_until(
        Runner(log, name, "a", Consumer(ArrowTopic(name, schema), on_batch=on_batch)), lambda: bool(batches)
    )

    (batch,) = batches
    assert batch.table.column("number").to_pylist() == [0, 1, 2, 3, 4, 5]
    assert batch.spread([record.offset for record in batch.records]).tolist() == [
        record.offset for record in batch.records for _ in range(3)
    ]
    await log.close()


@pytest.mark.parametrize("broken", [{4}, {0, 6, 9}, set(range(10)) - {3}])
async def test_of_many_rows_only_those_at_fault_are_parked_with_all_their_columns(valkey_url: str, broken: set[int]):
    log = ValkeyLog(valkey_url, PARTITIONS)
    name = fresh()
    schema = pa.schema([("number", pa.int64())])
    handled = Counter[int]()

    async def on_batch(batch: Batch) -> None:
        numbers = batch.table.column("number").to_pylist()
        if broken & set(numbers):
            raise ValueError("one of these")
        handled.update(numbers)

    rows = pa.table({"number": list(range(10)), "note": [f"note {number}" for number in range(10)]})
    await log.append(name, [Outgoing(1, arrow.encode(rows))])
    running = Runner(log, name, "a", Consumer(ArrowTopic(name, schema), on_batch=on_batch))
    await run_until(running, lambda: set(handled) == set(range(10)) - broken)

    (one,) = await parked_by(log, name)
    (batch,) = arrow.decode([base64.b64decode(one.body)])
    assert batch.to_pylist() == [{"number": number, "note": f"note {number}"} for number in sorted(broken)]
    assert set(handled.values()) == {1}
    await log.close()
