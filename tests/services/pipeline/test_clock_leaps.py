"""A machine's clock that is an hour ahead for a while costs nothing: no cart, no repeated event, no timer."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from tests.services.pipeline.builders import NOON, SHOP, Pipeline, added, event, pipeline

from recoup.kit.clock import LEAP, ManualClock, SteadyClock

HOUR = timedelta(hours=1)


@dataclass
class Machine:
    """Its wall clock can be set; how long it has been running cannot."""

    wall: ManualClock
    running: timedelta = timedelta()

    def ticks(self) -> float:
        return self.running.total_seconds()

    def passes(self, time: timedelta) -> None:
        self.wall.advance(time)
        self.running += time


def steady_on(running: Pipeline) -> Machine:
    machine = Machine(running.clock)
    clock = SteadyClock(machine.wall, timedelta(minutes=10), machine.ticks)
    clock.now()
    running.processor.clock = running.collector.clock = clock
    return machine


async def test_a_clock_that_leaps_an_hour_ahead_and_back_abandons_no_cart_and_lets_no_repeat_pass(
    valkey_url: str,
) -> None:
    async with pipeline(valkey_url) as running:
        machine = steady_on(running)
        early = event(event_id=str(uuid4()))
        await running.send(added(), early)
        rows = await running.enriched(2)
        machine.passes(timedelta(minutes=5))

        machine.wall.advance(HOUR)
        await running.send(early, event())
        rows += await running.enriched(1)
        machine.passes(timedelta(minutes=5))
        machine.wall.advance(-HOUR)
        await running.send(early, event())
        rows += await running.enriched(1)

        assert Counter(str(row["type"]) for row in rows) == {"product_added": 1, "page_viewed": 3}
        assert (await running.stats.read(SHOP)).duplicates == 2
        machine.passes(timedelta(minutes=22))
        rows += await running.enriched(1)
        assert (rows[-1]["type"], rows[-1]["occurred_at"]) == ("cart_abandoned", NOON + timedelta(minutes=30))
        assert all(str(row["enriched_at"]) >= str(row["received_at"]) for row in rows[:-1])


def test_a_leap_that_lasts_is_believed_and_small_adjustments_never_go_back() -> None:
    machine = Machine(ManualClock(NOON))
    clock = SteadyClock(machine.wall, timedelta(minutes=10), machine.ticks)
    assert clock.now() == NOON

    machine.wall.advance(-LEAP)
    assert clock.now() == NOON
    machine.wall.advance(HOUR)
    assert clock.now() == NOON
    machine.passes(timedelta(minutes=9))
    assert clock.now() == NOON + timedelta(minutes=9)
    machine.passes(timedelta(minutes=1))
    assert clock.now() == machine.wall.now()
    assert clock.leaps == 1
