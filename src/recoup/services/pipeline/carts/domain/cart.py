"""What happens to a cart: a fold over its events in the order they happened. No clock but the times it is given.

The rules: any event that bears a cart's id is activity. A cart with items, unpaid, and idle for the store's
threshold is
abandoned, once. An order closes it: converted, or recovered when it was abandoned not longer ago than the recovery
window; without an order it expires at that window's end. What is added after a close opens a new cart under the same
id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from recoup.messages.events import CartChange, EventType

Line = tuple[str, int, int, str | None, str | None, str | None, str | None]
"""product_id, quantity, price, variant_id, name, category, brand."""

_ADDED: Final = EventType.PRODUCT_ADDED.value
_REMOVED: Final = EventType.PRODUCT_REMOVED.value
_ORDERED: Final = EventType.ORDER_COMPLETED.value
_UPDATED: Final = EventType.CART_UPDATED.value
_SNAPSHOTS: Final = frozenset({_UPDATED, EventType.CART_VIEWED.value, EventType.CHECKOUT_STARTED.value})
CHANGING: Final = frozenset({_ADDED, _REMOVED, _ORDERED}) | _SNAPSHOTS
"""Types that can change what a cart holds or how it ends; all others are activity."""


class Patience(NamedTuple):
    """A store's thresholds, in milliseconds."""

    idle: int
    recovery: int


class CartState(Struct, array_like=True, gc=False):
    """A cart as it stands. Times in milliseconds; 0 for what has not happened. Mutable, as a fold changes it often."""

    number: int = 0
    """Which of the carts under this id, from 1."""
    is_open: bool = False
    opened_at: int = 0
    last_at: int = 0
    lines_at: int = 0
    """Newest snapshot of the items; older ones are ignored."""
    abandoned_at: int = 0
    closed_at: int = 0
    due_at: int = 0
    """When the timer that waits for this cart rings; may be too early, never too late."""
    value: int = 0
    pieces: int = 0
    currency: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    session_id: str | None = None
    lines: dict[str, Line] = {}

    def deadline(self, patience: Patience) -> int:
        """When this cart's fate changes if nothing more happens; 0 for never."""
        if not self.is_open:
            return self.closed_at + patience.recovery
        if self.abandoned_at:
            return self.abandoned_at + patience.recovery
        # An open cart without items cannot be abandoned, but is not kept for ever either.
        return self.last_at + (patience.idle if self.pieces else patience.recovery)


class CartEvent(NamedTuple):
    """What the fold needs of one event."""

    type: str
    at: int
    lines: Sequence[Line]
    currency: str | None
    user_id: str | None
    anonymous_id: str | None
    session_id: str | None


Derivation = Literal[EventType.CART_ABANDONED, EventType.CART_RECOVERED, EventType.CART_EXPIRED]


@dataclass(frozen=True, slots=True)
class Derived:
    """Something that became true of a cart at a moment, with the cart as it stood."""

    type: Derivation
    at: int
    number: int
    opened_at: int
    value: int
    pieces: int
    currency: str | None
    user_id: str | None
    anonymous_id: str | None
    session_id: str | None
    lines: tuple[Line, ...]


def apply(cart: CartState, event: CartEvent, patience: Patience) -> tuple[CartChange | None, list[Derived]]:
    """Changes `cart` by an event of a type in CHANGING; what that did to the cart, and what became true."""
    derived = be_active(cart, event.at, patience)
    change: CartChange | None = None
    if event.type == _ORDERED:
        change = _order(cart, event.at, patience, derived)
    elif event.type == _REMOVED:
        if cart.is_open:
            _remove(cart, event.lines)
    elif event.lines:
        change = _fill(cart, event)
    if event.user_id is not None:
        cart.user_id = event.user_id
    if event.anonymous_id is not None:
        cart.anonymous_id = event.anonymous_id
    if event.session_id is not None:
        cart.session_id = event.session_id
    return change, derived


def be_active(cart: CartState, at: int, patience: Patience) -> list[Derived]:
    """Notes activity at `at`, after letting the time until then pass; an event from the past passes no time."""
    if at <= cart.last_at:
        return []
    derived = elapse(cart, at, patience) if at - cart.last_at >= patience.idle else []
    cart.last_at = at
    return derived


