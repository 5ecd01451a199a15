"""When a breaker opens and closes, and what a retry budget allows."""

import pytest

from recoup.kit.breaker import Breaker, BreakerSettings, Budget, RetrySettings, State

SETTINGS = BreakerSettings(window_seconds=10, minimum_calls=20, failure_share=0.5, open_seconds=30, trial_calls=3)


def calls(breaker: Breaker, at: float, *, well: int = 0, badly: int = 0, silent: int = 0) -> None:
    for failed in [False] * well + [True] * badly + [None] * silent:
        breaker.enter()
        breaker.leave(at, failed=failed)


def opened(at: float = 100.0) -> Breaker:
    breaker = Breaker(SETTINGS)
    calls(breaker, at, badly=20)
    return breaker


@pytest.mark.parametrize(
    ("well", "badly", "silent", "state"),
    [
        (0, 19, 0, State.CLOSED),  # too few calls
        (0, 20, 0, State.OPEN),
        (10, 10, 0, State.OPEN),  # half of them
        (11, 10, 0, State.CLOSED),
        (0, 19, 50, State.CLOSED),  # what says nothing does not count as a call
    ],
)
def test_it_opens_at_half_of_enough_calls(well, badly, silent, state):
    breaker = Breaker(SETTINGS)
    calls(breaker, 100.0, well=well, badly=badly, silent=silent)
    assert breaker.state(100.0) is state


@pytest.mark.parametrize(("later", "state"), [(8.0, State.OPEN), (11.0, State.CLOSED), (1000.0, State.CLOSED)])
def test_what_left_the_window_is_forgotten(later, state):
    breaker = Breaker(SETTINGS)
    calls(breaker, 100.0, badly=19)
    calls(breaker, 100.0 + later, badly=1)
    assert breaker.state(100.0 + later) is state


def test_an_open_one_lets_nobody_through_until_its_time_is_over():
    breaker = opened()
    assert not breaker.allows(129.9)
    assert breaker.wait(110.0) == 20.0
    assert breaker.allows(130.0)


def test_trial_calls_that_succeed_close_it_and_no_more_than_so_many_are_made():
    breaker = opened()
    for _ in range(3):
        assert breaker.allows(131.0)
        breaker.enter()
    assert not breaker.allows(131.0)
    for _ in range(3):
        breaker.leave(132.0, failed=False)
    assert breaker.state(132.0) is State.CLOSED
    calls(breaker, 132.0, badly=19)
    assert breaker.state(132.0) is State.CLOSED, "failures from before it opened still count"


def test_one_trial_call_that_fails_opens_it_for_another_while():
    breaker = opened()
    breaker.enter()
    breaker.leave(131.0, failed=True)
    assert not breaker.allows(160.9)
    assert breaker.allows(161.0)


def test_a_trial_call_that_says_nothing_makes_room_for_another():
    breaker = opened()
    for _ in range(3):
        breaker.enter()
    breaker.leave(131.0, failed=None)
    assert breaker.allows(131.0)
    assert breaker.state(131.0) is State.HALF_OPEN


def test_calls_that_were_on_their_way_when_it_opened_change_nothing():
    breaker = Breaker(SETTINGS)
    for _ in range(25):
        breaker.enter()
    for _ in range(25):
        breaker.leave(100.0, failed=True)
    assert breaker.wait(100.0) == 30.0


def test_repeated_calls_are_a_share_of_first_ones():
    budget = Budget(RetrySettings(share=0.25, reserve=0))
    for _ in range(100):
        budget.pay_in()
    assert [budget.spend(100.0) for _ in range(30)].count(True) == 25


def test_a_quiet_service_earns_its_reserve_back_at_one_a_second():
    budget = Budget(RetrySettings(share=0.2, reserve=10))
    assert [budget.spend(100.0) for _ in range(20)].count(True) == 10
    assert [budget.spend(103.0) for _ in range(20)].count(True) == 3
    assert [budget.spend(1000.0) for _ in range(20)].count(True) == 10
