"""The overflow lane: who floods and who does not, neighbours that notice nothing, and floods that arrive once."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from, tuples
from tests.services.pipeline.builders import NOON, SHOP, Pipeline, event, pipeline

from recoup.kit.errors import TooMany
from recoup.kit.process import finish
from recoup.messages.stores import StoreConfigured, StoreSettings
from recoup.messages.topics import EVENTS_OVERFLOW
from recoup.services.pipeline.collect.actions import STREAM_GROUP
from recoup.services.pipeline.overflow.domain import AT_ONCE, PART_SECONDS, PARTS, QUIET, Floods
from recoup.services.pipeline.overflow.jobs import Mover
from recoup.services.pipeline.settings import Settings

LIMIT = 100
MINUTE = timedelta(seconds=PARTS * PART_SECONDS)


def columns(*visitors: str) -> dict[str, Sequence[object]]:
    return {"event_id": visitors, "anonymous_id": visitors}


def laned(floods: Floods, now: datetime, *visitors: str) -> list[str]:
    """Those of these events that go into the lane."""
    flags = floods.aside(SHOP, columns(*visitors), LIMIT, now)
    return [] if flags is None else [visitor for visitor, aside in zip(visitors, flags, strict=True) if aside]


requests = lists(
    tuples(integers(0, 15), lists(tuples(sampled_from("abcdef"), integers(1, 70)), min_size=1, max_size=4)),
    max_size=30,
)


@given(requests=requests)
def test_nobody_within_the_limit_is_set_aside_and_whoever_sends_twice_as_much_always_is(
    requests: list[tuple[int, list[tuple[str, int]]]],
) -> None:
    # So few cells that nearly everybody shares one.
    floods = Floods(cells=2)
    sent: list[tuple[int, str]] = []
    ever: set[str] = set()
    now = NOON
    for seconds, said in requests:
        now += timedelta(seconds=seconds)
        part = int(now.timestamp()) // PART_SECONDS
        visitors = [visitor for visitor, count in said for _ in range(count)]
        sent += [(part, visitor) for visitor in visitors]
        counts = Counter(visitor for at, visitor in sent if at > part - PARTS)
        ever |= {visitor for visitor, count in counts.items() if count > LIMIT}

        aside = set(laned(floods, now, *visitors))

        assert aside <= ever
        assert aside >= {visitor for visitor in visitors if counts[visitor] > 2 * LIMIT + AT_ONCE}


def test_a_store_of_many_visitors_has_nobody_who_floods() -> None:
    floods = Floods()

    assert not any(laned(floods, NOON, *(f"visitor-{batch}-{n}" for n in range(500))) for batch in range(100))


def test_one_store_is_not_measured_by_another() -> None:
    floods = Floods()
    laned(floods, NOON, *["bot"] * 3 * LIMIT)

    assert floods.aside("another", columns("bot"), LIMIT, NOON) is None
    assert laned(floods, NOON, "bot", "neighbour") == ["bot"]


def test_who_floods_leaves_the_lane_after_a_calm_minute_once_it_holds_nothing() -> None:
    floods = Floods()
    laned(floods, NOON, *["bot"] * 3 * LIMIT)
    floods.said(floods.news())

    floods.calm(NOON + timedelta(seconds=30))
    assert laned(floods, NOON + timedelta(seconds=30), "bot") == ["bot"]
    floods.said(floods.news())
    later = NOON + timedelta(seconds=30) + MINUTE
    assert laned(floods, later, "bot") == ["bot"]
    floods.said(floods.news())
    floods.calm(later)
    assert laned(floods, later, "bot") == ["bot"], "it was just told of one of his events"
    floods.said(floods.news())

    floods.calm(later + QUIET)

    assert laned(floods, later + QUIET, "bot") == []


def test_a_clock_that_leaps_a_day_ahead_and_back_makes_nobody_a_flood() -> None:
    floods = Floods()
    laned(floods, NOON + timedelta(days=1), "visitor")
    laned(floods, NOON, "visitor")

    for minute in range(10):
        assert laned(floods, NOON + minute * (MINUTE + timedelta(seconds=PART_SECONDS)), *["visitor"] * 90) == []


def test_what_is_remembered_is_forgotten_again() -> None:
    floods = Floods(cells=4)
    laned(floods, NOON, *(f"v{n}" for n in range(2_000)))
    assert floods.size > 1

    laned(floods, NOON + MINUTE, "somebody")

    assert floods.size == 1


@asynccontextmanager
async def flooded(url: str, settings: Settings | None = None) -> AsyncGenerator[tuple[Pipeline, list[bytes]]]:
    """A shop into which a bot has sent two thousand events, all of which wait in the lane; their ids in order."""
    async with pipeline(url, settings=settings) as running:
        strict = StoreSettings(flood_events_per_minute=300)
        await running.collector.stores.on_configured([StoreConfigured(store_id=SHOP, version=2, settings=strict)])
        ids: list[bytes] = []
        for number in range(5):
            batch = [event(anonymous_id="bot") for _ in range(400)]
            ids += [UUID(str(one["event_id"])).bytes for one in batch]
            await running.send(*batch, event(anonymous_id=f"neighbour-{number}"))
        yield running, ids


@asynccontextmanager
async def moving(running: Pipeline, member: str, rate: int = 2_000) -> AsyncGenerator[None]:
    settings = Settings(overflow_events_per_second=rate)
    task = asyncio.create_task(Mover(running.log, member, STREAM_GROUP, settings).run())
    try:
        yield
    finally:
        await finish([task])


def visitors(rows: Sequence[dict[str, object]]) -> Counter[object]:
    return Counter(row["anonymous_id"] for row in rows)


async def test_neighbours_of_a_flood_are_enriched_while_it_waits(valkey_url: str) -> None:
    async with flooded(valkey_url) as (running, _):
        rows = await running.enriched(5)

        assert visitors(rows) == {f"neighbour-{number}": 1 for number in range(5)}
        assert await running.log.size(EVENTS_OVERFLOW.name) > 0


async def test_a_flood_arrives_whole_once_and_in_its_order_even_by_way_of_a_second_mover(valkey_url: str) -> None:
    async with flooded(valkey_url) as (running, ids):
        await running.enriched(5)
        async with moving(running, "first", rate=4_000):
            rows = await running.enriched(400)
        async with moving(running, "second"):
            rows += await running.enriched(2_000 - len(rows))

        assert [row["event_id"] for row in rows] == ids


async def test_the_shop_sees_who_floods(valkey_url: str) -> None:
    async with flooded(valkey_url) as (running, _):
        await running.collector.housekeep()

        (flooding,) = await running.collector.lane.lately(SHOP)

        assert (flooding.visitor, flooding.events, flooding.since) == ("bot", 2_000, NOON)
        assert (await running.stats.read(SHOP)).warned == {"flooding_visitor": 2_000}
        assert await running.collector.lane.lately("another") == []


async def test_a_full_lane_is_answered_later_and_only_to_whom_it_concerns(valkey_url: str) -> None:
    async with flooded(valkey_url, Settings(overflow_records=2)) as (running, _):
        await running.collector.housekeep()

        with pytest.raises(TooMany, match="floods"):
            await running.send(event(anonymous_id="bot"))
        await running.send(event(anonymous_id="neighbour"))


async def test_a_store_on_an_event_clock_has_no_floods(valkey_url: str) -> None:
    async with pipeline(valkey_url, clock="event") as running:
        for _ in range(8):
            await running.send(*(event(anonymous_id="replay") for _ in range(900)))

        assert await running.log.size(EVENTS_OVERFLOW.name) == 0