def elapse(cart: CartState, now: int, patience: Patience) -> list[Derived]:
    """Lets time pass up to `now`: the cart may be abandoned, and later expire."""
    if not cart.is_open:
        return []
    derived: list[Derived] = []
    if not cart.abandoned_at and cart.pieces and now - cart.last_at >= patience.idle:
        cart.abandoned_at = cart.last_at + patience.idle
        derived.append(_derive(cart, EventType.CART_ABANDONED, cart.abandoned_at))
    if cart.abandoned_at and now - cart.abandoned_at > patience.recovery:
        derived.append(_derive(cart, EventType.CART_EXPIRED, cart.abandoned_at + patience.recovery))
        _close(cart, cart.abandoned_at + patience.recovery)
    return derived


def is_forgettable(cart: CartState, now: int, patience: Patience) -> bool:
    """True once nothing can happen to this cart any more."""
    if not cart.is_open:
        return now - cart.closed_at > patience.recovery
    return not cart.pieces and not cart.abandoned_at and now - cart.last_at > patience.recovery


def _order(cart: CartState, at: int, patience: Patience, derived: list[Derived]) -> CartChange | None:
    if not cart.is_open:
        return None
    # An order from before the abandonment that reaches us late was no recovery.
    recovered = cart.abandoned_at and cart.abandoned_at <= at <= cart.abandoned_at + patience.recovery
    if recovered:
        derived.append(_derive(cart, EventType.CART_RECOVERED, at))
    _close(cart, at)
    return CartChange.RECOVERED if recovered else CartChange.CONVERTED


def _close(cart: CartState, at: int) -> None:
    cart.is_open = False
    cart.closed_at = at
    cart.lines = {}
    cart.value = cart.pieces = 0


def _fill(cart: CartState, event: CartEvent) -> CartChange | None:
    """Adds lines, or takes over a newer snapshot; opens a cart where there is none."""
    if event.type in _SNAPSHOTS and event.at < cart.lines_at:
        return None
    opens = not cart.is_open and (cart.number == 0 or event.type in {_ADDED, _UPDATED})
    if opens:
        cart.number += 1
        cart.is_open = True
        cart.opened_at = event.at
        cart.abandoned_at = cart.closed_at = 0
        cart.lines = {}
    if not cart.is_open:
        return None
    cart.currency = event.currency or cart.currency
    if event.type != _ADDED:
        cart.lines_at = event.at
        cart.lines = {}
    _add(cart, event.lines)
    if opens:
        return CartChange.OPENED
    is_back = event.type == _ADDED and 0 < cart.abandoned_at <= event.at
    return CartChange.RETURNED if is_back else None


def _add(cart: CartState, lines: Sequence[Line]) -> None:
    for line in lines:
        key = line[0] if line[3] is None else f"{line[0]}/{line[3]}"
        held = cart.lines.get(key)
        cart.lines[key] = line if held is None else (line[0], held[1] + line[1], *line[2:])
    _sum(cart)


def _remove(cart: CartState, lines: Sequence[Line]) -> None:
    for line in lines:
        key = line[0] if line[3] is None else f"{line[0]}/{line[3]}"
        held = cart.lines.pop(key, None)
        if held is not None and held[1] > line[1]:
            cart.lines[key] = (held[0], held[1] - line[1], *held[2:])
    _sum(cart)


def _sum(cart: CartState) -> None:
    lines = cart.lines.values()
    cart.pieces = sum([line[1] for line in lines])
    cart.value = sum([line[1] * line[2] for line in lines])


def _derive(cart: CartState, kind: Derivation, at: int) -> Derived:
    return Derived(
        type=kind,
        at=at,
        number=cart.number,
        opened_at=cart.opened_at,
        value=cart.value,
        pieces=cart.pieces,
        currency=cart.currency,
        user_id=cart.user_id,
        anonymous_id=cart.anonymous_id,
        session_id=cart.session_id,
        lines=tuple(cart.lines.values()),
    )
