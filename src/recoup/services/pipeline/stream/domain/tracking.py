"""The step that keeps carts: folds each cart's events in the order they happened, then rings the timers.

Row by row on purpose: what an event does depends on the one before it. Only rows of carts that hold something, or are
about to, come here; a visitor who merely looks costs nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
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
    elapse,
    is_forgettable,
)
from recoup.services.pipeline.stream.domain.work import Known, Work, clock_domain, patience

_DEFAULT: Final = StoreSettings()
_NO_LINES: Final[Sequence[Line]] = ()
# An order or a removal never begins a cart.
_OPENING: Final = CHANGING - {EventType.ORDER_COMPLETED.value, EventType.PRODUCT_REMOVED.value}


def cart_keys(work: Work) -> list[CartKey | None]:
    """The cart of each row, by place and name; None where an event bears no cart."""
    names = work.store_names
    return [
        None if cart is None else CartKey(partition, names[store], cart)
        for cart, partition, store in zip(
            work.rows.column("cart_id").to_pylist(), work.partitions.tolist(), work.store_codes.tolist(), strict=True
        )
    ]


def track_carts(work: Work, known: Known) -> None:
    """Folds rows into carts, then lets time pass for the carts whose timers have rung."""
    keys = cart_keys(work)
    groups = _groups(work, keys, known)
    events = _events(work, sorted(row for rows in groups.values() for row in rows))
    found = _Found(len(work.types), work)
    for key, rows in groups.items():
        _fold(found, known, key, [(events[row], row) for row in rows])
    for key in known.due:
        _ring(found, known, key)
    found.write_columns()


def _groups(work: Work, keys: Sequence[CartKey | None], known: Known) -> dict[CartKey, list[int]]:
    """Rows by cart, in order of time, for carts that hold something or are about to."""
    order = np.argsort(work.occurred, kind="stable")
    groups: dict[CartKey, list[int]] = defaultdict(list)
    opening: set[CartKey] = set()
    for row in order[work.kept[order]].tolist():
        key = keys[row]
        if key is None:
            continue
        if key in known.carts or key in opening:
            groups[key].append(row)
        elif work.types[row] in _OPENING:
            opening.add(key)
            groups[key].append(row)
    return groups


def _events(work: Work, rows: list[int]) -> dict[int, CartEvent]:
    """What the fold needs of these rows; columns are taken apart once, not row by row."""
    part = work.rows.select(["items", "user_id", "anonymous_id", "session_id"]).take(pa.array(rows, pa.int64()))
    lines = _lines(part.column("items").combine_chunks())
    currency = work.columns["currency"].take(pa.array(rows, pa.int64())).to_pylist()
    users, visitors, sessions = (part.column(name).to_pylist() for name in ("user_id", "anonymous_id", "session_id"))
    occurred = work.occurred[rows].tolist() if rows else []
    return {
        row: CartEvent(work.types[row], at, line, money, user, visitor, session)
        for row, at, line, money, user, visitor, session in zip(
            rows, occurred, lines, currency, users, visitors, sessions, strict=True
        )
    }


def _lines(items: pa.ListArray) -> list[Sequence[Line]]:
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
        self.number: list[int | None] = [None] * count
        self.change: list[str | None] = [None] * count
        self.values: dict[int, tuple[int, int]] = {}

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
        columns["cart_number"] = pa.array(self.number, pa.int64())
        columns["cart_change"] = pa.array(self.change, pa.string())
        if self.values:
            rows = list(self.values)
            value = columns["cart_value"].to_numpy(zero_copy_only=False).copy()
            pieces = columns["item_count"].to_numpy(zero_copy_only=False).copy()
            value[rows], pieces[rows] = zip(*self.values.values(), strict=True)
            columns["cart_value"], columns["item_count"] = pa.array(value), pa.array(pieces)


def _fold(found: _Found, known: Known, key: CartKey, events: Sequence[tuple[CartEvent, int]]) -> None:
    store = known.stores.get(key.store_id, _DEFAULT)
    thresholds = patience(store)
    state = known.carts.get(key) or CartState()
    facts: list[Derived] = []
    for event, row in events:
        before = (state.value, state.pieces)
        change, derived = apply(state, event, thresholds)
        facts += derived
        if change is not None:
            found.change[row] = change.value
        found.number[row] = state.number or None
        # The order that closes a cart is shown with the cart it closes.
        found.values[row] = (state.value, state.pieces) if state.is_open or not change else before
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
