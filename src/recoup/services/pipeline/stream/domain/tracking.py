"""The step that keeps carts: folds each cart's events in the order they happened, then rings the timers.

Carts whose fate a batch does not change, nine in ten, are dealt with in columns. The others row by row on purpose:
what an event does depends on the one before it. A visitor who merely looks, with nothing in a cart, costs nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recoup.services.pipeline.carts.domain.cart import (
    CHANGING,
    OPENING,
    CartEvent,
    CartState,
    Derived,
    Line,
    apply,
    be_active,
    elapse,
    is_forgettable,
)
from recoup.services.pipeline.carts.domain.table import Slots
from recoup.services.pipeline.stream.domain.work import Known, Work

_NO_LINES: Final[Sequence[Line]] = ()
_SHOWN: Final = ("number", "value", "pieces", "currency")
_TOLD: Final = ("currency", "user_id", "anonymous_id", "session_id")


class Groups(NamedTuple):
    """Rows by cart, in order of time, for carts that hold something or are about to."""

    rows: np.ndarray
    starts: np.ndarray
    """Where each cart's rows begin."""
    lengths: np.ndarray
    carts: np.ndarray
    """Each group's cart, as in `Work.carts`."""
    slots: Slots


def track_carts(work: Work, known: Known) -> None:
    """Folds rows into carts, then lets time pass for the carts whose timers have rung."""
    found = _Found(work)
    groups = _groups(work, known)
    quiet = touch(found, known, groups)
    busy = np.repeat(~quiet, groups.lengths)
    rows = groups.rows[busy]
    events = events_of(work, rows[work.of_types(CHANGING)[rows]])
    for group in np.flatnonzero(~quiet).tolist():
        start = int(groups.starts[group])
        mine = groups.rows[start : start + int(groups.lengths[group])]
        _fold(found, known, int(groups.slots[group]), mine.tolist(), events)
    for slot in known.due.tolist():
        _ring(found, known, slot)
    found.write_columns(known)


def _groups(work: Work, known: Known) -> Groups:
    interesting = known.carts.rows["number"][known.slots] > 0
    opening = work.of_types(OPENING) & work.kept & (work.cart_codes >= 0)
    interesting[work.cart_codes[opening]] = True
    rows = np.flatnonzero(work.kept & (work.cart_codes >= 0))
    rows = rows[interesting[work.cart_codes[rows]]]
    rows = rows[np.lexsort((work.occurred[rows], work.cart_codes[rows]))]
    carts, starts, lengths = np.unique(work.cart_codes[rows], return_index=True, return_counts=True)
    return Groups(rows, starts, lengths, carts, known.slots[carts])


def touch(found: "_Found", known: Known, groups: Groups) -> np.ndarray:
    """Deals with carts that merely saw activity, all at once; marks them. What each condition spares is in `_fold`."""
    if not len(groups.rows):
        return np.zeros(0, dtype=bool)
    work, carts = found.work, known.carts.rows[groups.slots]
    idle, recovery, reached = _limits(work, known, groups.carts).T
    at = work.occurred[groups.rows[groups.starts + groups.lengths - 1]]
    last_at = np.maximum(at, carts["last_at"])
    now = np.maximum(last_at, reached)
    is_open = carts["closed_at"] == 0
    deadline = np.where(is_open, last_at + np.where(carts["pieces"] > 0, idle, recovery), carts["closed_at"] + recovery)
    quiet = (
        ~np.logical_or.reduceat(work.of_types(CHANGING)[groups.rows], groups.starts)
        & (carts["number"] > 0)
        & ~carts["abandoned"]
        & (at - carts["last_at"] < idle)
        & (~is_open | (now - last_at < idle))
        & (is_open | (now - carts["closed_at"] <= recovery))
        & (carts["due_at"] > now)
        & (carts["due_at"] <= deadline)
    )
    moved = quiet & (last_at > carts["last_at"])
    known.carts.touch(groups.slots[moved], last_at[moved])
    work.changes.touched = groups.slots[moved]
    busy = np.repeat(quiet, groups.lengths)
    after = np.stack([carts[name] for name in _SHOWN], axis=1)[quiet]
    found.show(groups.rows[busy], np.repeat(after, groups.lengths[quiet], axis=0))
    return quiet


def _limits(work: Work, known: Known, carts: np.ndarray) -> np.ndarray:
    """Of each cart its store's idle and recovery times and how late it is there, all in ms; shape (n, 3)."""
    partitions = np.array([partition for partition, _ in work.carts], dtype=np.int64)[carts]
    stores = np.zeros(len(work.carts), dtype=np.int64)
    bearing = work.cart_codes >= 0
    stores[work.cart_codes[bearing]] = work.store_codes[bearing]
    pairs, which = np.unique(partitions * len(work.store_names) + stores[carts], return_inverse=True)
    limits = []
    for pair in pairs.tolist():
        partition, store = divmod(pair, len(work.store_names))
        terms = known.terms(partition, work.store_names[store])
        limits.append((*terms.patience, terms.reached))
    return np.array(limits, dtype=np.int64)[which]


