"""Who floods: more events within a minute than the store grants a visitor. Pure; time comes in.

Counting everybody exactly would take memory and time for each visitor there is. So three sieves stand one behind the
other, each of which sees only what the one before lets through: the store's own count (a store with few events has
nobody who floods), a table of cells that visitors share by hash (fixed in size, a few calls a request), and exact
counts of those in a cell that has run hot. Nobody at or below the limit is ever taken for a flood; who exceeds twice
the limit within a minute always is, a few events later at most. A minute is counted in parts of ten seconds: its length
is between 50 s and 60 s.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import compress
from typing import Final, NamedTuple

import numpy as np

OVERFLOW_GROUP: Final = "overflow"
HANDED_BACK: Final = "overflow"
"""Header of a record that was in the lane: how long it waited is no measure of the stream."""
PARTS: Final = 6
PART_SECONDS: Final = 10
QUIET: Final = timedelta(seconds=2)
"""Who has sent nothing for so long before the lane was seen empty has nothing in it."""
# With 3 million events a minute, 46 of them share a cell: far from half of any limit a store may set.
CELLS: Final = 1 << 16
AT_ONCE: Final = 64
"""The table is asked for so many events or more together: it costs the same for one."""
# Of the table's own type: adding a plain number takes thirty times as long.
_ONE: Final = np.int32(1)
MOST_SUSPECTS: Final = 10_000
"""Visitors counted exactly, over all stores. Each has sent half a limit: with more of them anything is overloaded."""
_WHO: Final = ("anonymous_id", "user_id", "session_id", "cart_id")


class Flood(NamedTuple):
    """A visitor's events that went into the lane."""

    store_id: str
    visitor: str
    since: datetime
    last: datetime
    events: int


class Window:
    """A count over the last minute."""

    __slots__ = ("_counts", "_part", "total")

    def __init__(self) -> None:
        self._counts = [0] * PARTS
        self._part = 0
        self.total = 0

    def add(self, part: int, count: int) -> int:
        """Counts, and says how many there are."""
        self._counts[self.turn(part) % PARTS] += count
        self.total += count
        return self.total

    def turn(self, part: int) -> int:
        """Lets go of what is a minute old."""
        for passed in range(max(self._part + 1, part - PARTS + 1), part + 1):
            self.total -= self._counts[passed % PARTS]
            self._counts[passed % PARTS] = 0
        self._part = max(self._part, part)
        return self._part


@dataclass(slots=True)
class _Suspect:
    """A visitor in a hot cell; `since` says that he floods."""

    window: Window = field(default_factory=Window)
    since: datetime | None = None
    last: datetime | None = None
    unsaid: int = 0


@dataclass(slots=True)
class _Store:
    salt: int
    limit: int = 0
    window: Window = field(default_factory=Window)
    uncounted: list[str] = field(default_factory=list)
    suspects: dict[str, _Suspect] = field(default_factory=dict)
    flooding: dict[str, _Suspect] = field(default_factory=dict)


