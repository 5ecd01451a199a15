"""Advances the records of carts by a batch of events, in columns; says which were abandoned and how they stood then.

Rows of one cart keep their order. A batch is cut where a cart's record is looked at (its abandonment) or begins anew
(its order, its expiry); each round of `advance` takes every cart one cut further, so that the work is per batch and not
per row. Rows that a record has already taken in, by the log position it remembers, are left out: a repeated batch
changes nothing.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from recoup.messages.events import DERIVED, EventType
from recoup.services.ai.features.domain.state import COUNTS, UNKNOWN, States, Visit, begin_anew, visit

AWAY_MS: Final = 10 * 60_000
"""A longer pause is an absence: it is no dwell time, and the next activity is a return."""

TYPES: Final = tuple(EventType)
OTHER_TYPE: Final = len(TYPES)
"""Code of a type a store registered itself: activity, but nothing we count."""
DEVICES: Final = ("desktop", "mobile", "tablet", "crawler", "other")
SOURCES: Final = ("direct", "search", "social", "email", "referral", "paid", "other")

_COUNTED: Final[dict[str, frozenset[EventType]]] = {
    "pages": frozenset({EventType.PAGE_VIEWED, EventType.PRODUCT_VIEWED, EventType.PRODUCT_LIST_VIEWED}),
    "products_seen": frozenset({EventType.PRODUCT_VIEWED}),
    "searches": frozenset({EventType.PRODUCTS_SEARCHED}),
    "cart_edits": frozenset({EventType.PRODUCT_ADDED, EventType.PRODUCT_REMOVED, EventType.CART_UPDATED}),
    "removals": frozenset({EventType.PRODUCT_REMOVED}),
    "cart_views": frozenset({EventType.CART_VIEWED}),
    "coupon_attempts": frozenset({EventType.COUPON_ENTERED}),
    "coupon_answers": frozenset({EventType.COUPON_APPLIED, EventType.COUPON_DENIED}),
    "payment_failures": frozenset({EventType.PAYMENT_FAILED}),
    "exit_intents": frozenset({EventType.EXIT_INTENT}),
}
_DEPTH: Final = {
    EventType.CART_VIEWED: 1, EventType.CHECKOUT_STARTED: 2, EventType.CHECKOUT_STEP_COMPLETED: 3,
    EventType.PAYMENT_INFO_ENTERED: 4, EventType.PAYMENT_FAILED: 4,
}  # fmt: skip
_IDLE: Final = DERIVED | {EventType.CLOCK, EventType.ORDER_UPDATED, EventType.ORDER_REFUNDED, EventType.ORDER_CANCELLED}
"""Nothing the shopper did just then."""

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]


def _by_type(values: dict[EventType, int]) -> Ints:
    return np.array([*(values.get(kind, 0) for kind in TYPES), 0], np.int64)


_COUNT_TABLE: Final = np.stack([_by_type(dict.fromkeys(_COUNTED[name], 1)) for name in COUNTS], axis=1)
_DEPTH_TABLE: Final = _by_type(_DEPTH)
_ACTIVE_TABLE: Final = np.array([*(kind not in _IDLE for kind in TYPES), True])
_ABANDONED: Final = TYPES.index(EventType.CART_ABANDONED)
_EXPIRED: Final = TYPES.index(EventType.CART_EXPIRED)


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of the rows that concern carts or visits. `subject` is the place of a row's cart among the records."""

    subject: Places
    partition: Ints
    offset: Ints
    kind: Ints
    at: Ints
    closes: Flags
    """The row ended the cart: it was ordered."""
    number: Ints
    value: Ints
    items: Ints
    price: Ints
    hour: Ints
    weekday: Ints
    weekend: Ints
    device: Ints
    source: Ints

    def take(self, which: Places) -> "Rows":
        return Rows(*(getattr(self, name)[which] for name in self.__slots__))


class Abandonment(NamedTuple):
    """A row that says a cart was abandoned, and the cart's record as of that row."""

    row: int
    """Its place among the rows given."""
    cart: Visit


def advance(states: States, rows: Rows) -> list[Abandonment]:
    """Takes the rows into the records, in place; the abandonments among those that were new, in order."""
    elsewhere = rows.partition != states["partition"][rows.subject]
    new = np.flatnonzero(elsewhere | (rows.offset > states["offset"][rows.subject]))
    order = new[np.argsort(rows.subject[new], kind="stable")]
    sorted_rows = rows.take(order)
    round_of = _rounds(sorted_rows)
    found: list[Abandonment] = []
    for number in range(int(round_of.max(initial=-1)) + 1):
        part = np.flatnonzero(round_of == number)
        ended = part[_take_in(states, sorted_rows.take(part))]
        abandoned = ended[sorted_rows.kind[ended] == _ABANDONED]
        for place in abandoned.tolist():
            cart = states[int(sorted_rows.subject[place])]
            found.append(Abandonment(int(order[place]), visit(cart)))
        over = ended[sorted_rows.closes[ended] | (sorted_rows.kind[ended] == _EXPIRED)]
        begin_anew(states, sorted_rows.subject[over])
    return sorted(found, key=lambda one: one.row)


