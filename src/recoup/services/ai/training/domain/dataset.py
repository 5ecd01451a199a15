"""A training set: logged feature values, what became of each cart, and when. Refuses what can't be trained on.

The values are those the prediction was made from, so nothing in them was learnt later. Whether a cart was contacted is
a column of its own: the model learns what comes of itself apart from what we brought about, and serves with it at zero.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recoup.kit.errors import Invalid
from recoup.messages.facts import Outcome

CONTACTED: Final = "contacted"
_ENOUGH_OF_BOTH: Final = 0.05
"""Share each arm must have at least for `contacted` to be a column."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows in order of time. `values` has a column a name; NaN is not known."""

    names: Sequence[str]
    values: npt.NDArray[np.float32]
    bought: npt.NDArray[np.bool_]
    at: npt.NDArray[np.int64]
    held: Sequence[str] = ()
    """Names that are conditions rather than features; zero when serving."""

    @property
    def digest(self) -> str:
        """The same for the same rows."""
        parts = ("\x1f".join(self.names).encode(), self.values.tobytes(), self.bought.tobytes(), self.at.tobytes())
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def newest(self, count: int) -> "Dataset":
        return self.take(np.arange(max(0, len(self.bought) - count), len(self.bought)))

    def take(self, rows: npt.NDArray[np.intp]) -> "Dataset":
        return Dataset(self.names, self.values[rows], self.bought[rows], self.at[rows], self.held)


def from_table(table: "pa.Table", names: Sequence[str]) -> Dataset:
    """The intelligence service's rows with these features; raises Invalid where a column is missing."""
    missing = {"occurred_at", "features", "outcome", "converted"} - set(table.column_names)
    if missing:
        raise Invalid(f"the training set lacks {', '.join(sorted(missing))}")
    ordered = table.sort_by([("occurred_at", "ascending"), ("prediction_id", "ascending")])
    rows = [_vector(features) for features in ordered.column("features").to_pylist()]
    values = np.array([[_number(row.get(name)) for name in names] for row in rows], np.float32).reshape(-1, len(names))
    at = ordered.column("occurred_at").cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_numpy()
    bought = ordered.column("converted").cast(pa.int8()).to_numpy() > 0
    contacted = np.array([outcome == Outcome.CONTACT for outcome in ordered.column("outcome").to_pylist()], np.float32)
    # Of the newest carts only those that were bought already are known; with them, the newest would all seem bought.
    settled = at <= at[~bought].max(initial=0)
    values, bought, at, contacted = values[settled], bought[settled], at[settled], contacted[settled]
    plain = Dataset(names, values, bought, at)
    if not _ENOUGH_OF_BOTH <= float(contacted.mean() if len(contacted) else 0) <= 1 - _ENOUGH_OF_BOTH:
        return plain
    return Dataset([*names, CONTACTED], np.column_stack([values, contacted]), bought, at, (CONTACTED,))


def _vector(features: object) -> Mapping[str, float | None]:
    """Logged values, whether they came as JSON, as a map or as a struct."""
    if isinstance(features, str | bytes):
        return msgspec.json.decode(features, type=dict[str, float | None])
    if isinstance(features, list):
        return dict(cast("list[tuple[str, float | None]]", features))
    return cast("Mapping[str, float | None]", features or {})


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
