"""A trained model in ONNX Runtime. Loads the runtime only when there is a model to run; trains nothing.

What the graph doesn't say travels in its metadata, under `recoup`: the columns in order, the calibration and what is
typical. Calibration is one step after the graph: with p from it, the answer is sigmoid(slope * logit(p) + shift).
A column that is no feature of ours but a condition (`contacted`) is held at zero: we ask who comes back without being
contacted.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from recoup.kit.errors import Invalid
from recoup.services.ai.models.domain import Contribution, Scored, Vector, by_size

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

METADATA: Final = "recoup"
Matrix = npt.NDArray[np.float32]


class Card(Struct, frozen=True, kw_only=True):
    """What a model file says about itself."""

    columns: list[str]
    typical: list[float | None]
    """Of each column, what an ordinary cart has; None where an ordinary cart has nothing."""
    held: list[str] = []
    """Columns that are conditions, zero when serving."""
    slope: float = 1.0
    shift: float = 0.0
    confidence: float = 0.0


class Trained:
    """One model, ready to be asked."""

    def __init__(self, version: str, session: "InferenceSession", card: Card) -> None:
        self.version = version
        self.card = card
        self._session = session
        self._input: str = session.get_inputs()[0].name
        self._output: str = session.get_outputs()[1].name
        self._explained = [place for place, name in enumerate(card.columns) if name not in card.held]
        self._typical = _row(card.typical)

    def probabilities(self, vectors: Sequence[Vector]) -> list[float]:
        return self.probabilities_of(self.matrix(vectors)).tolist()

    def explain(self, vectors: Sequence[Vector]) -> list[Scored]:
        """Each probability with what every feature did to it: the score less the score with that feature as usual."""
        if not vectors:
            return []
        rows = self.matrix(vectors)
        places = self._explained
        variants = np.repeat(rows[:, None, :], len(places) + 1, axis=1)
        for step, place in enumerate(places, start=1):
            variants[:, step, place] = self._typical[place]
        scores = self.log_odds_of(variants.reshape(-1, rows.shape[1])).reshape(len(rows), -1)
        effects = scores[:, :1] - scores[:, 1:]
        return [
            self._scored(vector, score, effect)
            for vector, score, effect in zip(vectors, scores[:, 0], effects, strict=True)
        ]

    def matrix(self, vectors: Sequence[Vector]) -> Matrix:
        """Values in the model's own order; not known is NaN, conditions are zero."""
        held = set(self.card.held)
        return np.array(
            [[0.0 if name in held else _number(vector.get(name)) for name in self.card.columns] for vector in vectors],
            np.float32,
        ).reshape(-1, len(self.card.columns))

    def probabilities_of(self, rows: Matrix) -> npt.NDArray[np.float64]:
        return 1 / (1 + np.exp(-self.log_odds_of(rows)))

    def log_odds_of(self, rows: Matrix) -> npt.NDArray[np.float64]:
        """Calibrated scores of rows in the model's own order."""
        answer = cast("Matrix", self._session.run([self._output], {self._input: rows})[0])
        return calibrated(answer[:, 1], self.card)

    def _scored(self, vector: Vector, score: float, effects: npt.NDArray[np.float64]) -> Scored:
        names = [self.card.columns[place] for place in self._explained]
        found = [
            Contribution(name, vector.get(name), effect) for name, effect in zip(names, effects.tolist(), strict=True)
        ]
        known = sum(one.value is not None for one in found) / max(1, len(found))
        return Scored(float(1 / (1 + np.exp(-score))), self.card.confidence * known, by_size(found))


def load(version: str, content: bytes) -> Trained:
    """A model from its file; raises Invalid for one that isn't ours."""
    import onnxruntime  # noqa: PLC0415 - loaded with the first trained model, not with the service

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    if METADATA not in metadata:
        raise Invalid("the model file lacks our metadata")
    return Trained(version, session, msgspec.json.decode(metadata[METADATA], type=Card))


def calibrated(probabilities: npt.NDArray[np.floating], card: Card) -> npt.NDArray[np.float64]:
    """Log-odds after calibration."""
    bounded = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    return card.slope * np.log(bounded / (1 - bounded)) + card.shift


def _row(values: Sequence[float | None]) -> Matrix:
    return np.array([_number(value) for value in values], np.float32)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
