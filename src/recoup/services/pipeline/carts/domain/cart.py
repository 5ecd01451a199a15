"""What happens to a cart: a fold over its events in the order they happened. No clock but the times it is given.

The rules: any event that bears a cart's id is activity. A cart with items, unpaid, and idle for the store's
threshold is
abandoned, once. An order closes it: converted, or recovered when it was abandoned not longer ago than the recovery
window; without an order it expires at that window's end. What is added after a close opens a new cart under the same
id; what was added before it and reaches us late does not. A closed or empty cart is forgotten after that window.

An addition or removal counts unless a newer snapshot of the items is known, a snapshot unless anything newer is.

Amounts of different currencies are never added. A cart is in the currency that the newest event to change its items
names; what names none is in its cart's. What was priced in another stays in the cart without a price, until a snapshot
or an addition of the same product says it in the new one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from recoup.messages.events import CartChange, EventType

Line = tuple[str, int, int, str | None, str | None, str | None, str | None]
"""product_id, quantity, price, variant_id, name, category, brand."""

MOST_PIECES: Final = 10**6
"""Of one line, as an event may say them; what is added beyond is no more than that."""
MOST_WORTH: Final = 10**13
"""Of one line in minor units. What costs more than anything does must not be too much for a column of 64 bits."""
_ADDED: Final = EventType.PRODUCT_ADDED.value
_REMOVED: Final = EventType.PRODUCT_REMOVED.value
_ORDERED: Final = EventType.ORDER_COMPLETED.value
_UPDATED: Final = EventType.CART_UPDATED.value
_SNAPSHOTS: Final = frozenset({_UPDATED, EventType.CART_VIEWED.value, EventType.CHECKOUT_STARTED.value})
OPENING: Final = frozenset({_ADDED}) | _SNAPSHOTS
"""Types that can begin a cart."""
CHANGING: Final = OPENING | {_REMOVED, _ORDERED, EventType.USER_IDENTIFIED.value}
"""Types that can change what a cart holds, how it ends or whose it is; all others are activity."""


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
    changed_at: int = 0
    """Newest event that changed the items."""

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
    return _change(cart, event, patience, derived), derived


def _change(cart: CartState, event: CartEvent, patience: Patience, derived: list[Derived]) -> CartChange | None:
    fills = event.type in OPENING and len(event.lines) > 0
    if not cart.number and not fills:
        return None
    # What an order makes true is true of whoever it names.
    _learn(cart, event)
    if fills:
        return _fill(cart, event)
    if event.type == _ORDERED:
        return _order(cart, event.at, patience, derived)
    if event.type == _REMOVED and cart.is_open and event.at >= cart.lines_at:
        cart.changed_at = max(cart.changed_at, event.at)
        _remove(cart, event.lines)
    return None


def repeat(cart: CartState, event: CartEvent, opened: int) -> None:
    """Does to `cart` what `apply` did when the event first came. Time passes only as `repeat_derived` tells it.

    `opened` is the number of the cart that the event opened then, or 0: no other event opens one, so that a cart whose
    beginning is not told is not begun again.
    """
    if opened == 1:
        forget(cart)
    elif opened:
        cart.number, cart.is_open = opened - 1, False
    elif not cart.number:
        return
    cart.last_at = max(cart.last_at, event.at)
    # What an order makes true is told, and so does not depend on anybody's patience.
    _change(cart, event, Patience(0, 0), [])


def repeat_derived(cart: CartState, kind: Derivation, at: int, number: int) -> None:
    """Makes true of `cart` what became true of it then; a recovery its order does."""
    if cart.number != number or not cart.is_open:
        return
    if kind == EventType.CART_ABANDONED:
        cart.abandoned_at = at
    elif kind == EventType.CART_EXPIRED:
        _close(cart, at)


def be_active(cart: CartState, at: int, patience: Patience) -> list[Derived]:
    """Notes activity at `at`, after letting the time until then pass; an event from the past passes no time."""
    if at <= cart.last_at:
        return []
    if cart.pieces and not cart.abandoned_at and at - cart.last_at < patience.idle:
        cart.last_at = at
        return []
    derived = elapse(cart, at, patience)
    if cart.number and is_forgettable(cart, at, patience):
        forget(cart)
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


def forget(cart: CartState) -> None:
    """Makes a cart as if it had never been."""
    fresh = CartState()
    for name in CartState.__struct_fields__:
        setattr(cart, name, getattr(fresh, name))


def _learn(cart: CartState, event: CartEvent) -> None:
    if event.user_id is not None:
        cart.user_id = event.user_id
    if event.anonymous_id is not None:
        cart.anonymous_id = event.anonymous_id
    if event.session_id is not None:
        cart.session_id = event.session_id


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
    opens = not cart.is_open and _opens(cart, event)
    if opens:
        cart.number += 1
        cart.is_open = True
        cart.opened_at = event.at
        cart.abandoned_at = cart.closed_at = cart.lines_at = cart.changed_at = 0
        cart.lines = {}
    if not cart.is_open or event.at < (cart.lines_at if event.type == _ADDED else cart.changed_at):
        return None
    if event.type != _ADDED:
        cart.lines_at = event.at
        cart.lines = {}
        cart.value = cart.pieces = 0
    _add(cart, _in_one_currency(cart, event))
    cart.changed_at = max(cart.changed_at, event.at)
    if opens:
        return CartChange.OPENED
    is_back = event.type == _ADDED and 0 < cart.abandoned_at <= event.at
    return CartChange.RETURNED if is_back else None


def _opens(cart: CartState, event: CartEvent) -> bool:
    """True for what begins a cart after the last one's close; a look at a paid cart does not, nor what came before."""
    return not cart.number or (event.type in {_ADDED, _UPDATED} and event.at > cart.closed_at)


def _in_one_currency(cart: CartState, event: CartEvent) -> Sequence[Line]:
    """The event's lines as they may be added up with the cart's; the newest of the two says in which currency."""
    if event.currency is None or cart.currency is None or event.currency == cart.currency:
        cart.currency = event.currency or cart.currency
        return event.lines
    if event.at < cart.changed_at:
        return [(*line[:2], _price_held(cart, line), *line[3:]) for line in event.lines]
    cart.currency = event.currency
    cart.lines = {key: (*line[:2], 0, *line[3:]) for key, line in cart.lines.items()}
    cart.value = 0
    return event.lines


def _price_held(cart: CartState, line: Line) -> int:
    held = cart.lines.get(_key(line))
    return 0 if held is None else held[2]


def _key(line: Line) -> str:
    return line[0] if line[3] is None else f"{line[0]}/{line[3]}"


def _add(cart: CartState, lines: Sequence[Line]) -> None:
    for line in lines:
        key = _key(line)
        held = cart.lines.get(key)
        if held is not None:
            _count(cart, held, -1)
        more = line if held is None else (line[0], min(held[1] + line[1], MOST_PIECES), *line[2:])
        _count(cart, more, 1)
        cart.lines[key] = more


def _remove(cart: CartState, lines: Sequence[Line]) -> None:
    for line in lines:
        key = _key(line)
        held = cart.lines.pop(key, None)
        if held is None:
            continue
        _count(cart, held, -1)
        if held[1] > line[1]:
            left = (held[0], held[1] - line[1], *held[2:])
            _count(cart, left, 1)
            cart.lines[key] = left


def _count(cart: CartState, line: Line, times: int) -> None:
    """The cart's sums follow its lines: adding up a large cart at every step would cost more than all else here."""
    cart.pieces += times * line[1]
    cart.value += times * min(line[1] * line[2], MOST_WORTH)


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
