"""From enriched rows on the log to anomalies and risk signals, each row counted once."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import uuid4

import asyncpg
import msgspec
import pyarrow as pa
import pytest

from recoup.kit.log import arrow
from recoup.kit.log.port import Log, Record
from recoup.kit.runner import decoded
from recoup.kit.service import Batch
from recoup.messages.events import ENRICHED
from recoup.messages.facts import ConversionRecorded, InterventionEvent, Outcome, RiskSignal
from recoup.messages.topics import EVENTS_ENRICHED, RISK_SIGNALS

MIDNIGHT = datetime.fromisoformat("2026-06-01T00:00:00+00:00")
MINUTES = timedelta(minutes=1)


def row(at: datetime, **fields: object) -> dict[str, object]:
    """A page view of one visitor, unless `fields` say otherwise."""
    return {
        "event_id": uuid4().bytes, "store_id": "shop", "type": "page_viewed", "anonymous_id": "visitor",
        "occurred_at": at, **fields,
    }  # fmt: skip


def batch(*records: tuple[int, int, Sequence[dict[str, object]]]) -> Batch:
    """Records as (partition, offset, rows)."""
    tables = [pa.Table.from_pylist(list(rows), schema=ENRICHED) for _, _, rows in records]
    return decoded(
        [
            Record(EVENTS_ENRICHED.name, partition, offset, arrow.encode(table), {})
            for (partition, offset, _), table in zip(records, tables, strict=True)
        ],
        ENRICHED,
    )


def handler(world) -> Callable[[Batch], Awaitable[None]]:
    (consumer,) = [consumer for consumer in world.service.consumes if consumer.topic.name == EVENTS_ENRICHED.name]
    return consumer.on_batch


def detector(world):
    (worker,) = [worker for worker in world.service.workers if worker.name == "judge figures"]
    return worker.run.__self__


@pytest.fixture
async def connection(world, database: str):
    connection = await asyncpg.connect(database)
    await connection.execute("set search_path to monitoring")
    yield connection
    await connection.close()


async def signals(log: Log) -> list[RiskSignal]:
    await log.register("test", [RISK_SIGNALS.name])
    reader = log.reader("test", "test", [RISK_SIGNALS.name])
    records = await reader.read(wait_seconds=0.5, limit=100)
    await reader.close()
    return [msgspec.json.decode(record.value, type=RiskSignal) for record in records]


async def test_a_batch_that_comes_again_is_not_counted_again(world, connection) -> None:
    rows = [row(MIDNIGHT + number * MINUTES) for number in range(6)]
    order = row(MIDNIGHT, type="order_completed", amount=1999, currency="USD", cart_change="converted")
    await handler(world)(batch((3, 10, [*rows, order])))
    await handler(world)(batch((3, 10, [*rows, order]), (3, 11, [row(MIDNIGHT)]), (4, 7, [row(MIDNIGHT)])))

    figures = await connection.fetch("select metric, bucket, value from buckets order by metric, bucket")
    assert [(figure["metric"], figure["bucket"], figure["value"]) for figure in figures] == [
        ("carts_converted", MIDNIGHT, 1),
        ("events", MIDNIGHT, 8),
        ("events", MIDNIGHT + 5 * MINUTES, 1),
        ("orders", MIDNIGHT, 1),
        ("revenue", MIDNIGHT, 1999),
    ]


async def test_an_outage_of_a_store_on_its_own_clock_becomes_one_anomaly(world, connection) -> None:
    rows = [
        row(MIDNIGHT + hour * 60 * MINUTES + minute * MINUTES, store_id="replay")
        for hour in range(10)
        for minute in range(60)
        for _ in range(20)
        if hour != 7
    ]
    clock = [row(MIDNIGHT + timedelta(hours=10), type="clock", store_id="replay") for _ in range(8)]
    await handler(world)(batch((0, 1, rows)))
    await detector(world).judge_all()
    assert await connection.fetchval("select count(*) from anomalies") == 0, "judged before the store's clock was heard"

    await handler(world)(batch(*((partition, 5, [tick]) for partition, tick in enumerate(clock))))
    await detector(world).judge_all()
    await detector(world).judge_all()
    (outage,) = await connection.fetch("select * from anomalies")
    assert (outage["store_id"], outage["subject"], outage["seen"]) == ("replay", "events", 0)
    assert outage["started_at"] == MIDNIGHT + timedelta(hours=7)
    assert outage["ended_at"] == MIDNIGHT + timedelta(hours=8)


async def test_a_store_on_our_clock_that_falls_silent_is_noticed_while_it_lasts(world, connection) -> None:
    start = world.clock.now()
    await handler(world)(batch((0, 1, [row(start + number * MINUTES) for number in range(120) for _ in range(20)])))
    world.clock.advance(timedelta(hours=2, minutes=7))
    await detector(world).judge_all()
    world.clock.advance(timedelta(minutes=10))
    await detector(world).judge_all()

    (silence,) = await connection.fetch("select * from anomalies")
    assert silence["started_at"] == start + timedelta(hours=2)
    assert silence["ended_at"] is None


async def test_a_cart_over_the_limit_is_signalled_once(world, connection, log: Log) -> None:
    big = {"cart_id": "c1", "cart_number": 1, "currency": "USD"}
    await handler(world)(batch((0, 1, [row(MIDNIGHT, cart_value=1_000_000, **big)])))
    assert await signals(log) == []

    await handler(world)(batch((0, 2, [row(MIDNIGHT, cart_value=1_000_001, **big)])))
    await handler(world)(batch((0, 3, [row(MIDNIGHT, cart_value=1_200_000, **big)])))
    (signal,) = await signals(log)
    assert (signal.kind, signal.subject, signal.store_id) == ("cart_value", "c1", "shop")
    assert "1000001" in signal.reasons[0]
    assert await connection.fetchval("select count(*) from anomalies where kind = 'cart_value'") == 1


async def test_a_limit_is_in_units_of_the_cart_s_currency(world, log: Log) -> None:
    yen = row(MIDNIGHT, cart_value=10_001, cart_id="yen", cart_number=1, currency="JPY")
    dollars = row(MIDNIGHT, cart_value=10_001, cart_id="usd", cart_number=1, currency="USD")
    await handler(world)(batch((0, 1, [yen, dollars])))

    assert [signal.subject for signal in await signals(log)] == ["yen"]


async def test_a_hasty_visitor_is_signalled_even_over_several_batches(world, log: Log) -> None:
    def adding(visitor: str, pieces: int) -> dict[str, object]:
        return row(
            MIDNIGHT, type="product_added", anonymous_id=visitor, items=[{"product_id": "mug", "quantity": pieces}]
        )

    await handler(world)(batch((0, 1, [adding("bot", 60), adding("person", 60)])))
    await handler(world)(batch((0, 2, [adding("bot", 41), adding("person", 40)])))

    (signal,) = await signals(log)
    assert (signal.kind, signal.subject) == ("rapid_adds", "bot")


async def test_messages_are_counted_once_into_the_business_figures(world, connection) -> None:
    def event(id_: str, kind: Literal["decided", "delivered", "failed"]) -> InterventionEvent:
        return InterventionEvent(
            id=id_, store_id="shop", occurred_at=MIDNIGHT, intervention_id="i", kind=kind, cart_id="c", cart_number=1,
            person_id="p",
        )  # fmt: skip

    order = ConversionRecorded(
        id="o1", store_id="shop", occurred_at=MIDNIGHT, order_id="o", person_id="p", cart_id="c", amount=5000,
        currency="EUR", intervention_id="i", outcome=Outcome.CONTACT, attributed=True,
    )  # fmt: skip
    on = {consumer.topic.name: consumer.on_messages for consumer in world.service.consumes}
    events = [event("a", "delivered"), event("b", "delivered"), event("c", "failed"), event("d", "decided")]
    await on["intervention-events"](events)
    await on["intervention-events"](events[:2])
    await on["conversion-events"]([order, order])

    rows = await connection.fetch("select metric, value from buckets order by metric")
    assert [(row_["metric"], row_["value"]) for row_ in rows] == [
        ("delivered", 2), ("failed", 1), ("revenue_recovered:EUR", 5000),
    ]  # fmt: skip


async def test_what_is_too_old_to_learn_from_is_forgotten_by_the_store_s_own_time(world, connection) -> None:
    old = MIDNIGHT - timedelta(days=36)
    await handler(world)(batch((0, 1, [row(old), row(MIDNIGHT), row(old, store_id="replay")])))
    jobs = {job.name: job.run for job in world.service.jobs}

    assert await jobs["forget-figures"]() == "forgot 1 figures older than 35 days of their store"
    left = await connection.fetch("select store_id, bucket from buckets order by store_id")
    assert [tuple(figure) for figure in left] == [("replay", old), ("shop", MIDNIGHT)]
    assert await jobs["forget-metrics"]() == "forgot 0 rows of metrics older than 7 days"
