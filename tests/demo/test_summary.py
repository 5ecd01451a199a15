"""What the demo says of its estimate, and how mails are read."""

from datetime import UTC, datetime

import numpy as np
import pytest

from recoup.demo.client import Estimate, Mail, Overview
from recoup.demo.people import Truth, draw
from recoup.demo.summary import Summary, Verdict, revenue

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CROWD = draw(np.random.default_rng(1), 500, NOON, 2)
MOVED = [shopper for shopper in CROWD if shopper.truth is Truth.PERSUADABLE][:20]
TRUE = revenue(MOVED)


def summary(estimate: Estimate) -> Summary:
    return Summary(overview=Overview(incremental_revenue=estimate), shoppers=CROWD, reached=frozenset(), moved=MOVED)


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [
        (Estimate(amount=TRUE, low=TRUE - 1, high=TRUE + 1), Verdict.HOLDS),
        (Estimate(amount=TRUE, low=TRUE + 1, high=TRUE + 2), Verdict.MISSES),
        (Estimate(amount=TRUE), Verdict.OPEN),
        (Estimate(), Verdict.OPEN),
    ],
)
def test_an_estimate_is_held_against_the_truth(estimate: Estimate, verdict: Verdict):
    assert summary(estimate).verdict is verdict


def test_the_true_effect_is_what_the_moved_have_paid_and_no_more():
    truth = summary(Estimate()).truth
    returns = [shopper for shopper in CROWD if shopper.truth is Truth.RETURNS]
    assert truth.incremental == TRUE
    assert truth.recovered == len(returns) + len(MOVED)


def test_a_mail_gives_its_button_and_its_pixel():
    mail = Mail(
        id="1", to="a@example.com", sent_at=NOON,
        html='<a href="x"></a><img alt="" src="http://h/api/track/open/t.gif?a=1&amp;b=2">',
        links=["http://h/api/unsubscribe/t", "http://h/api/track/click/t"],
    )  # fmt: skip
    assert mail.button == "http://h/api/track/click/t"
    assert mail.pixel == "http://h/api/track/open/t.gif?a=1&b=2"
