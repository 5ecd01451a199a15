"""Who visits the demo shop: the same for the same seed, in the proportions that are written down."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from recoup.demo.people import CONTACTS, TRUTHS, Shopper, Truth, draw

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def crowd(seed: int = 1, count: int = 400) -> list[Shopper]:
    return draw(np.random.default_rng(seed), count, MONDAY, 4)


def test_the_same_seed_brings_the_same_people():
    assert crowd(1) == crowd(1)
    assert crowd(1) != crowd(2)


def test_everybody_arrives_within_the_days():
    assert all(MONDAY <= shopper.arrives_at < MONDAY + timedelta(days=4) for shopper in crowd())


def test_more_come_in_the_evening_than_at_night():
    hours = Counter(shopper.arrives_at.hour for shopper in crowd())
    assert sum(hours[hour] for hour in (18, 19, 20)) > 3 * sum(hours[hour] for hour in (2, 3, 4))


@pytest.mark.parametrize(("shares", "name"), [(TRUTHS, "truth"), (CONTACTS, "contact")])
def test_shares_are_as_written(shares: dict[str, float], name: str):
    counts = Counter(getattr(shopper, name) for shopper in crowd(count=4000))
    assert sum(shares.values()) == pytest.approx(1)
    assert all(counts[one] / 4000 == pytest.approx(share, abs=0.03) for one, share in shares.items())


def test_only_who_browses_has_no_basket():
    assert all((shopper.truth is Truth.BROWSES) == (not shopper.basket) for shopper in crowd())


def test_who_follows_the_link_has_opened_the_message():
    assert all(shopper.opens for shopper in crowd() if shopper.clicks)
