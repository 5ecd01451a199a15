"""When a breaker opens and closes, and what a retry budget allows."""

from dataclasses import dataclass

import pytest

from recoup.kit.breaker import Breaker, BreakerSettings, Budget, RetrySettings

SETTINGS = BreakerSettings(window_seconds=10, minimum_calls=20, failure_share=0.5, open_seconds=30, trial_calls=3)


@dataclass
class Stand:
    """A breaker and the hands of its clock."""

    now: float = 100.0

    def __post_init__(self) -> None:
        self.breaker = Breaker("ai", SETTINGS, lambda: self.now)

    def call(self, *, well: int = 0, badly: int = 0, silent: int = 0) -> None:
        for failed in [False] * well + [True] * badly + [None] * silent:
            assert self.breaker.enter()
            self.breaker.leave(failed=failed)

    @property
    def wait(self) -> float:
        return self.breaker.wait(self.now)


def opened() -> Stand:
    stand = Stand()
    stand.call(badly=20)
    return stand


@pytest.mark.parametrize(
    ("well", "badly", "silent", "wait"),
    [
        (0, 19, 0, 0),  # too few calls
        (0, 20, 0, 30),
        (10, 10, 0, 30),  # half of them
        (11, 10, 0, 0),
        (0, 19, 50, 0),  # what says nothing does not count as a call
    ],
)
def test_it_opens_at_half_of_enough_calls(well, badly, silent, wait):
    stand = Stand()
    stand.call(well=well, badly=badly, silent=silent)
    assert stand.wait == wait


@pytest.mark.parametrize(("later", "wait"), [(8.0, 30), (11.0, 0), (1000.0, 0)])
def test_what_left_the_window_is_forgotten(later, wait):
    stand = Stand()
    stand.call(badly=19)
    stand.now += later
    stand.call(badly=1)
    assert stand.wait == wait


def test_an_open_one_lets_nobody_through_until_its_time_is_over():
    stand = opened()
    stand.now = 129.9
    assert not stand.breaker.enter()
    stand.now = 130.0
    assert stand.wait == 0
    assert stand.breaker.enter()


def test_trial_calls_that_succeed_close_it_and_no_more_than_so_many_are_made():
    stand = opened()
    stand.now = 131.0
    assert [stand.breaker.enter() for _ in range(4)] == [True, True, True, False]
    for _ in range(3):
        stand.breaker.leave(failed=False)
    stand.call(badly=19)
    assert stand.wait == 0, "failures from before it opened still count"


@pytest.mark.parametrize(("ends", "wait"), [([True, True, False], 30), ([True, False, False], 0)])
def test_trial_calls_open_it_again_when_too_many_fail(ends, wait):
    stand = opened()
    stand.now = 131.0
    for failed in ends:
        assert stand.breaker.enter()
        stand.breaker.leave(failed=failed)
    assert stand.wait == wait


def test_a_trial_call_that_says_nothing_makes_room_for_another():
    stand = opened()
    stand.now = 131.0
    for _ in range(3):
        assert stand.breaker.enter()
    stand.breaker.leave(failed=None)
    assert [stand.breaker.enter(), stand.breaker.enter()] == [True, False]


def test_calls_that_were_on_their_way_when_it_opened_change_nothing():
    stand = Stand()
    for _ in range(45):
        assert stand.breaker.enter()
    for _ in range(25):
        stand.breaker.leave(failed=True)
    stand.now = 131.0
    assert stand.breaker.enter()
    for _ in range(20):
        stand.breaker.leave(failed=True)
    assert stand.wait == 0
    assert stand.breaker.enter()


def test_long_calls_that_end_well_never_open_it():
    stand = Stand()
    for _ in range(40):
        assert stand.breaker.enter()
    stand.now += 86_400
    for _ in range(40):
        stand.breaker.leave(failed=False)
    assert stand.wait == 0


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
