"""Credit for an order. Pure.

Says who was last touched by what; never claims that the message caused the order: that is what the holdout is for.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct, structs

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


class Refund(Struct, frozen=True, kw_only=True):
    """An order was cancelled or paid back."""

    event_id: UUID
    order_id: str
    amount: int | None
    """How much; None is all of it."""
    refunded_at: datetime


class Credited(Struct, frozen=True, kw_only=True):
    """A conversion, and what is known of its order's refunds."""

    conversion: ConversionRecorded
    taken_back: int
    """Announced so far."""
    refunds: Sequence[int | None]
    """The amount of each; None is all of it."""


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


def take_back(credited: Credited) -> ConversionRecorded | None:
    """What is still to be undone of a conversion; None where nothing is.

    Refunds add up, to no more than the order. The id says how much is undone with it, so that a repeat is the same.
    """
    order = credited.conversion
    asked = (order.amount if amount is None else amount for amount in credited.refunds)
    total = min(order.amount, sum(asked))
    if total <= credited.taken_back:
        return None
    return structs.replace(
        order,
        id=f"{order.store_id}/{order.order_id}:taken_back:{total}",
        amount=credited.taken_back - total,
        taken_back=True,
    )


def last_touch(touches: Sequence[Touch], since: datetime, until: datetime) -> Touch | None:
    """The last time one of our messages reached a person, between two moments."""
    human = [each for each in touches if each.kind in COUNTED and not each.machine and since <= each.at <= until]
    return max(human, key=lambda each: (each.at, each.received_at), default=None)
