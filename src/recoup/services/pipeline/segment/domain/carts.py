"""Which cart an event is about where its tracker has no word for carts: the one its visitor was last seen with.

The spec of Segment makes `cart_id` optional, and an order's event knows only its order. So a visitor's last cart is
remembered; a visitor who never named one has a cart of their own, named for them.
"""

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from recoup.messages.events import Event, EventType
from recoup.services.pipeline.foreign.domain import id_of
from recoup.services.pipeline.segment.domain.mapping import Mapped

ABOUT_CARTS: Final = frozenset({
    EventType.PRODUCT_ADDED, EventType.PRODUCT_REMOVED, EventType.CART_VIEWED, EventType.CART_UPDATED,
    EventType.CHECKOUT_STARTED, EventType.CHECKOUT_STEP_COMPLETED, EventType.PAYMENT_INFO_ENTERED,
    EventType.COUPON_ENTERED, EventType.COUPON_APPLIED, EventType.COUPON_DENIED, EventType.ORDER_COMPLETED,
})  # fmt: skip


def visitors_of(mapped: Iterable[Mapped]) -> list[str]:
    """Whose carts must be known before `settled`."""
    return list(dict.fromkeys(visitor for each in mapped for visitor in each.visitors))


def settled(mapped: Sequence[Mapped], known: dict[str, str]) -> tuple[list[Event], dict[str, str]]:
    """The events with their carts, in order, and the carts that visitors were seen with."""
    events: list[Event] = []
    learned: dict[str, str] = {}
    for each in mapped:
        event = each.event
        if event.cart_id is None:
            cart_id = _cart(each, ChainMap(learned, known))
            event = event if cart_id is None else msgspec.structs.replace(event, cart_id=cart_id)
        if event.cart_id is not None and event.type in ABOUT_CARTS:
            learned.update(dict.fromkeys((who for who in (event.anonymous_id, event.user_id) if who), event.cart_id))
        events.append(event)
    return events, {who: cart for who, cart in learned.items() if known.get(who) != cart}


def _cart(each: Mapped, known: Mapping[str, str]) -> str | None:
    found = next((known[visitor] for visitor in each.visitors if visitor in known), None)
    if found is None and each.visitors and each.event.type in ABOUT_CARTS:
        return id_of(f"visitor-{each.visitors[0]}")
    return found
