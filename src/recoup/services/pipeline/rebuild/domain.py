"""What enriched rows, read once more, say of carts, sessions, visitors and clocks. They are right: nothing is derived.

Rows of one record were worked on together, in order of time; the records one after the other. A cart is folded in that
same order, so that it ends as it was then. What became true of it is told by rows of their own and by nothing else: a
cart that was abandoned is so again, and one that nobody said was abandoned is not, until its timer rings.
"""

from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
import pyarrow as pa

from recoup.messages.events import DERIVED, ENRICHED, RAW, CartChange, EventType
from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.carts.domain.cart import (
    CHANGING,
    OPENING,
    CartState,
    Derivation,
    is_forgettable,
    repeat,
    repeat_derived,
)
from recoup.services.pipeline.carts.domain.table import Standing, key_of
from recoup.services.pipeline.sessions.domain import Landing, Past
from recoup.services.pipeline.stream.domain.identities import links_of
from recoup.services.pipeline.stream.domain.tracking import events_of
from recoup.services.pipeline.stream.domain.work import Visitor, Work, clock_domain, ids_by_store, numbers, patience

_SESSION: Final = ("session_pages", "session_seconds", "session_source", "session_medium", "session_entry_page")
_OURS: Final = ("cart_number", "cart_change", *_SESSION, "enriched_at")
COLUMNS: Final = pa.schema([*RAW, *(ENRICHED.field(name) for name in _OURS)])
"""What is read of each row."""
_CLOCK: Final = frozenset({EventType.CLOCK.value})
_DERIVED: Final = frozenset(kind.value for kind in DERIVED)
_TELLING: Final = CHANGING | _DERIVED


@dataclass(slots=True)
class Memory:
    """What the rows read so far add up to."""

    stores: dict[str, StoreSettings] = field(default_factory=dict)
    """Settings of each store that rows are of."""
    carts: dict[tuple[int, str], CartState] = field(default_factory=dict)
    """By partition and name."""
    clocks: dict[tuple[int, str], int] = field(default_factory=dict)
    """Event time reached (ms), by partition and store."""
    sessions: dict[tuple[str, str], Past] = field(default_factory=dict)
    """By store and session."""
    links: dict[Visitor, str] = field(default_factory=dict)
    """Users that visitors turned out to be."""

    def take(self, work: Work, sessions_since: int) -> None:
        """Adds rows; of sessions only those that took effect since then (ms)."""
        self._fold(work)
        self._touch(work)
        self._move_clocks(work)
        self._follow(work, sessions_since)
        self.links |= links_of(work)

    def _fold(self, work: Work) -> None:
        rows = np.flatnonzero(work.of_types(_TELLING) & (work.cart_codes >= 0) | self._forgetting(work))
        rows = rows[np.lexsort((work.occurred[rows], work.offsets[rows], work.cart_codes[rows]))]
        at = pa.array(rows)
        told = zip(
            *(work.rows.column(name).take(at).to_pylist() for name in ("cart_number", "cart_change")), strict=True
        )
        for (row, event), (number, change) in zip(events_of(work, rows).items(), told, strict=True):
            key = work.carts[work.cart_codes[row]]
            opens = change == CartChange.OPENED
            cart = self.carts.setdefault(key, CartState()) if opens else self.carts.get(key)
            if cart is None:
                continue
            if number is None:
                del self.carts[key]
                continue
            if event.type in _DERIVED:
                repeat_derived(cart, cast("Derivation", EventType(event.type)), event.at, number)
            else:
                store = self.stores[work.store_names[work.store_codes[row]]]
                # Rows whose event named no currency bear the store's; a cart's own stays then.
                named = event if event.currency != store.currency else event._replace(currency=None)
                repeat(cart, named, number if opens else 0)

    def _forgetting(self, work: Work) -> np.ndarray:
        """Marks the rows after which there was no cart, of carts we know: theirs had been forgotten."""
        bearing = work.cart_codes >= 0
        known = np.array([key in self.carts for key in work.carts], dtype=bool)
        known[work.cart_codes[bearing & work.of_types(OPENING)]] = True
        marked = bearing & ~work.of_types(_CLOCK) & work.rows.column("cart_number").is_null().to_numpy()
        marked[marked] = known[work.cart_codes[marked]]
        return marked

    def _touch(self, work: Work) -> None:
        """Any other row that bears a cart's id is activity."""
        rows = np.flatnonzero(~work.of_types(_TELLING | _CLOCK) & (work.cart_codes >= 0))
        latest = np.zeros(len(work.carts), dtype=np.int64)
        np.maximum.at(latest, work.cart_codes[rows], work.occurred[rows])
        for code in np.unique(work.cart_codes[rows]).tolist():
            cart = self.carts.get(work.carts[code])
            if cart is not None:
                cart.last_at = max(cart.last_at, int(latest[code]))

    def _move_clocks(self, work: Work) -> None:
        for row in np.flatnonzero(work.of_types(_CLOCK)).tolist():
            at = (int(work.partitions[row]), work.store_names[work.store_codes[row]])
            self.clocks[at] = max(self.clocks.get(at, 0), int(work.occurred[row]))

    def _follow(self, work: Work, since: int) -> None:
        """Of a session its newest row says how many pages it has seen, when it began and how it came about."""
        codes = work.sessions.codes
        told = work.rows.column("session_seconds").is_valid().to_numpy()
        rows = np.flatnonzero(told & (codes >= 0) & _effective(work, since))
        rows = rows[np.lexsort((work.occurred[rows], codes[rows]))]
        newest = rows[np.append(codes[rows][1:] != codes[rows][:-1], True)[: len(rows)]]
        words = work.rows.select(["store_id", "session_id", *_SESSION]).take(pa.array(newest))
        for at, row in zip(work.occurred[newest].tolist(), words.to_pylist(), strict=True):
            started = at - row["session_seconds"] * 1000
            landing = Landing(started, row["session_source"], row["session_medium"], row["session_entry_page"])
            before = self.sessions.get((row["store_id"], row["session_id"]), Past(started, 0, landing))
            pages = max(before.pages, row["session_pages"])
            self.sessions[row["store_id"], row["session_id"]] = Past(min(started, before.started), pages, landing)

    def standing(self, now: int) -> list[Standing]:
        """The carts to which something can still happen; each one's timer is set anew."""
        found: list[Standing] = []
        for at, cart in self.carts.items():
            key = key_of(*at)
            store = self.stores[key.store_id]
            domain, terms = clock_domain(key.store_id, store), patience(store)
            reached = self.clocks.get((key.partition, domain), 0) if domain else now
            if is_forgettable(cart, reached, terms):
                continue
            cart.due_at = cart.deadline(terms)
            found.append(Standing(key, cart, domain))
        return found


def ids_since(work: Work, moment: int) -> dict[int, dict[str, bytes]]:
    """Ids of events that took effect since then, by partition and store."""
    return ids_by_store(work, _effective(work, moment) & ~work.of_types(_CLOCK | _DERIVED))


def _effective(work: Work, since: int) -> np.ndarray:
    return numbers(work.rows.column("enriched_at")) >= since
