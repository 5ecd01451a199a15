"""The rules of carts once more, as plainly as they can be said: one event after the other, one dict, nothing clever.

What the stream finds out with columns, caches and timers must be what this finds out. A batch's events of one cart come
in order of time, as they were told where times are equal; after the batch, time passes for every cart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

MINUTE = 60_000
DAY = 24 * 60 * MINUTE

_SNAPSHOTS = ("cart_updated", "cart_viewed", "checkout_started")
_LEARNING = ("product_added", "product_removed", "order_completed", "user_identified", *_SNAPSHOTS)


class Piece(NamedTuple):
    product: str
    variant: str | None
    quantity: int
    price: int


class Told(NamedTuple):
    """An event as a shop tells it; `at` in milliseconds."""

    event_id: int
    type: str
    at: int
    store: str
    cart: str | None = None
    user: str | None = None
    visitor: str | None = None
    pieces: tuple[Piece, ...] = ()
    currency: str | None = None


class Fact(NamedTuple):
    """Something that became true of a cart."""

    type: str
    store: str
    cart: str
    at: int
    number: int
    value: int
    pieces: int
    currency: str | None
    user: str | None
    visitor: str | None


class Shown(NamedTuple):
    """What stands beside an event: its cart after it, or its own items where it has none."""

    number: int | None
    change: str | None
    value: int
    pieces: int


@dataclass
class Cart:
    number: int
    open: bool = False
    last: int = 0
    snapshot: int = 0
    changed: int = 0
    abandoned: int | None = None
    closed: int = 0
    holds: dict[tuple[str, str | None], tuple[int, int]] = field(default_factory=dict)
    currency: str | None = None
    user: str | None = None
    visitor: str | None = None

    @property
    def pieces(self) -> int:
        return sum(quantity for quantity, _ in self.holds.values())

    @property
    def value(self) -> int:
        return sum(quantity * price for quantity, price in self.holds.values())


@dataclass
class Plain:
    """Every cart of every store, and what became true of them."""

    idle: int
    recovery: int
    carts: dict[tuple[str, str], Cart] = field(default_factory=dict)
    users: dict[tuple[str, str], str] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    taken: set[tuple[str, int]] = field(default_factory=set)

    def batch(self, told: Sequence[Told], reached: Mapping[str, int]) -> tuple[dict[int, Shown], list[Fact]]:
        """What is shown beside each event by its id, and what became true, in no order."""
        self.facts = []
        fresh: list[Told] = []
        for event in told:
            if (event.store, event.event_id) not in self.taken:
                self.taken.add((event.store, event.event_id))
                if event.pieces or event.type not in {"product_added", "product_removed"}:
                    fresh.append(event)
        shown: dict[int, Shown] = {}
        for event in sorted(fresh, key=lambda event: event.at):
            shown[event.event_id] = self.take(event)
            if event.user is not None and event.visitor is not None:
                self.users[event.store, event.visitor] = event.user
        for key, cart in list(self.carts.items()):
            self.pass_time(key, max(cart.last, reached[key[0]]))
        return shown, [self.known(fact) for fact in self.facts]

    def known(self, fact: Fact) -> Fact:
        """The fact with its visitor's user and the shop's currency, where the cart knew none."""
        fact = fact._replace(currency=fact.currency or "USD")
        if fact.user is not None or fact.visitor is None:
            return fact
        return fact._replace(user=self.users.get((fact.store, fact.visitor)))

    def take(self, event: Told) -> Shown:
        own = Shown(None, None, sum(p.quantity * p.price for p in event.pieces), sum(p.quantity for p in event.pieces))
        if event.cart is None:
            return own
        key = (event.store, event.cart)
        if key in self.carts and event.at > self.carts[key].last:
            self.pass_time(key, event.at)
        begins = event.type == "product_added" or event.type in _SNAPSHOTS
        if key not in self.carts:
            if not begins or not event.pieces:
                return own
            self.carts[key] = Cart(number=0)
        cart = self.carts[key]
        cart.last = max(cart.last, event.at)
        if event.type in _LEARNING:
            cart.user = event.user or cart.user
            cart.visitor = event.visitor or cart.visitor
        before = (cart.value, cart.pieces)
        change = self.change(key, cart, event)
        after = before if change in {"converted", "recovered"} else (cart.value, cart.pieces)
        return Shown(cart.number, change, *after)

    def change(self, key: tuple[str, str], cart: Cart, event: Told) -> str | None:
        if event.type == "order_completed":
            return self.order(key, cart, event) if cart.open else None
        if event.type == "product_removed":
            if cart.open and event.at >= cart.snapshot:
                self.remove(cart, event)
            return None
        if not event.pieces or event.type not in {"product_added", *_SNAPSHOTS}:
            return None
        opens = not cart.open and (
            cart.number == 0 or (event.type in {"product_added", "cart_updated"} and event.at > cart.closed)
        )
        if opens:
            cart.number += 1
            cart.open, cart.abandoned, cart.holds, cart.snapshot, cart.changed = True, None, {}, 0, 0
        if not cart.open or not self.counts(cart, event):
            return None
        self.fill(cart, event)
        if opens:
            return "opened"
        is_back = event.type == "product_added" and cart.abandoned is not None and event.at >= cart.abandoned
        return "returned" if is_back else None

    @staticmethod
    def counts(cart: Cart, event: Told) -> bool:
        """An addition counts unless a newer snapshot has been seen, a snapshot unless anything newer has."""
        return event.at >= (cart.snapshot if event.type == "product_added" else cart.changed)

    @staticmethod
    def fill(cart: Cart, event: Told) -> None:
        foreign = None not in {event.currency, cart.currency} and event.currency != cart.currency
        late = foreign and event.at < cart.changed
        if foreign and not late:
            cart.holds = {key: (quantity, 0) for key, (quantity, _) in cart.holds.items()}
        if not late:
            cart.currency = event.currency or cart.currency
        cart.changed = max(cart.changed, event.at)
        if event.type != "product_added":
            cart.snapshot = event.at
            cart.holds = {}
        for piece in event.pieces:
            held = cart.holds.get((piece.product, piece.variant), (0, 0))
            cart.holds[piece.product, piece.variant] = (held[0] + piece.quantity, held[1] if late else piece.price)

    @staticmethod
    def remove(cart: Cart, event: Told) -> None:
        cart.changed = max(cart.changed, event.at)
        for piece in event.pieces:
            quantity, price = cart.holds.pop((piece.product, piece.variant), (0, 0))
            if quantity > piece.quantity:
                cart.holds[piece.product, piece.variant] = (quantity - piece.quantity, price)

    def order(self, key: tuple[str, str], cart: Cart, event: Told) -> str:
        recovered = cart.abandoned is not None and cart.abandoned <= event.at <= cart.abandoned + self.recovery
        if recovered:
            self.note(key, cart, "cart_recovered", event.at)
        self.close(cart, event.at)
        return "recovered" if recovered else "converted"

    def pass_time(self, key: tuple[str, str], now: int) -> None:
        cart = self.carts[key]
        if cart.open and cart.abandoned is None and cart.pieces and now - cart.last >= self.idle:
            cart.abandoned = cart.last + self.idle
            self.note(key, cart, "cart_abandoned", cart.abandoned)
        if cart.open and cart.abandoned is not None and now > cart.abandoned + self.recovery:
            self.note(key, cart, "cart_expired", cart.abandoned + self.recovery)
            self.close(cart, cart.abandoned + self.recovery)
        # An empty cart that was abandoned has its expiry to wait for.
        over = cart.last if cart.open else cart.closed
        if now > over + self.recovery and not (cart.open and (cart.pieces or cart.abandoned is not None)):
            del self.carts[key]

    @staticmethod
    def close(cart: Cart, at: int) -> None:
        cart.open, cart.closed, cart.holds = False, at, {}

    def note(self, key: tuple[str, str], cart: Cart, kind: str, at: int) -> None:
        self.facts.append(
            Fact(kind, *key, at, cart.number, cart.value, cart.pieces, cart.currency, cart.user, cart.visitor)
        )
