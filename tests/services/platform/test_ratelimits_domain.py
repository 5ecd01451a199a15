"""The window: never more than its limit by itself, and as much as there is room for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup.kit.errors import Invalid
from recoup.messages.access import Permission, Principal
from recoup.services.platform.ratelimits import domain
from recoup.services.platform.ratelimits.domain import Limit, Rates, Window, stand

RATES = Rates(user=60, key=600, store=6_000, endpoint=3_000, address=10, endpoints={"export": 5})
STEPS = st.lists(st.floats(0, 40), min_size=1, max_size=200)


def window(per_minute: int = 3) -> Window:
    return Window(Limit("key", "k", per_minute))


def passed(steps: list[float], per_minute: int) -> list[float]:
    asked, now, let_in = window(per_minute), 1_000.0, []
    for step in steps:
        now += step
        if stand([asked], now).allowed:
            let_in.append(now)
    return let_in


@given(STEPS, st.integers(1, 20))
def test_no_window_as_it_is_counted_takes_more_than_its_limit(steps, per_minute):
    asked, now = window(per_minute), 1_000.0
    for step in steps:
        now += step
        stand([asked], now)
        assert asked.used(now) <= per_minute


@given(STEPS, st.integers(1, 20))
def test_no_minute_whatsoever_sees_more_than_twice_the_limit(steps, per_minute):
    let_in = passed(steps, per_minute)
    for at in let_in:
        assert sum(at <= other < at + 60 for other in let_in) <= 2 * per_minute


@given(st.integers(1, 50))
def test_as_many_as_the_limit_pass_at_once_and_not_one_more(per_minute):
    assert len(passed([0.0] * (per_minute + 5), per_minute)) == per_minute


@given(STEPS, st.integers(1, 20))
def test_who_waits_as_long_as_he_is_told_is_let_in(steps, per_minute):
    asked, now = window(per_minute), 1_000.0
    for step in steps:
        now += step
        standing = stand([asked], now)
        if not standing.allowed:
            now += standing.reset_seconds
            assert stand([asked], now).allowed


def test_one_full_window_is_enough_and_then_nothing_is_counted():
    narrow, wide = window(1), window(100)
    assert stand([narrow, wide], 1.0).allowed
    refused = stand([narrow, wide], 1.0)
    assert (refused.allowed, refused.limit.per_minute, refused.remaining) == (False, 1, 0)
    assert wide.used(1.0) == 1


def test_what_others_counted_leaves_less():
    asked = window(10)
    stand([asked], 0.0)
    asked.learn(0, 8, 60.0, told=1, now=0.5)
    standings = [stand([asked], 1.0) for _ in range(3)]
    assert [standing.remaining for standing in standings] == [1, 0, 0]
    assert [standing.allowed for standing in standings] == [True, True, False]


def test_what_came_in_while_the_others_were_asked_is_not_forgotten():
    asked = window(10)
    stand([asked], 0.0)
    told = asked.pending
    stand([asked], 0.1)
    asked.learn(0, 1, 60.0, told, now=0.2)
    assert (asked.used(0.2), asked.pending) == (2, 1)


def test_a_window_is_told_by_blocks_and_at_the_latest_after_two_seconds():
    asked = window(1_000)
    asked.learn(0, 0, 60.0, 0, now=0.0)
    for _ in range(9):
        stand([asked], 0.1)
    assert not asked.is_due(0.1)
    assert asked.is_due(2.1)
    stand([asked], 0.1)
    assert asked.is_due(0.1)


def test_a_request_falls_under_its_callers_its_stores_and_its_endpoints_limit():
    key = Principal(subject="key:1", kind="secret_key", stores={"s": [Permission.EVENTS_WRITE]})
    person = Principal(subject="p", kind="person", stores={"s": [], "t": []})
    found = domain.limits(key, None, domain.concerned(key, None), "export", RATES)
    assert found == [("key", "key:1", 600), ("store", "s", 6_000), ("endpoint", "s/export", 5)]
    assert domain.limits(key, 7, None, "export", RATES) == [("key", "key:1", 7)]
    assert domain.limits(person, None, domain.concerned(person, None), "carts", RATES) == [("user", "p", 60)]
    assert domain.concerned(person, "t") == "t"
    assert domain.concerned(person, "somebody else's") is None


@pytest.mark.parametrize("text", ["export", "export=", "=5", "export=-1", "export=1,x"])
def test_limits_of_endpoints_that_make_no_sense_stop_the_start(text):
    with pytest.raises(Invalid, match="is no limit"):
        domain.endpoints(text)


def test_limits_of_endpoints_are_read_as_they_are_written():
    assert domain.endpoints(" export=1200, training=0,") == {"export": 1200, "training": 0}
