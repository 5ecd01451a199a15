"""How well probabilities rank and how honest they are. Plain NumPy, so that serving and training measure alike."""

from typing import Final

import numpy as np
import numpy.typing as npt

from recoup.services.ai.models.domain import Metrics

BINS: Final = 10
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def measure(probabilities: Floats, bought: Flags) -> Metrics:
    """Every measure we compare models by."""
    return Metrics(
        rows=len(bought),
        positives=int(bought.sum()),
        auc=auc(probabilities, bought),
        average_precision=average_precision(probabilities, bought),
        log_loss=log_loss(probabilities, bought),
        calibration_error=calibration_error(probabilities, bought),
    )


def auc(scores: Floats, bought: Flags) -> float:
    """The chance that a buyer scores above a non-buyer, ties counting half; a half where one of them is missing."""
    positives, negatives = int(bought.sum()), int((~bought).sum())
    if not positives or not negatives:
        return 0.5
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[bought].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(scores: Floats, bought: Flags) -> float:
    """Area under precision over recall; equal scores are taken together."""
    if not bought.any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(bought[order])
    last = np.append(np.diff(scores[order]) != 0, True)
    precision = (hits / np.arange(1, len(hits) + 1))[last]
    recall = (hits / hits[-1])[last]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def log_loss(probabilities: Floats, bought: Flags) -> float:
    """Mean surprise, in nats."""
    bounded = np.clip(probabilities, 1e-7, 1 - 1e-7)
    return float(-np.mean(np.where(bought, np.log(bounded), np.log(1 - bounded)))) if len(bought) else 0.0


def calibration_error(probabilities: Floats, bought: Flags) -> float:
    """Over ten bins of equal size, by how much a stated probability misses the share that came true, on average."""
    if not len(bought):
        return 0.0
    parts = np.array_split(np.argsort(probabilities, kind="stable"), min(BINS, len(bought)))
    misses = [len(part) * abs(float(probabilities[part].mean() - bought[part].mean())) for part in parts]
    return sum(misses) / len(bought)
