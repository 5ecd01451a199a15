"""What a shopper does, as events: the visit, coming back to buy, following a message. Pure, and the same every time.

Pauses between two acts come from the shopper's number, so that a journey needs no dice of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from recoup.demo.catalogue import CURRENCY
from recoup.demo.people import Contact, Shopper, Truth
from recoup.kit.ids import derived_id
from recoup.messages.events import Context, Event, EventType, Item

FROM_MESSAGE: Final = ("recoup", "email")
"""Source and medium of a visit that a message caused."""
COUPON: Final = "WELCOME10"
AGENTS: Final = {
    "mobile": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Mobile Safari/604.1",
    "tablet": "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1",
    "desktop": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36",
}


def visit(shopper: Shopper) -> list[Event]:
    """The first visit, to its end: paid, left with a cart, or left without."""
    journey = Journey(shopper, f"visit-{shopper.number}", shopper.arrives_at, shopper.source)
    journey.does(EventType.PAGE_VIEWED)
    journey.does(EventType.PRODUCT_LIST_VIEWED)
    for item in shopper.looks_at:
        journey.does(EventType.PRODUCT_VIEWED, [item])
    if shopper.truth is Truth.BROWSES:
        return journey.events
    for item in shopper.basket:
        journey.does(EventType.PRODUCT_ADDED, [item], cart_id=shopper.cart_id)
    if shopper.contact is not Contact.ANONYMOUS:
        journey.identifies()
    journey.does(EventType.CART_VIEWED, shopper.basket, cart_id=shopper.cart_id)
    if shopper.reaches_checkout:
        _check_out(journey)
    if shopper.truth is Truth.BUYS:
        journey.orders()
        return journey.events
    journey.does(EventType.EXIT_INTENT, cart_id=shopper.cart_id)
    return journey.events


def unasked_return(shopper: Shopper) -> list[Event]:
    """Coming back to buy what is still in the cart, without any message."""
    journey = Journey(shopper, f"return-{shopper.number}", _left_at(shopper) + shopper.returns_after, ("", ""))
    return _purchase(journey)


def response(shopper: Shopper, at: datetime) -> list[Event]:
    """Following a message to the cart, and paying for it."""
    return _purchase(Journey(shopper, f"response-{shopper.number}", at, FROM_MESSAGE))


def look(shopper: Shopper, at: datetime) -> list[Event]:
    """Following a message to the cart, and leaving again."""
    journey = Journey(shopper, f"look-{shopper.number}", at, FROM_MESSAGE)
    journey.identified = True
    journey.does(EventType.PAGE_VIEWED)
    return journey.events


def _left_at(shopper: Shopper) -> datetime:
    return visit(shopper)[-1].occurred_at


def _check_out(journey: "Journey") -> None:
    shopper = journey.shopper
    journey.does(EventType.CHECKOUT_STARTED, shopper.basket, cart_id=shopper.cart_id, amount=shopper.value)
    if shopper.tries_coupon:
        journey.does(EventType.COUPON_ENTERED, cart_id=shopper.cart_id, coupon=COUPON)
        journey.does(EventType.COUPON_DENIED, cart_id=shopper.cart_id, coupon=COUPON)
    journey.does(EventType.CHECKOUT_STEP_COMPLETED, cart_id=shopper.cart_id, properties={"step": "address"})


def _purchase(journey: "Journey") -> list[Event]:
    shopper = journey.shopper
    journey.identified = shopper.contact is not Contact.ANONYMOUS
    journey.does(EventType.PAGE_VIEWED)
    journey.does(EventType.CART_VIEWED, shopper.basket, cart_id=shopper.cart_id)
    journey.does(EventType.CHECKOUT_STARTED, shopper.basket, cart_id=shopper.cart_id, amount=shopper.value)
    journey.orders()
    return journey.events


@dataclass(slots=True)
class Journey:
    """One session's events, each some seconds after the one before."""

    shopper: Shopper
    session: str
    at: datetime
    source: tuple[str, str]
    identified: bool = False
    events: list[Event] = field(default_factory=list)

    def does(
        self,
        kind: EventType,
        items: Sequence[Item] = (),
        *,
        properties: dict[str, object] | None = None,
        **more: object,
    ) -> None:
        """The next act."""
        number = len(self.events)
        event = Event(
            event_id=derived_id("demo", self.session, str(number)),
            type=kind,
            occurred_at=self.at,
            session_id=self.session,
            anonymous_id=self.shopper.anonymous_id,
            user_id=self.shopper.user_id if self.identified else None,
            items=list(items),
            currency=CURRENCY if items else None,
            context=self._context(),
        )
        said: dict[str, object] = {"properties": Raw(msgspec.json.encode(properties))} if properties else {}
        self.events.append(replace(event, **more, **said))
        self.at += timedelta(seconds=8 + (self.shopper.number * 37 + number * 53) % 71)

    def identifies(self) -> None:
        """Says who they are, and whether they may be written to."""
        self.identified = True
        consent = self.shopper.contact is Contact.REACHABLE
        said: dict[str, object] = {"email": self.shopper.email, "consent": consent}
        self.does(EventType.USER_IDENTIFIED, cart_id=self.shopper.cart_id, properties=said)

    def orders(self) -> None:
        """Pays for the basket."""
        shopper = self.shopper
        self.does(EventType.PAYMENT_INFO_ENTERED, cart_id=shopper.cart_id)
        self.does(
            EventType.ORDER_COMPLETED,
            shopper.basket,
            cart_id=shopper.cart_id,
            amount=shopper.value,
            order_id=f"order-{shopper.number}",
        )

    def _context(self) -> Context:
        source, medium = self.source
        return Context(
            user_agent=AGENTS[self.shopper.device],
            device_type=self.shopper.device,
            locale="en-US",
            utm_source=source or None,
            utm_medium=medium or None,
        )
