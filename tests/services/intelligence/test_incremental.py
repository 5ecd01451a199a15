"""What the estimate promises: laws that hold for any two arms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recoup.messages.facts import Outcome
from recoup.services.intelligence.analytics.domain import Spenders, incremental, sample_ratio_p

ARM = st.dictionaries(st.integers(0, 50_000), st.integers(1, 40), min_size=1, max_size=8)
few = settings(max_examples=15, deadline=None)


def people(contact: dict[int, int], held_out: dict[int, int]) -> list[Spenders]:
    """Two arms, each as how many people spent how much."""
    return [Spenders(Outcome.CONTACT, value, count, count * 0.9) for value, count in contact.items()] + [
        Spenders(Outcome.HELD_OUT, value, count, count * 0.9) for value, count in held_out.items()
    ]


def total(arm: dict[int, int]) -> int:
    return sum(value * count for value, count in arm.items())


@few
@given(contact=ARM, held_out=ARM)
def test_the_estimate_is_the_difference_of_means_times_the_people_contacted(contact, held_out):
    found = incremental(people(contact, held_out), "USD")
    here, there = sum(contact.values()), sum(held_out.values())
    assert found.amount == pytest.approx(here * (total(contact) / here - total(held_out) / there), abs=1)


@few
@given(contact=ARM, held_out=ARM)
def test_the_same_people_give_the_same_interval_in_whatever_order_they_come(contact, held_out):
    groups = people(contact, held_out)
    assert incremental(groups, "USD") == incremental(groups[::-1], "USD")


@few
@given(contact=ARM, held_out=ARM)
def test_the_interval_stays_within_what_the_arms_allow(contact, held_out):
    found = incremental(people(contact, held_out), "USD")
    here = sum(contact.values())
    assert found.low is not None
    assert found.high is not None
    assert here * (min(contact) - max(held_out)) - 1 <= found.low <= found.high
    assert found.high <= here * (max(contact) - min(held_out)) + 1


@few
@given(value=st.integers(0, 50_000), more=st.integers(0, 50_000))
def test_arms_in_which_all_spend_the_same_leave_no_doubt(value, more):
    found = incremental(people({value + more: 20}, {value: 5}), "USD")
    assert (found.low, found.amount, found.high) == (20 * more,) * 3


@pytest.mark.parametrize(("contact", "held_out"), [({}, {}), ({100: 3}, {}), ({}, {100: 3})])
def test_with_an_empty_arm_nothing_is_known(contact, held_out):
    found = incremental(people(contact, held_out), "USD")
    assert (found.amount, found.low, found.high) == (None, None, None)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """100 shops in which a message does nothing: 0 lies in about 95 of 100 intervals."""
    chance = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        arms = []
        for size in (180, 120):
            bought = chance.random(size) < 0.3
            spent = np.where(bought, chance.lognormal(8, 0.5, size), 0).astype(int)
            values, counts = np.unique(spent, return_counts=True)
            arms.append(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        found = incremental(people(*arms), "USD")
        covered += (found.low or 0) <= 0 <= (found.high or 0)
    assert 88 <= covered <= 100


@pytest.mark.parametrize(
    ("contacted", "held_out", "expected", "suspicious"),
    [(900, 100, 900.0, False), (880, 120, 900.0, False), (820, 180, 900.0, True), (500, 500, 900.0, True)],
)
def test_arms_of_an_unlikely_size_are_noticed(contacted, held_out, expected, suspicious):
    p = sample_ratio_p(contacted, held_out, expected)
    assert p is not None
    assert (p < 0.001) is suspicious


def test_arms_are_not_compared_where_chance_had_no_part():
    assert sample_ratio_p(10, 0, 10.0) is None
