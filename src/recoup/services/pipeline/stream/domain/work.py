"""A batch on its way through the steps: its rows, what is known about them, and what was found out.

Holds, decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.carts.domain import CartKey, CartState, Derived, Patience

_MINUTE_MS = 60_000
_DAY_MS = 86_400_000


class Dead(NamedTuple):
    """A row that cannot be used, and why."""

    row: int
    kind: str
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """What the steps may know besides the rows; gathered before the first of them."""

    seen: np.ndarray
    """By row: its id took effect before."""
    stores: Mapping[str, StoreSettings]
    carts: Mapping[CartKey, CartState]
    due: Sequence[CartKey]
    """Carts whose timers have rung."""
    reached: Mapping[tuple[int, str], int]
    """The time reached (ms), by partition and store; by partition and "" for stores on the wall clock."""
    now: datetime


@dataclass(slots=True)
class Work:
    """Rows in the order of partition and offset, with everything the steps add."""

    rows: pa.Table
    partitions: np.ndarray
    offsets: np.ndarray
    kept: np.ndarray
    ids: Sequence[bytes]
    type_codes: np.ndarray
    type_names: list[str]
    store_codes: np.ndarray
    store_names: list[str]
    occurred: np.ndarray
    """Milliseconds since 1970."""
    cart_codes: np.ndarray
    """By row: which of `carts`, or -1 where the event bears no cart."""
    carts: Sequence[CartKey]
    """Each cart of the batch, once."""
    columns: dict[str, pa.Array] = field(default_factory=dict)
    """Enrichment by column name."""
    dead: list[Dead] = field(default_factory=list)
    duplicates: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    derived: list[tuple[CartKey, Derived]] = field(default_factory=list)
    changed: dict[CartKey, CartState] = field(default_factory=dict)
    timers: dict[CartKey, tuple[str, int]] = field(default_factory=dict)
    gone: dict[CartKey, str] = field(default_factory=dict)
    enriched: list[tuple[int, pa.Table]] = field(default_factory=list)
    """Rows of ENRICHED to write, by partition."""
    dead_letters: list[tuple[int, pa.Table]] = field(default_factory=list)
    """Rows of DEAD to write, by partition."""

    def of_types(self, types: frozenset[str]) -> np.ndarray:
        """Marks the rows of these types."""
        return np.array([name in types for name in self.type_names], dtype=bool)[self.type_codes]


def work_of(rows: pa.Table, partitions: np.ndarray, offsets: np.ndarray) -> Work:
    """Rows of RAW, with where they came from."""
    types, type_names = _encoded(rows.column("type"))
    stores, store_names = _encoded(rows.column("store_id"))
    cart_codes, carts = _carts(rows.column("cart_id"), partitions, stores, store_names)
    return Work(
        rows=rows,
        partitions=partitions,
        offsets=offsets,
        kept=np.ones(len(rows), dtype=bool),
        ids=rows.column("event_id").to_pylist(),
        type_codes=types,
        type_names=type_names,
        store_codes=stores,
        store_names=store_names,
        occurred=numbers(rows.column("occurred_at")),
        cart_codes=cart_codes,
        carts=carts,
    )


def _encoded(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Each row's value as an index into the distinct values."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary.to_pylist()


def _carts(
    column: pa.ChunkedArray, partitions: np.ndarray, stores: np.ndarray, store_names: list[str]
) -> tuple[np.ndarray, list[CartKey]]:
    """Carts are few beside their events: each gets one key, and its rows a number."""
    encoded = column.combine_chunks().dictionary_encode()
    names: list[str] = encoded.dictionary.to_pylist()
    bearing = encoded.indices.is_valid().to_numpy(zero_copy_only=False)
    codes = np.full(len(bearing), -1, dtype=np.int64)
    if not names:
        return codes, []
    name_codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    together = name_codes * len(store_names) + stores
    distinct, first, inverse = np.unique(together[bearing], return_index=True, return_inverse=True)
    codes[bearing] = inverse
    places = partitions[bearing][first].tolist()
    keys = [
        CartKey(place, store_names[code % len(store_names)], names[code // len(store_names)])
        for code, place in zip(distinct.tolist(), places, strict=True)
    ]
    return codes, keys


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """A column without nulls as int64."""
    return column.combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False)


def patience(store: StoreSettings) -> Patience:
    """A store's thresholds in milliseconds."""
    return Patience(idle=store.idle_minutes * _MINUTE_MS, recovery=store.recovery_days * _DAY_MS)


def clock_domain(store_id: str, store: StoreSettings) -> str:
    """Which clock a store's timers go by: its own, or the wall's, which all such stores share."""
    return store_id if store.clock == "event" else ""
