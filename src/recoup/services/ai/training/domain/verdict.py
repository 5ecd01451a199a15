"""When a trained model may serve: enough to learn from, nothing leaking, no worse than what serves now. Says why."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from recoup.services.ai.models.domain import Metrics
from recoup.services.ai.training.domain.dataset import Dataset
from recoup.services.ai.training.domain.measures import auc

TELLS_ALONE: Final = 0.98
"""A feature that ranks this well by itself knows the outcome: it was written after it."""
TOO_GOOD: Final = 0.995
LUCK: Final = 3.0
"""Standard errors above a coin's ranking that a model must reach: chance alone gets there once in seven hundred."""
WORSE_RANKING: Final = 0.01
"""By so much may AUC fall, where the log loss is better."""
WORST_CALIBRATION: Final = 0.08


class Verdict(Struct, frozen=True):
    """Whether a model may serve, and the sentence that says why."""

    promoted: bool
    why: str


def too_little(data: Dataset, *, rows: int, positives: int) -> str | None:
    """Why a data set is too small to train on, or None."""
    have, bought = len(data.bought), int(data.bought.sum())
    if have < rows:
        return f"{have} abandoned carts have a known outcome; training starts at {rows}"
    if min(bought, have - bought) < positives:
        return f"{bought} of {have} abandoned carts were bought after all; training needs {positives} of each outcome"
    return None


def leaks(data: Dataset) -> list[str]:
    """Features that tell the outcome all by themselves, by their values or by being known at all."""
    return [name for column, name in enumerate(data.names) if _alone(data, column) >= TELLS_ALONE]


def _alone(data: Dataset, column: int) -> float:
    values = data.values[:, column].astype(np.float64)
    known = ~np.isnan(values)
    by_presence = auc(known.astype(np.float64), data.bought)
    by_value = auc(np.where(known, values, np.nanmin(values, initial=0.0) - 1), data.bought)
    return max(by_presence, 1 - by_presence, by_value, 1 - by_value)


def coin_error(positives: int, negatives: int) -> float:
    """The standard error of the AUC of a ranking that knows nothing (Mann and Whitney)."""
    if not positives or not negatives:
        return 0.5
    return math.sqrt((positives + negatives + 1) / (12 * positives * negatives))


def judge(candidate: Metrics, champion: Metrics, champion_version: str, leaking: Sequence[str]) -> Verdict:
    """Compares both on the same newest rows, which neither was trained on."""
    fault = _fault(candidate, leaking)
    if fault is not None:
        return Verdict(promoted=False, why=fault)
    compared = (
        f"log loss {candidate.log_loss:.4f} against {champion.log_loss:.4f}, AUC {candidate.auc:.3f} against "
        f"{champion.auc:.3f} of {champion_version} on the newest {candidate.rows} carts"
    )
    if candidate.log_loss >= champion.log_loss:
        return Verdict(promoted=False, why=f"no better: {compared}")
    if candidate.auc < champion.auc - WORSE_RANKING:
        return Verdict(promoted=False, why=f"it ranks worse: {compared}")
    return Verdict(promoted=True, why=f"better: {compared}")


def _fault(candidate: Metrics, leaking: Sequence[str]) -> str | None:
    """What forbids a model whatever it is compared with."""
    if leaking:
        return f"{', '.join(leaking)} alone gives the outcome away: a value from after the decision"
    if candidate.auc >= TOO_GOOD:
        return f"AUC {candidate.auc:.3f} is too good to be true: something in the data knows the outcome"
    needed = 0.5 + LUCK * coin_error(candidate.positives, candidate.rows - candidate.positives)
    if candidate.auc < needed:
        return f"AUC {candidate.auc:.3f} on {candidate.rows} carts can be luck; it takes {needed:.3f}"
    if candidate.calibration_error > WORST_CALIBRATION:
        return f"its probabilities miss by {candidate.calibration_error:.3f} on average"
    return None
