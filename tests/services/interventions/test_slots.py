"""The contact counters keep their promise for any order of asking: no window ever holds more than it may."""

from datetime import timedelta

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import integers, lists
from tests.services.interventions.world import NOON, OPEN

from recoup.kit.valkey import connect
from recoup.services.interventions.decisions.store.slots import WINDOWS, Slots, Wanted

LIMITS = msgspec.structs.replace(OPEN, max_per_hour=2, max_per_day=4, max_per_week=6)


def wanted(member: int, minute: int, person: str = "ann") -> Wanted:
    at = NOON + timedelta(minutes=minute)
    return Wanted(member=str(member), linked=(person,), at=at, now=at, settings=LIMITS, take=True)


@given(minutes=lists(integers(0, 14 * 24 * 60), max_size=25))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_window_ever_holds_more_than_its_limit(valkey_url: str, minutes: list[int]):
    valkey = connect(valkey_url)
    await valkey.flushdb()
    slots = Slots(valkey)
    taken: list[int] = []
    for member, minute in enumerate(minutes):
        (slot,) = await slots.ask("shop", [wanted(member, minute)])
        if slot.free:
            taken.append(minute)
    for (_, window), limit in zip(WINDOWS, (2, 4, 6), strict=True):
        length = window.total_seconds() / 60
        assert all(sum(start <= other < start + length for other in taken) <= limit for start in taken)
    await valkey.aclose()


async def test_asking_again_keeps_the_slot_and_releasing_frees_it(valkey_url: str):
    valkey = connect(valkey_url)
    await valkey.flushdb()
    slots = Slots(valkey)
    answers = await slots.ask("shop", [wanted(1, 0), wanted(2, 1), wanted(1, 2), wanted(3, 3)])
    assert [answer.free for answer in answers] == [True, True, True, False]
    await slots.release("shop", [("2", ["ann"])])
    assert [answer.free for answer in await slots.ask("shop", [wanted(3, 3)])] == [True]
    await valkey.aclose()