def _rounds(rows: Rows) -> Places:
    """For rows sorted by cart: how many cuts of the same cart lie before each."""
    if not len(rows.subject):
        return np.zeros(0, np.intp)
    cuts = (rows.kind == _ABANDONED) | (rows.kind == _EXPIRED) | rows.closes
    before = np.cumsum(cuts) - cuts
    starts = _starts(rows.subject)
    lengths = np.diff(np.append(starts, len(rows.subject)))
    return before - np.repeat(before[starts], lengths)


def _take_in(states: States, rows: Rows) -> Places:
    """One round: at most one cut a cart, at its end. The last row of each cart."""
    starts = _starts(rows.subject)
    ends = np.append(starts[1:], len(rows.subject)) - 1
    carts = rows.subject[starts]
    counts = np.add.reduceat(_COUNT_TABLE[rows.kind], starts, axis=0)
    for column, name in enumerate(COUNTS):
        states[name][carts] += counts[:, column].astype(np.int32)
    states["checkout_depth"][carts] = np.maximum(
        states["checkout_depth"][carts], np.maximum.reduceat(_DEPTH_TABLE[rows.kind], starts)
    )
    _take_times(states, rows, starts, ends)
    _take_last_known(states, rows, starts)
    states["offset"][carts] = rows.offset[ends]
    states["partition"][carts] = rows.partition[ends]
    abandoned = rows.kind[ends] == _ABANDONED
    states["abandoned_at"][carts[abandoned]] = rows.at[ends[abandoned]]
    return ends


def _take_times(states: States, rows: Rows, starts: Places, ends: Places) -> None:
    """First and last activity, dwell, returns; time never runs backwards inside a cart, however its rows came."""
    carts, length = rows.subject[starts], len(rows.subject)
    active = _ACTIVE_TABLE[rows.kind]
    first = np.minimum.reduceat(np.where(active, np.arange(length), length), starts)
    any_active = first < np.append(starts[1:], length)
    before = states["last_at"][carts]
    seed = np.where(before > 0, before, np.where(any_active, rows.at[np.minimum(first, length - 1)], 0))

    group = np.repeat(np.arange(len(starts)), ends - starts + 1)
    times = np.where(active, np.maximum(rows.at, seed[group]), seed[group])
    latest = _running_maximum(times, group)
    previous = np.concatenate(([0], latest[:-1]))
    previous[starts] = seed
    gap = latest - previous
    states["dwell_ms"][carts] += np.add.reduceat(np.where(gap <= AWAY_MS, gap, 0), starts)
    states["returns"][carts] += np.add.reduceat(gap > AWAY_MS, starts, dtype=np.int32)
    states["last_at"][carts] = latest[ends]

    far = np.iinfo(np.int64).max
    earliest = np.minimum.reduceat(np.where(active, rows.at, far), starts)
    known = np.where(states["first_at"][carts] > 0, states["first_at"][carts], far)
    earliest = np.minimum(earliest, known)
    states["first_at"][carts] = np.where(earliest == far, 0, earliest)


def _running_maximum(times: Ints, group: Places) -> Ints:
    """The largest so far, group by group: each group is lifted above the one before, so that one pass does for all."""
    base = times.min()
    lift = group * (times.max() - base + 1)
    return np.maximum.accumulate(times - base + lift) - lift + base


def _take_last_known(states: States, rows: Rows, starts: Places) -> None:
    """What the newest row that knows it says; of the traffic source, what the first row said."""
    carts = rows.subject[starts]
    holds = rows.number > 0
    for name, column in (
        ("number", rows.number), ("cart_value", rows.value), ("item_count", rows.items),
        ("average_item_price", rows.price),
    ):  # fmt: skip
        _overwrite(states, name, carts, column, _last(holds & (column != UNKNOWN), starts))
    active = _ACTIVE_TABLE[rows.kind]
    for name, column in (
        ("hour", rows.hour), ("weekday", rows.weekday), ("weekend", rows.weekend), ("device", rows.device),
    ):  # fmt: skip
        _overwrite(states, name, carts, column, _last(active & (column != UNKNOWN), starts))
    length = len(rows.subject)
    known = np.where(rows.source != UNKNOWN, np.arange(length), length)
    first = np.minimum.reduceat(known, starts)
    new = (first < np.append(starts[1:], length)) & (states["source"][carts] == UNKNOWN)
    states["source"][carts[new]] = rows.source[first[new]]


def _last(known: Flags, starts: Places) -> Places:
    """The last row of each cart where `known` holds, or -1."""
    last = np.maximum.reduceat(np.where(known, np.arange(len(known)), -1), starts)
    return np.where(last >= starts, last, -1)


def _overwrite(states: States, name: str, carts: Places, column: Ints, last: Places) -> None:
    found = last >= 0
    states[name][carts[found]] = column[last[found]]


def _starts(subjects: Places) -> Places:
    """Where each cart's rows begin, for rows sorted by cart."""
    return np.flatnonzero(np.diff(subjects, prepend=-1))
