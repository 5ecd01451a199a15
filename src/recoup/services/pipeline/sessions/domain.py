"""Sessions a process works on, as columns, so that a batch of thousands takes a few array operations. No I/O.

A session has a slot; one that nobody has heard of has one too, with `started` at `NEVER`.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Slots = npt.NDArray[np.int64]
UNKNOWN: Final = -1
NEVER: Final = np.iinfo(np.int64).max
"""A moment that lies behind every other: of two moments the earlier one counts."""
_FIRST_SIZE: Final = 1024
_ROW: Final = np.dtype([
    ("started", "i8"),
    ("pages", "i8"),
    ("landed_at", "i8"),
    ("source", "O"),
    ("medium", "O"),
    ("entry_page", "O"),
    ("written", "i8"),
    ("minute", "i8"),
    ("in_minute", "i8"),
    ("looked_for", "i8"),
])  # fmt: skip
"""Times in milliseconds. `landed_at`: when the step was that says how the session came about. `written`: the hour in
which it was last written down. `in_minute`: its events in `minute`, its newest, as far as this process has seen them.
"""


class Landing(NamedTuple):
    """The step of a session that says how it came about."""

    at: int = NEVER
    source: str | None = None
    medium: str | None = None
    entry_page: str | None = None


class Past(NamedTuple):
    """A session as it was written down."""

    started: int
    pages: int
    landing: Landing


class Sessions(NamedTuple):
    """The sessions of a batch, once each, in the order of their stores; and each row's place among them, or -1."""

    codes: np.ndarray
    by_store: Sequence[tuple[str, list[str]]]


class SessionTable:
    """Sessions by slot; what `rows` say is what their states are."""

    def __init__(self) -> None:
        self.rows = np.zeros(_FIRST_SIZE, dtype=_ROW)
        self.names: list[tuple[str, str]] = []
        """By slot: the store and the id."""
        self._slots: dict[str, dict[str, int]] = {}
        self._free: list[int] = []
        self._round = 0

    def __len__(self) -> int:
        return len(self.names) - len(self._free)

    def find(self, store_id: str, sessions: Sequence[str]) -> Slots:
        """The slot of each session; UNKNOWN for those that have none."""
        inside = self._slots.get(store_id, {})
        found = np.array([inside.get(name, UNKNOWN) for name in sessions], dtype=np.int64)
        self._round += 1
        self.rows["looked_for"][found[found >= 0]] = self._round
        return found

    def put(self, store_id: str, session_id: str, past: Past | None) -> None:
        """Takes a session in; without a past it begins with its first row."""
        slot = self._free.pop() if self._free else self._new_slot()
        self.names[slot] = (store_id, session_id)
        self._slots.setdefault(store_id, {})[session_id] = slot
        started, pages, landing = past or Past(NEVER, 0, Landing())
        self.rows[slot] = (started, pages, *landing, 0, 0, 0, self._round)

    def shrink(self, most: int) -> None:
        """Lets go of the sessions looked for the longest ago until at most `most` are left."""
        excess = len(self) - most
        if excess <= 0:
            return
        held = np.array([slot for inside in self._slots.values() for slot in inside.values()], dtype=np.int64)
        # A quarter more than needed, so that the next batch has not to do it again.
        for slot in held[np.argsort(self.rows["looked_for"][held])][: excess + most // 4].tolist():
            store_id, session_id = self.names[slot]
            del self._slots[store_id][session_id]
            self._free.append(slot)

    def _new_slot(self) -> int:
        slot = len(self.names)
        self.names.append(("", ""))
        if slot == len(self.rows):
            self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
        return slot


def sessions_of(column: pa.ChunkedArray, store_codes: np.ndarray, store_names: list[str]) -> Sessions:
    """The sessions of these rows; the same id in two stores is two sessions."""
    whole = column.combine_chunks()
    if whole.null_count == len(whole):
        return Sessions(np.full(len(whole), UNKNOWN, dtype=np.int64), [])
    encoded = cast("pa.DictionaryArray", whole.dictionary_encode())
    names: list[str] = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(UNKNOWN).to_numpy(zero_copy_only=False).astype(np.int64)
    if len(store_names) == 1:
        return Sessions(codes, [(store_names[0], names)])
    named = codes >= 0
    pairs, which = np.unique((store_codes * len(names) + codes)[named], return_inverse=True)
    codes[named] = which
    stores, places = np.divmod(pairs, len(names))
    return Sessions(
        codes,
        [
            (store_names[store], [names[place] for place in places[stores == store].tolist()])
            for store in np.unique(stores).tolist()
        ],
    )
