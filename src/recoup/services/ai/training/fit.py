"""Trains, calibrates and exports one model, in a process of its own: the service's memory and answers stay as they are.

`python -m recoup.services.ai.training.fit FOLDER` reads `data.arrow` and `plan.json` there and writes `model.onnx` and
`report.json`; lines on standard output say how far it is.

Rows are in order of time. The newest fifth is kept apart: both the new model and the one that serves are measured on
it. On the rest, blocks of time take turns at being predicted by a model trained on the others; from these predictions
come the choice among a few shapes of trees, the number of trees, and the calibration, none of which has seen its own
answer.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Struct

from recoup.kit.clock import stopwatch
from recoup.kit.lean import without
from recoup.services.ai.models.domain import Metrics
from recoup.services.ai.models.trained import METADATA, Card
from recoup.services.ai.training.domain.dataset import Dataset
from recoup.services.ai.training.domain.measures import log_loss, measure

if TYPE_CHECKING:
    from lightgbm import Booster

Floats = npt.NDArray[np.float64]
Tell = Callable[[str], None]
Shape = dict[str, float]
TEST_SHARE: Final = 0.2
FOLDS: Final = 5
MOST_TREES: Final = 600
PATIENCE: Final = 40
_STILL: Final = 1e-9
"""A step smaller than this is none."""
_COMMON: Final = {
    "objective": "binary",
    "verbosity": -1,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
}
SHAPES: Final[tuple[Shape, ...]] = (
    {"num_leaves": 15, "min_data_in_leaf": 40, "feature_fraction": 0.6, "bagging_fraction": 0.8},
    {"num_leaves": 7, "min_data_in_leaf": 30, "feature_fraction": 0.5, "bagging_fraction": 0.7},
)
"""Tried in this order while the budget lasts; the first is always tried."""


class Plan(Struct, frozen=True, kw_only=True):
    """How to train."""

    held: list[str] = []
    seed: int = 1
    threads: int = 1
    budget_seconds: float = 60.0
    """Past this, no further shape is tried."""


class Report(Struct, frozen=True, kw_only=True):
    """What came of it, on the newest rows."""

    metrics: Metrics
    champion: Metrics
    trees: int
    importance: dict[str, float]
    """Share of all gain by feature."""


class Fitted(NamedTuple):
    """A model file and what is known of it."""

    onnx: bytes
    report: Report


class _Tried(NamedTuple):
    shape: Shape
    trees: int
    unseen: Floats
    """Log-odds of each row by a model that had not seen it."""
    loss: float


def fit(data: Dataset, champion: Floats, plan: Plan, tell: Tell = lambda _: None) -> Fitted:
    """A calibrated model; `champion` holds what the model now serving says of each row."""
    old, new = _split(len(data.bought))
    past, newest = data.take(old), data.take(new)
    best = _best(past, plan, tell)
    slope, shift = platt(best.unseen, past.bought)
    tell(f"training {best.trees} trees on {len(old)} carts")
    booster = _train(past, best.shape, plan, best.trees)
    card = Card(
        columns=list(data.names), typical=_typical(past), held=plan.held, slope=slope, shift=shift,
        confidence=_confidence(past),
    )  # fmt: skip
    raw = _log_odds(booster, newest.values)
    probabilities = 1 / (1 + np.exp(-(slope * raw + shift)))
    gain = cast("Floats", booster.feature_importance("gain"))
    report = Report(
        metrics=measure(probabilities, newest.bought), champion=measure(champion[new], newest.bought), trees=best.trees,
        importance=dict(zip(data.names, (gain / max(gain.sum(), 1e-9)).round(4).tolist(), strict=True)),
    )  # fmt: skip
    tell("exporting")
    return Fitted(exported(booster, card), report)


def platt(log_odds: Floats, bought: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and shift that make log-odds honest: logistic regression on one number, by Newton's steps."""
    slope, shift = 1.0, 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(slope * log_odds + shift, -30, 30)))
        miss, weight = p - bought, np.maximum(p * (1 - p), 1e-9)
        gradient = np.array([(miss * log_odds).sum(), miss.sum()])
        curve = np.array([
            [(weight * log_odds**2).sum() + 1e-6, (weight * log_odds).sum()],
            [(weight * log_odds).sum(), weight.sum() + 1e-6],
        ])  # fmt: skip
        step = np.linalg.solve(curve, gradient)
        slope, shift = slope - float(step[0]), shift - float(step[1])
        if float(np.abs(step).max()) < _STILL:
            break
    return (slope, shift) if slope > 0 else (1.0, 0.0)


