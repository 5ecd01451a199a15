"""Credit for an order. Pure.

Says who was last touched by what; never claims that the message caused the order: that is what the holdout is for.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from recoup.messages.facts import ConversionRecorded, Outcome
from recoup.services.interventions.tracking.domain import Touch

COUNTED = frozenset({"delivered", "seen", "opened", "clicked"})
"""Touches that may have moved somebody; a dismissal or an unsubscription hasn't."""


class Order(Struct, frozen=True, kw_only=True):
    """An order as it came."""

    store_id: str
    order_id: str
    person_id: str
    cart_id: str | None
    amount: int
    currency: str
    ordered_at: datetime


class Decided(Struct, frozen=True, kw_only=True):
    """What attribution needs of a decision."""

    id: UUID
    person_id: str
    cart_id: str
    outcome: Outcome
    decided_at: datetime


def attribute(
    order: Order, decisions: Sequence[Decided], touches: Sequence[Touch], window: timedelta
) -> ConversionRecorded | None:
    """The order as a conversion of the last decision about its buyer within the window; None where there was none.

    `decisions` and `touches` are the buyer's, under any id of theirs; a machine's touch counts for nothing.
    """
    since = order.ordered_at - window
    recent = [each for each in decisions if since <= each.decided_at <= order.ordered_at]
    if not recent:
        return None
    last = max(recent, key=lambda each: (each.decided_at, each.id))
    touch = last_touch(touches, since, order.ordered_at)
    return ConversionRecorded(
        id=f"{order.store_id}/{order.order_id}:converted",
        store_id=order.store_id,
        occurred_at=order.ordered_at,
        order_id=order.order_id,
        person_id=last.person_id,
        cart_id=order.cart_id,
        amount=order.amount,
        currency=order.currency,
        intervention_id=str(last.id),
        outcome=last.outcome,
        attributed=touch is not None,
        channel=touch.channel if touch else None,
    )


def last_touch(touches: Sequence[Touch], since: datetime, until: datetime) -> Touch | None:
    """The last time one of our messages reached a person, between two moments."""
    human = [each for each in touches if each.kind in COUNTED and not each.machine and since <= each.at <= until]
    return max(human, key=lambda each: (each.at, each.received_at), default=None)
