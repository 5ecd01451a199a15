"""A model serves only where it is better than what serves now, and where that can be neither luck nor a leak."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from recoup.services.ai.models.domain import Metrics
from recoup.services.ai.training.domain.dataset import from_table
from recoup.services.ai.training.domain.measures import auc
from recoup.services.ai.training.domain.verdict import coin_error, judge

SERVING = Metrics(rows=2000, positives=400, auc=0.70, average_precision=0.4, log_loss=0.45, calibration_error=0.05)


def measured(**more: float) -> Metrics:
    good = {"rows": 2000, "positives": 400, "auc": 0.75, "average_precision": 0.5, "log_loss": 0.40}
    return Metrics(**{**good, "calibration_error": 0.02, **more})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("candidate", "leaking", "promoted", "why"),
    [
        (measured(), [], True, "better: log loss 0.4000 against 0.4500"),
        (measured(log_loss=0.45), [], False, "no better"),
        (measured(auc=0.68), [], False, "it ranks worse"),
        (measured(), ["refunded_at"], False, "refunded_at alone gives the outcome away"),
        (measured(auc=0.999), [], False, "too good to be true"),
        (measured(auc=0.58, rows=300, positives=150), [], False, "can be luck"),
        (measured(calibration_error=0.2), [], False, "miss by 0.200"),
    ],
)
def test_a_verdict_is_given_with_its_reason(candidate, leaking, promoted, why):
    verdict = judge(candidate, SERVING, "prior-1", leaking)
    assert verdict.promoted is promoted
    assert why in verdict.why


def test_carts_whose_window_is_still_open_are_left_out_although_some_were_bought(build):
    rows = [
        {"prediction_id": f"p{day}", "occurred_at": build.noon + timedelta(days=day), "features": "{}",
         "outcome": "held_out", "converted": int(day in {1, 6, 7, 8})}
        for day in range(9) if day != 5
    ]  # fmt: skip
    data = from_table(pa.Table.from_pylist(rows, schema=build.outcomes), ["pages"])
    assert data.bought.tolist() == [False, True, False, False, False]


def test_rankings_that_know_nothing_scatter_as_expected():
    chance = np.random.default_rng(1)
    bought = np.arange(300) < 60
    drawn = [auc(chance.random(300), bought) for _ in range(500)]
    assert np.std(drawn) == pytest.approx(coin_error(60, 240), rel=0.15)
