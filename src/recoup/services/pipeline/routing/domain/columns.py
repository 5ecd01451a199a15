"""Which rows of a batch a condition means, decided by column."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recoup.services.pipeline.routing.domain.conditions import (
    All,
    AnyOf,
    Compare,
    Condition,
    Kind,
    Not,
    Operator,
    Scalar,
    Segment,
    Source,
)

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]
_ORDERING: Final[dict[Operator, Callable[[pa.Array, pa.Scalar], pa.Array]]] = {
    Operator.BELOW: pc.less,
    Operator.AT_MOST: pc.less_equal,
    Operator.ABOVE: pc.greater,
    Operator.AT_LEAST: pc.greater_equal,
}


@dataclass(slots=True)
class Rows:
    """A batch of enriched rows, and what was made of it for conditions that ask the same."""

    table: pa.Table
    _columns: dict[tuple[str, ...], pa.Array] = field(default_factory=dict)
    _documents: list[object] | None = None
    _properties: dict[tuple[str, ...], list[object]] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.table.num_rows

    def column(self, name: str) -> pa.Array:
        found = self._columns.get((name,))
        if found is None:
            found = self._columns[name,] = _whole(self.table.column(name))
        return found

    def lines(self, name: str) -> tuple[pa.Array, np.ndarray]:
        """A field of all items, and the row each belongs to."""
        items = self.column("items")
        found = self._columns.get(("items", name))
        if found is None:
            found = self._columns["items", name] = pc.struct_field(items.flatten(), name)
        return found, pc.list_parent_indices(items).to_numpy(zero_copy_only=False)

    def segments(self) -> pa.Array:
        found = self._columns.get(("segment", ""))
        if found is None:
            found = self._columns["segment", ""] = _segments(self)
        return found

    def properties(self, path: tuple[str, ...]) -> list[object]:
        """What stands at a path of each row's properties.

        Row by row: they are JSON of any shape. Each is read once, and only where a rule looks into it.
        """
        if self._documents is None:
            self._documents = [
                msgspec.json.decode(text) if text else None for text in self.column("properties").to_pylist()
            ]
        found = self._properties.get(path)
        if found is None:
            found = self._properties[path] = [_at(document, path) for document in self._documents]
        return found


def matching(condition: Condition, rows: Rows) -> Mask:
    """True for each row that a condition means."""
    match condition:
        case All(parts=parts):
            return reduce(np.logical_and, (matching(part, rows) for part in parts), np.ones(len(rows), dtype=bool))
        case AnyOf(parts=parts):
            return reduce(np.logical_or, (matching(part, rows) for part in parts), np.zeros(len(rows), dtype=bool))
        case Not(part=part):
            return ~matching(part, rows)
        case Compare():
            return _compared(condition, rows)


def _compared(said: Compare, rows: Rows) -> Mask:
    match said.field.source:
        case Source.COLUMN:
            return _mask(rows.column(said.field.path[0]), said)
        case Source.SEGMENT:
            return _mask(rows.segments(), said)
        case Source.ITEM:
            values, owners = rows.lines(said.field.path[0])
            found = np.zeros(len(rows), dtype=bool)
            found[owners[_mask(values, said)]] = True
            return found
        case Source.PROPERTY:
            return _in_properties(rows.properties(said.field.path), said)


def _mask(values: pa.Array, said: Compare) -> Mask:
    """True where a value is there and fits."""
    if said.operator is Operator.EXISTS:
        return _plain(pc.is_valid(values))
    if said.field.kind is Kind.TIME:
        values = values.cast(pa.int64())
    return _plain(_fits(values, said.operator, said.values))


def _fits(values: pa.Array, operator: Operator, wanted: Sequence[Scalar]) -> pa.Array:
    if operator in _ORDERING:
        return _ORDERING[operator](values, pa.scalar(wanted[0]))
    if operator is Operator.STARTS_WITH:
        return pc.starts_with(values, pattern=str(wanted[0]))
    if operator is Operator.CONTAINS:
        return pc.match_substring(values, pattern=str(wanted[0]))
    return pc.equal(values, pa.scalar(wanted[0])) if len(wanted) == 1 else _one_of(values, wanted)


def _one_of(values: pa.Array, wanted: Sequence[Scalar]) -> pa.Array:
    if any(isinstance(value, float) for value in wanted):
        return pc.is_in(values.cast(pa.float64()), value_set=pa.array([float(value) for value in wanted]))
    return pc.and_(pc.is_in(values, value_set=pa.array(list(wanted), values.type)), pc.is_valid(values))


def _plain(found: pa.Array) -> Mask:
    return pc.fill_null(found, False).to_numpy(zero_copy_only=False)  # noqa: FBT003 - the value to fill with


def _in_properties(values: list[object], said: Compare) -> Mask:
    """Texts, numbers and flags are columns of their own, so that 5 is neither "5" nor true."""
    if said.operator is Operator.EXISTS:
        return np.fromiter((value is not None for value in values), bool, len(values))
    found = np.zeros(len(values), dtype=bool)
    texts = [value for value in said.values if isinstance(value, str)]
    flags = [value for value in said.values if isinstance(value, bool)]
    numbers = [float(value) for value in said.values if isinstance(value, int | float) and not isinstance(value, bool)]
    if texts:
        found |= _plain(_fits(_texts(values), said.operator, texts))
    if flags:
        found |= _plain(_fits(_flags(values), said.operator, flags))
    if numbers:
        found |= _plain(_fits(_numbers(values), said.operator, numbers))
    return found


def _texts(values: list[object]) -> pa.Array:
    return pa.array([value if isinstance(value, str) else None for value in values], pa.string())


def _flags(values: list[object]) -> pa.Array:
    return pa.array([value if isinstance(value, bool) else None for value in values], pa.bool_())


def _numbers(values: list[object]) -> pa.Array:
    return pa.array([_number(value) for value in values], pa.float64())


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 300 digits
        return None


def _at(document: object, path: tuple[str, ...]) -> object:
    for name in path:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


def _segments(rows: Rows) -> pa.Array:
    orders = rows.column("user_orders")
    return pc.case_when(
        pc.make_struct(
            pc.fill_null(pc.equal(rows.column("device_class"), Segment.CRAWLER.value), False),  # noqa: FBT003
            pc.is_null(rows.column("user_id")),
            pc.is_null(orders),
            pc.fill_null(pc.equal(orders, 0), False),  # noqa: FBT003 - the value to fill with
            pc.fill_null(pc.equal(orders, 1), False),  # noqa: FBT003
        ),
        *(
            pa.scalar(segment.value)
            for segment in (Segment.CRAWLER, Segment.VISITOR, Segment.UNKNOWN, Segment.NEW, Segment.CUSTOMER)
        ),
        pa.scalar(Segment.REPEAT.value),
    )


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()