@dataclass(slots=True)
class Floods:
    """The counts of one collector."""

    cells: int = CELLS
    """A power of two."""
    _stores: dict[str, _Store] = field(default_factory=dict)
    _suspects: int = 0
    _part: int = 0
    _shift: int = 0
    _table: np.ndarray = field(init=False)
    _parts: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._table = np.zeros(self.cells, dtype=np.int32)
        self._parts = np.zeros((PARTS, self.cells), dtype=np.int32)

    def aside(
        self, store_id: str, columns: Mapping[str, Sequence[object]], limit: int, now: datetime
    ) -> np.ndarray | None:
        """Which events belong into the lane, as flags; None where none does, which is nearly always."""
        self._turn(now)
        store = self._stores.get(store_id)
        if store is None:
            store = self._stores[store_id] = _Store(hash(store_id))
        store.limit = limit
        count = len(columns["event_id"])
        busy = store.window.add(self._part, count) > limit // 2
        if not busy and not store.flooding:
            return None
        visitors = _visitors(columns)
        if busy:
            store.uncounted += visitors
            if len(store.uncounted) >= AT_ONCE:
                self._count(store, now)
        return _laned(store, visitors, now) if store.flooding else None

    def _count(self, store: _Store, now: datetime) -> None:
        visitors, store.uncounted = store.uncounted, []
        cells = (np.fromiter(map(hash, visitors), np.int64, len(visitors)) ^ store.salt) & (self.cells - 1)
        np.add.at(self._table, cells, _ONE)
        np.add.at(self._parts[self._part % PARTS], cells, _ONE)
        hot = self._table[cells] > store.limit // 2
        if not hot.any():
            return
        for visitor, count in Counter(compress(visitors, hot.tolist())).items():
            suspect = store.suspects.get(visitor)
            if suspect is None:
                if self._suspects >= MOST_SUSPECTS:
                    continue
                suspect = store.suspects[visitor] = _Suspect()
                self._suspects += 1
            if suspect.window.add(self._part, count) > store.limit and suspect.since is None:
                suspect.since = now
                store.flooding[visitor] = suspect

    def _turn(self, now: datetime) -> None:
        part = int(now.timestamp()) // PART_SECONDS + self._shift
        if part < self._part - PARTS:
            # The clock was set back. Standing still until it comes here again would count for ever into one part.
            self._shift += self._part - part
        if part <= self._part:
            return
        for store in self._stores.values():
            if store.uncounted:
                self._count(store, now)
        for passed in range(max(self._part + 1, part - PARTS + 1), part + 1):
            old = self._parts[passed % PARTS]
            self._table -= old
            old[:] = 0
        self._part = part
        for store_id, store in list(self._stores.items()):
            store.window.turn(part)
            for visitor, suspect in list(store.suspects.items()):
                suspect.window.turn(part)
                if suspect.window.total == 0 and suspect.since is None:
                    del store.suspects[visitor]
                    self._suspects -= 1
            if store.window.total == 0 and not store.suspects:
                del self._stores[store_id]

    @property
    def size(self) -> int:
        """How many stores and visitors are remembered one by one."""
        return len(self._stores) + self._suspects

    @property
    def any(self) -> bool:
        """Whether anybody floods."""
        return any(store.flooding for store in self._stores.values())

    def calm(self, emptied: datetime) -> None:
        """The lane held nothing then: whoever has been calm for a minute, and quiet just before, leaves it."""
        self._turn(emptied)
        for store in self._stores.values():
            for visitor, suspect in list(store.flooding.items()):
                quiet = suspect.last is None or abs(emptied - suspect.last) >= QUIET
                if quiet and not suspect.unsaid and suspect.window.total <= store.limit // 2:
                    suspect.since = suspect.last = None
                    del store.flooding[visitor]

    def news(self) -> list[Flood]:
        """What went into the lane and was not said yet."""
        return [
            Flood(store_id, visitor, suspect.since, suspect.last, suspect.unsaid)
            for store_id, store in self._stores.items()
            for visitor, suspect in store.flooding.items()
            if suspect.unsaid and suspect.since is not None and suspect.last is not None
        ]

    def said(self, news: Sequence[Flood]) -> None:
        """These are known now."""
        for flood in news:
            self._stores[flood.store_id].flooding[flood.visitor].unsaid -= flood.events


def _laned(store: _Store, visitors: Sequence[str], now: datetime) -> np.ndarray | None:
    laned = np.fromiter(map(store.flooding.__contains__, visitors), np.bool_, len(visitors))
    if not laned.any():
        return None
    for visitor, count in Counter(compress(visitors, laned.tolist())).items():
        store.flooding[visitor].unsaid += count
        store.flooding[visitor].last = now
    return laned


def _visitors(columns: Mapping[str, Sequence[object]]) -> Sequence[str]:
    """Whose each event is: a person rather than a cart, so that a new cart is no way around."""
    first = columns[_WHO[0]]
    if None not in first:
        return first  # pyright: ignore[reportReturnType] - the column is of texts, where none is missing
    whose = zip(*(columns[name] for name in _WHO), strict=True)
    return [str(next(filter(None, ids), "")) for ids in whose]
