"""The product's own training on real sessions (UCI Online Shoppers) ranks well, and its probabilities are honest."""

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from recoup.services.ai.models.trained import load
from recoup.services.ai.training.domain.dataset import Dataset
from recoup.services.ai.training.domain.measures import auc, average_precision, calibration_error, measure
from recoup.services.ai.training.fit import TEST_SHARE, Fitted, Plan, fit

SHARED = os.environ.get("RECOUP_SHARED", "")
NAME = "online_shoppers_intention"
FILE = next(Path(SHARED).glob(f"**/{NAME}/{NAME}.csv.gz"), Path("missing")) if SHARED else Path("missing")
pytestmark = pytest.mark.skipif(
    not SHARED or not FILE.exists(), reason="RECOUP_SHARED has no online_shoppers_intention"
)
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "June", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
VISITORS = ["New_Visitor", "Other", "Returning_Visitor"]


def number(name: str, text: str) -> float:
    if name == "Month":
        return MONTHS.index(text)
    if name == "VisitorType":
        return VISITORS.index(text)
    return float(text == "True") if text in {"True", "False"} else float(text)


@pytest.fixture(scope="module")
def sessions() -> Dataset:
    """The sessions in an order drawn by lot: the set has months but no clock, so its own is no order of time."""
    with gzip.open(FILE, "rt") as lines:
        rows = list(csv.DictReader(lines))
    names = [name for name in rows[0] if name != "Revenue"]
    values = np.array([[number(name, row[name]) for name in names] for row in rows], np.float32)
    bought = np.array([row["Revenue"] == "True" for row in rows])
    order = np.random.default_rng(7).permutation(len(rows))
    return Dataset(names, values[order], bought[order], np.arange(len(rows)))


@pytest.fixture(scope="module")
def fitted(sessions: Dataset) -> Fitted:
    return fit(sessions, np.full(len(sessions.bought), sessions.bought.mean()), Plan(threads=2))


def test_real_shoppers_are_ranked_well_with_honest_probabilities(fitted, record_property):
    metrics = fitted.report.metrics
    record_property("metrics", str(metrics))
    print(metrics)
    assert metrics.auc >= 0.92
    assert metrics.average_precision >= 0.70
    assert metrics.calibration_error < 0.02
    assert metrics.log_loss < 0.6 * fitted.report.champion.log_loss


def test_the_exported_file_answers_as_measured(sessions, fitted):
    model = load("a", fitted.onnx)
    newest = sessions.values[-round(len(sessions.bought) * TEST_SHARE) :]
    probabilities = model.probabilities_of(newest)
    again = measure(probabilities, sessions.bought[-len(newest) :])
    assert again.auc == pytest.approx(fitted.report.metrics.auc, abs=1e-4)
    assert again.log_loss == pytest.approx(fitted.report.metrics.log_loss, abs=1e-4)


def test_our_measures_agree_with_scikit_learn(sessions):
    scores = sessions.values[:, sessions.names.index("PageValues")].astype(float)
    assert auc(scores, sessions.bought) == pytest.approx(roc_auc_score(sessions.bought, scores))
    assert average_precision(scores, sessions.bought) == pytest.approx(average_precision_score(sessions.bought, scores))
    certain = np.full(len(sessions.bought), sessions.bought.mean())
    assert calibration_error(certain, sessions.bought) < 0.03
