"""The step that keeps carts: folds each cart's events in the order they happened, then rings the timers.

Row by row on purpose: what an event does depends on the one before it. Only rows of carts that hold something, or are
about to, come here; a visitor who merely looks costs nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from recoup.messages.events import EventType
from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.carts.domain import (
    CHANGING,
    CartEvent,
    CartKey,
    CartState,
    Derived,
    Line,
    apply,
    be_active,
    elapse,
    is_forgettable,
)
from recoup.services.pipeline.stream.domain.work import Known, Work, clock_domain, patience

_DEFAULT: Final = StoreSettings()
_NO_LINES: Final[Sequence[Line]] = ()
# An order or a removal never begins a cart.
_OPENING: Final = CHANGING - {EventType.ORDER_COMPLETED.value, EventType.PRODUCT_REMOVED.value}


def track_carts(work: Work, known: Known) -> None:
    """Folds rows into carts, then lets time pass for the carts whose timers have rung."""
    groups = _groups(work, known)
    changing = np.concatenate([rows for _, rows in groups]) if groups else np.zeros(0, dtype=np.int64)
    events = _events(work, changing[work.of_types(CHANGING)[changing]])
    found = _Found(len(work.ids), work)
    for key, rows in groups:
        _fold(found, known, key, rows.tolist(), events)
    for key in known.due:
        _ring(found, known, key)
    found.write_columns()


def _groups(work: Work, known: Known) -> list[tuple[CartKey, np.ndarray]]:
    """Rows by cart, in order of time, for carts that hold something or are about to."""
    interesting = np.array([key in known.carts for key in work.carts], dtype=bool)
    opening = work.of_types(_OPENING) & work.kept & (work.cart_codes >= 0)
    interesting[work.cart_codes[opening]] = True
    rows = np.flatnonzero(work.kept & (work.cart_codes >= 0))
    rows = rows[interesting[work.cart_codes[rows]]]
    if not len(rows):
        return []
    rows = rows[np.lexsort((work.occurred[rows], work.cart_codes[rows]))]
    codes = work.cart_codes[rows]
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    return [
        (work.carts[code], group)
        for code, group in zip(codes[starts].tolist(), np.split(rows, starts[1:]), strict=True)
    ]


def _events(work: Work, rows: np.ndarray) -> dict[int, CartEvent]:
    """What the fold needs of rows that may change a cart; columns are taken apart once, not row by row."""
    at = pa.array(rows)
    part = work.rows.select(["items", "user_id", "anonymous_id", "session_id"]).take(at)
    lines = _lines(part.column("items").combine_chunks())
    currency = work.columns["currency"].take(at).to_pylist()
    users, visitors, sessions = (part.column(name).to_pylist() for name in ("user_id", "anonymous_id", "session_id"))
    types = [work.type_names[code] for code in work.type_codes[rows].tolist()]
    return {
        row: CartEvent(kind, moment, line, money, user, visitor, session)
        for row, kind, moment, line, money, user, visitor, session in zip(
            rows.tolist(), types, work.occurred[rows].tolist(), lines, currency, users, visitors, sessions, strict=True
        )
    }


def _lines(items: pa.Array) -> list[Sequence[Line]]:
    flat = items.flatten()
    names = ("product_id", "quantity", "price", "variant_id", "name", "category", "brand")
    rows: list[Line] = list(zip(*(flat.field(name).to_pylist() for name in names), strict=True))
    lengths = items.value_lengths().fill_null(0).to_numpy().tolist()
    found: list[Sequence[Line]] = []
    at = 0
    for length in lengths:
        found.append(rows[at : at + length] if length else _NO_LINES)
        at += length
    return found


class _Found:
    """What folding found out: by row for the columns, by cart for the store."""

    def __init__(self, count: int, work: Work) -> None:
        self.work = work
        self.changes: dict[int, str] = {}
        self.rows: list[int] = []
        self.after: list[tuple[int, int, int]] = []
        """For each of `rows`: the cart's number, value and pieces after it."""
        self.count = count

    def note(self, key: CartKey, state: CartState, store: StoreSettings, derived: Sequence[Derived], now: int) -> None:
        """A cart after its events: what became true, and when to look again."""
        work = self.work
        domain = clock_domain(key.store_id, store)
        work.derived += [(key, fact) for fact in derived]
        if is_forgettable(state, now, patience(store)):
            work.gone[key] = domain
            work.changed.pop(key, None)
            work.timers.pop(key, None)
            return
        deadline = state.deadline(patience(store))
        if state.due_at == 0 or deadline < state.due_at or state.due_at <= now:
            state.due_at = deadline
            work.timers[key] = (domain, deadline)
        work.changed[key] = state

    def write_columns(self) -> None:
        """Hands the columns over: the cart after each event where there is one, else the event's own items."""
        columns = self.work.columns
        number = np.zeros(self.count, dtype=np.int64)
        if self.rows:
            value = columns["cart_value"].to_numpy(zero_copy_only=False).copy()
            pieces = columns["item_count"].to_numpy(zero_copy_only=False).copy()
            number[self.rows], value[self.rows], pieces[self.rows] = np.array(self.after, dtype=np.int64).T
            columns["cart_value"], columns["item_count"] = pa.array(value), pa.array(pieces)
        columns["cart_number"] = pa.array(number, mask=number == 0)
        change = np.full(self.count, None, dtype=object)
        change[list(self.changes)] = list(self.changes.values())
        columns["cart_change"] = pa.array(change, pa.string())


def _fold(found: _Found, known: Known, key: CartKey, rows: Sequence[int], events: Mapping[int, CartEvent]) -> None:
    store = known.stores.get(key.store_id, _DEFAULT)
    thresholds = patience(store)
    state = known.carts.get(key) or CartState()
    occurred = found.work.occurred
    facts: list[Derived] = []
    for row in rows:
        event = events.get(row)
        before = (state.number, state.value, state.pieces)
        if event is None:
            facts += be_active(state, int(occurred[row]), thresholds)
            found.after.append((state.number, state.value, state.pieces))
        else:
            change, derived = apply(state, event, thresholds)
            facts += derived
            if change is not None:
                found.changes[row] = change.value
            # The order that closes a cart is shown with the cart it closes.
            found.after.append(before if change and not state.is_open else (state.number, state.value, state.pieces))
        found.rows.append(row)
    if state.number:
        # A timer this very batch has set may have rung by the batch's end.
        now = max(state.last_at, known.reached.get((key.partition, clock_domain(key.store_id, store)), 0))
        found.note(key, state, store, [*facts, *elapse(state, now, thresholds)], now)


def _ring(found: _Found, known: Known, key: CartKey) -> None:
    store = known.stores.get(key.store_id, _DEFAULT)
    now = known.reached.get((key.partition, clock_domain(key.store_id, store)), 0)
    state = found.work.changed.get(key) or known.carts.get(key)
    if state is None:
        # The cart is gone; its timer goes too.
        found.work.gone[key] = clock_domain(key.store_id, store)
        return
    found.note(key, state, store, elapse(state, now, patience(store)), now)