def events_of(work: Work, rows: np.ndarray) -> dict[int, CartEvent]:
    """What the fold needs of rows that may change a cart; columns are taken apart once, not row by row."""
    at = pa.array(rows)
    part = work.rows.select(["items", *_TOLD]).take(at)
    lines = _lines(part.column("items").combine_chunks())
    told = zip(*(part.column(name).to_pylist() for name in _TOLD), strict=True)
    types = [work.type_names[code] for code in work.type_codes[rows].tolist()]
    return {
        row: CartEvent(kind, moment, line, *words)
        for row, kind, moment, line, words in zip(
            rows.tolist(), types, work.occurred[rows].tolist(), lines, told, strict=True
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


@dataclass(slots=True)
class _Found:
    """What folding found out: by row for the columns, by cart for the store."""

    work: Work
    changes: dict[int, str] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)
    after: list[tuple[int, int, int, int]] = field(default_factory=list)
    """For each of `rows`: the cart's number, value, pieces and currency after it."""
    _shown: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def show(self, rows: np.ndarray, after: np.ndarray) -> None:
        """The same as `rows` and `after`, of many rows at once."""
        self._shown.append((rows, after))

    def note(self, known: Known, slot: int, state: CartState, derived: Sequence[Derived]) -> None:
        """A cart after its events: what became true, and when to look again."""
        changes, key = self.work.changes, known.carts.keys[slot]
        terms = known.terms(key.partition, key.store_id)
        # A timer this very batch has set may have rung by the batch's end.
        now = max(state.last_at, terms.reached)
        self.work.derived += [(key, fact) for fact in (*derived, *elapse(state, now, terms.patience))]
        if is_forgettable(state, now, terms.patience):
            changes.gone[slot] = terms.domain
            changes.changed.pop(slot, None)
            changes.timers.pop(slot, None)
            known.carts.change(slot, None)
            return
        deadline = state.deadline(terms.patience)
        if state.due_at == 0 or deadline < state.due_at or state.due_at <= now:
            state.due_at = deadline
            changes.timers[slot] = (terms.domain, deadline)
        changes.changed[slot] = state
        known.carts.change(slot, state)

    def write_columns(self, known: Known) -> None:
        """Hands the columns over: the cart after each event where there is one, else the event's own items."""
        columns = self.work.columns
        count = len(self.work.ids)
        number = np.zeros(count, dtype=np.int64)
        if self.rows:
            self.show(np.array(self.rows), np.array(self.after, dtype=np.int64))
        if self._shown:
            value = columns["cart_value"].to_numpy(zero_copy_only=False).copy()
            pieces = columns["item_count"].to_numpy(zero_copy_only=False).copy()
            currency = np.zeros(count, dtype=np.int64)
            for rows, after in self._shown:
                number[rows], value[rows], pieces[rows], currency[rows] = after.T
            columns["cart_value"], columns["item_count"] = pa.array(value), pa.array(pieces)
            self._name_currencies(known, currency)
        columns["cart_number"] = pa.array(number, mask=number == 0)
        change = np.full(count, None, dtype=object)
        change[list(self.changes)] = list(self.changes.values())
        columns["cart_change"] = pa.array(change, pa.string())

    def _name_currencies(self, known: Known, codes: np.ndarray) -> None:
        """An event that says nothing of money itself shows its cart's, and so goes by the cart's currency."""
        work, columns, carts = self.work, self.work.columns, known.carts
        own = np.array([carts.currency_code(known.store(name).currency) for name in work.store_names], dtype=np.int64)
        foreign = (codes > 0) & (codes != own[work.store_codes])
        if not foreign.any():
            return
        said = pc.or_(pc.is_valid(work.rows.column("currency").combine_chunks()), pc.is_valid(columns["amount"]))
        names = pa.array(carts.currencies, pa.string()).take(pa.array(codes))
        columns["currency"] = pc.if_else(pc.and_(pa.array(foreign), pc.invert(said)), names, columns["currency"])


def _fold(found: _Found, known: Known, slot: int, rows: Sequence[int], events: Mapping[int, CartEvent]) -> None:
    key, state = known.carts.keys[slot], known.carts.state(slot)
    patience = known.terms(key.partition, key.store_id).patience
    occurred = found.work.occurred
    facts: list[Derived] = []
    existed = state.number > 0
    after = _standing(known, state)
    for row in rows:
        event, before = events.get(row), after
        if event is None:
            change, derived = None, be_active(state, int(occurred[row]), patience)
        else:
            change, derived = apply(state, event, patience)
        if derived:
            facts += derived
        if change is not None:
            found.changes[row] = change.value
        after = _standing(known, state)
        if not state.number:
            continue
        found.rows.append(row)
        # The order that closes a cart is shown with the cart it closes.
        found.after.append(before if change is not None and not state.is_open else after)
    # What opened, ended and was forgotten within this batch still has its facts to tell.
    if state.number or existed or facts:
        found.note(known, slot, state, facts)


def _standing(known: Known, cart: CartState) -> tuple[int, int, int, int]:
    return cart.number, cart.value, cart.pieces, known.carts.currency_code(cart.currency)


def _ring(found: _Found, known: Known, slot: int) -> None:
    key, state = known.carts.keys[slot], known.carts.state(slot)
    if not state.number:
        # The cart is gone; its timer goes too.
        found.work.changes.gone[slot] = known.terms(key.partition, key.store_id).domain
        return
    found.note(known, slot, state, ())
