"""Sessions a process works on, as columns, so that a batch of thousands takes a few array operations. No I/O.

A session has a slot; one that nobody has heard of has one too, with `started` at `NEVER`.
"""

from collections.abc import Sequence
from itertools import repeat
from typing import Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Slots = npt.NDArray[np.int64]
UNKNOWN: Final = -1
NEVER: Final = np.iinfo(np.int64).max
"""A moment that lies behind every other: of two moments the earlier one counts."""
_FIRST_SIZE: Final = 1024


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
    """Sessions by slot, a column for each thing that is known of them; times in milliseconds."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.stores: list[str] = []
        self.started = np.zeros(_FIRST_SIZE, dtype=np.int64)
        self.pages = np.zeros(_FIRST_SIZE, dtype=np.int64)
        self.landed_at = np.zeros(_FIRST_SIZE, dtype=np.int64)
        """When the step was that says how the session came about."""
        self.told = {name: np.zeros(_FIRST_SIZE, dtype=object) for name in ("source", "medium", "entry_page")}
        """What that step said."""
        self.written = np.zeros(_FIRST_SIZE, dtype=np.int64)
        """The hour in which its beginning was last written down."""
        self.minute = np.zeros(_FIRST_SIZE, dtype=np.int64)
        self.in_minute = np.zeros(_FIRST_SIZE, dtype=np.int64)
        """Its events in its newest minute, as far as this process has seen them."""
        self._looked_for = np.zeros(_FIRST_SIZE, dtype=np.int64)
        self._slots: dict[str, dict[str, int]] = {}
        self._free: list[int] = []
        self._round = 0

    def __len__(self) -> int:
        return len(self.names) - len(self._free)

    def find(self, store_id: str, sessions: Sequence[str]) -> Slots:
        """The slot of each session; UNKNOWN for those that have none."""
        inside = self._slots.get(store_id, {})
        found = np.fromiter(map(inside.get, sessions, repeat(UNKNOWN)), np.int64, len(sessions))
        self._round += 1
        self._looked_for[found[found >= 0]] = self._round
        return found

    def put(self, store_id: str, session_id: str, past: Past | None) -> None:
        """Takes a session in; without a past it begins with its first row."""
        slot = self._free.pop() if self._free else self._new_slot()
        self.stores[slot], self.names[slot] = store_id, session_id
        self._slots.setdefault(store_id, {})[session_id] = slot
        self.started[slot], self.pages[slot], landing = past or Past(NEVER, 0, Landing())
        self.landed_at[slot], *words = landing
        for column, word in zip(self.told.values(), words, strict=True):
            column[slot] = word
        self.written[slot] = self.minute[slot] = self.in_minute[slot] = 0
        self._looked_for[slot] = self._round

    def shrink(self, most: int) -> None:
        """Lets go of the sessions looked for the longest ago until at most `most` are left."""
        excess = len(self) - most
        if excess <= 0:
            return
        held = np.array([slot for inside in self._slots.values() for slot in inside.values()], dtype=np.int64)
        # A quarter more than needed, so that the next batch has not to do it again.
        for slot in held[np.argsort(self._looked_for[held])][: excess + most // 4].tolist():
            del self._slots[self.stores[slot]][self.names[slot]]
            self._free.append(slot)

    def _new_slot(self) -> int:
        slot = len(self.names)
        self.names.append("")
        self.stores.append("")
        if slot == len(self.started):
            self.started, self.pages, self.landed_at = map(_twice, (self.started, self.pages, self.landed_at))
            self.minute, self.in_minute, self.written = map(_twice, (self.minute, self.in_minute, self.written))
            self._looked_for = _twice(self._looked_for)
            self.told = {name: _twice(column) for name, column in self.told.items()}
        return slot


def _twice(column: np.ndarray) -> np.ndarray:
    return np.concatenate([column, np.zeros_like(column)])


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
