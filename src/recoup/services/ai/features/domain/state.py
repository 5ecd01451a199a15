"""What is kept of a cart or visit between batches: one fixed-size record, and who the shopper is. Pure data, no I/O.

The record is a NumPy type so that thousands of them are read, advanced and written as one block. Its first field is the
layout's number; a record of another layout is taken for absent, and the cart starts afresh.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct

LAYOUT: Final = 1
COUNTS: Final = (
    "pages",
    "products_seen",
    "searches",
    "cart_edits",
    "removals",
    "cart_views",
    "coupon_attempts",
    "coupon_answers",
    "payment_failures",
    "exit_intents",
)
"""Fields that only count rows of certain types."""

STATE: Final = np.dtype([
    ("layout", "<u2"), ("number", "<i4"), ("partition", "<i4"), ("offset", "<i8"),
    ("first_at", "<i8"), ("last_at", "<i8"), ("abandoned_at", "<i8"), ("dwell_ms", "<i8"),
    *((name, "<i4") for name in COUNTS),
    ("returns", "<i4"), ("checkout_depth", "<i1"),
    ("cart_value", "<i8"), ("item_count", "<i4"), ("average_item_price", "<i8"),
    ("hour", "<i1"), ("weekday", "<i1"), ("weekend", "<i1"), ("device", "<i1"), ("source", "<i1"),
])  # fmt: skip
UNKNOWN: Final = -1
"""In fields where zero means something: nothing is known yet."""
_START_UNKNOWN = (
    "partition",
    "offset",
    "cart_value",
    "item_count",
    "average_item_price",
    "hour",
    "weekday",
    "weekend",
    "device",
    "source",
)
_KEPT_OVER_CARTS = ("partition", "offset", "device", "source")

States = npt.NDArray[np.void]


class Visit(Struct, frozen=True, kw_only=True):
    """A record as plain numbers; `first_at` 0 means that nothing was done in it."""

    layout: int
    number: int
    partition: int
    offset: int
    first_at: int
    last_at: int
    abandoned_at: int
    dwell_ms: int
    pages: int
    products_seen: int
    searches: int
    cart_edits: int
    removals: int
    cart_views: int
    coupon_attempts: int
    coupon_answers: int
    payment_failures: int
    exit_intents: int
    returns: int
    checkout_depth: int
    cart_value: int
    item_count: int
    average_item_price: int
    hour: int
    weekday: int
    weekend: int
    device: int
    source: int


class Shopper(NamedTuple):
    """Who is behind a cart, as far as its events said; empty where they didn't."""

    user_id: str = ""
    anonymous_id: str = ""
    session_id: str = ""

    @property
    def person_id(self) -> str:
        """The user where known, else the visitor."""
        return self.user_id or self.anonymous_id


SEPARATOR: Final = "\x1f"
"""Between the parts of a shopper as it is kept: one short text a cart."""
NOBODY: Final = SEPARATOR * 2


def shopper(kept: str) -> Shopper:
    """The parts of a kept shopper."""
    user_id, anonymous_id, session_id = kept.split(SEPARATOR, 2)
    return Shopper(user_id, anonymous_id, session_id)


def newer(before: str, now: str) -> str:
    """Who is behind a cart when its newest rows say `now`: what they leave open stays as it was."""
    if before in {now, NOBODY}:
        return now
    return SEPARATOR.join(said or was for said, was in zip(shopper(now), shopper(before), strict=True))


def blank(count: int) -> States:
    """Records of carts nothing is known about."""
    states = np.zeros(count, STATE)
    states["layout"] = LAYOUT
    for name in _START_UNKNOWN:
        states[name] = UNKNOWN
    return states


def begin_anew(states: States, which: npt.NDArray[np.intp]) -> None:
    """The next cart under the same id starts from nothing; what was applied, and device and source, stay known."""
    fresh = blank(len(which))
    for name in _KEPT_OVER_CARTS:
        fresh[name] = states[name][which]
    states[which] = fresh


def unpack(packed: Sequence[bytes | None]) -> tuple[States, list[str]]:
    """Records and shoppers as they were packed; blank ones for what is absent or of another layout."""
    size, nothing = STATE.itemsize, bytes(STATE.itemsize)
    known = [nothing if one is None or len(one) < size else one for one in packed]
    states = np.frombuffer(bytearray(b"".join([one[:size] for one in known])), STATE)
    unknown = np.flatnonzero(states["layout"] != LAYOUT)
    states[unknown] = blank(len(unknown))
    return states, [one[size:].decode() or NOBODY for one in known]


def pack(states: States, shoppers: Sequence[str]) -> list[bytes]:
    """The inverse of `unpack`."""
    block, size = states.tobytes(), STATE.itemsize
    starts = range(0, len(block), size)
    return [block[start : start + size] + who.encode() for start, who in zip(starts, shoppers, strict=True)]


def visit(state: np.void) -> Visit:
    """One record as plain numbers."""
    names = STATE.names or ()
    return Visit(**dict(zip(names, state.item(), strict=True)))