def exported(booster: object, card: Card) -> bytes:
    """The trees as ONNX in 32-bit floats, with the card in the metadata."""
    from onnxmltools import convert_lightgbm  # noqa: PLC0415 - heavy, and only this process needs it
    from onnxmltools.convert.common.data_types import FloatTensorType  # noqa: PLC0415

    shape = [("features", FloatTensorType([None, len(card.columns)]))]
    graph = convert_lightgbm(booster, initial_types=shape, zipmap=False, target_opset=15)
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA, msgspec.json.encode(card).decode()
    return cast("bytes", graph.SerializeToString())


def _split(count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    border = count - max(1, round(count * TEST_SHARE))
    return np.arange(border), np.arange(border, count)


def _best(past: Dataset, plan: Plan, tell: Tell) -> _Tried:
    started = stopwatch()
    tried: list[_Tried] = []
    for number, shape in enumerate(SHAPES, start=1):
        if tried and stopwatch() - started > plan.budget_seconds:
            break
        tell(f"trying shape {number} of {len(SHAPES)}")
        tried.append(_try(past, shape, plan))
    return min(tried, key=lambda one: one.loss)


def _try(past: Dataset, shape: Shape, plan: Plan) -> _Tried:
    """Each block of time predicted by a model of the others, stopped where it stopped helping."""
    count = len(past.bought)
    unseen, trees = np.zeros(count), []
    for fold in range(FOLDS):
        block = np.arange(count * fold // FOLDS, count * (fold + 1) // FOLDS)
        others = past.take(np.setdiff1d(np.arange(count), block))
        booster = _train(others, shape, plan, MOST_TREES, stop_on=past.take(block))
        trees.append(booster.best_iteration or MOST_TREES)
        unseen[block] = _log_odds(booster, past.values[block])
    # The full set is a quarter larger than what each of these saw, and bears slightly more trees.
    return _Tried(shape, round(float(np.mean(trees)) * 1.1), unseen, log_loss(1 / (1 + np.exp(-unseen)), past.bought))


def _train(data: Dataset, shape: Shape, plan: Plan, trees: int, stop_on: Dataset | None = None) -> "Booster":
    import lightgbm  # noqa: PLC0415 - heavy, and only this process needs it

    parameters = {**_COMMON, **shape, "seed": plan.seed, "num_threads": plan.threads}
    parameters["min_data_in_leaf"] = min(int(shape["min_data_in_leaf"]), max(5, len(data.bought) // 50))
    training = lightgbm.Dataset(
        data.values.astype(np.float64), data.bought.astype(np.int8), feature_name=list(data.names)
    )
    if stop_on is None:
        return lightgbm.train(parameters, training, num_boost_round=trees)
    watched = training.create_valid(stop_on.values.astype(np.float64), stop_on.bought.astype(np.int8))
    stopping = [lightgbm.early_stopping(PATIENCE, verbose=False)]
    return lightgbm.train(parameters, training, num_boost_round=trees, valid_sets=[watched], callbacks=stopping)


def _log_odds(booster: "Booster", values: npt.NDArray[np.float32]) -> Floats:
    return np.asarray(booster.predict(values.astype(np.float64), raw_score=True), np.float64)


def _typical(past: Dataset) -> list[float | None]:
    """Of each column the median; None where most carts have nothing."""
    found: list[float | None] = []
    for column in past.values.T:
        known = column[~np.isnan(column)]
        found.append(float(np.median(known)) if len(known) * 2 >= len(column) else None)
    return found


def _confidence(past: Dataset) -> float:
    """Grows with the rarer outcome: half at 200 of them, nine tenths at 1,800."""
    rarer = float(min(past.bought.sum(), (~past.bought).sum()))
    return rarer / (rarer + 200)


def main(folder: Path) -> None:
    # LightGBM loads these where it finds them, for doors of its own that we do not use: without, it starts in a third.
    without("sklearn", "pandas", "matplotlib")
    plan = msgspec.json.decode((folder / "plan.json").read_bytes(), type=Plan)
    with pa.ipc.open_file(str(folder / "data.arrow")) as reader:
        table = reader.read_all()
    names = [name for name in table.column_names if name not in {"_bought", "_at", "_champion"}]
    data = Dataset(
        names,
        np.column_stack([table.column(name).to_numpy() for name in names]),
        table.column("_bought").to_numpy(zero_copy_only=False),
        table.column("_at").to_numpy(),
        tuple(plan.held),
    )
    fitted = fit(data, table.column("_champion").to_numpy(), plan, _say)
    (folder / "model.onnx").write_bytes(fitted.onnx)
    (folder / "report.json").write_bytes(msgspec.json.encode(fitted.report))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
