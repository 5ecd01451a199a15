"""What a cart is on the board, and the moments of its story. Pure."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from recoup.messages.facts import RuleAnswer


class Stage(StrEnum):
    """Where a cart stands: the furthest it got."""

    OPEN = "open"
    ABANDONED = "abandoned"
    CONTACTED = "contacted"
    """Abandoned, and a message about it was delivered."""
    RECOVERED = "recovered"
    """Abandoned, and ordered within the recovery window."""
    CONVERTED = "converted"
    """Ordered before it was abandoned."""


class Line(Struct, frozen=True):
    """A line of a cart; `price` is for one piece, in minor units."""

    product_id: str
    quantity: int
    price: int
    name: str | None = None


class Card(Struct, frozen=True, kw_only=True):
    """A cart on the board, with what is predicted and what comes next."""

    cart_id: str
    number: int
    stage: Stage
    value: int
    currency: str
    item_count: int
    items: list[Line]
    """What was in it when it was last left; empty while it never was."""
    user_id: str | None
    anonymous_id: str | None
    first_activity_at: datetime
    last_activity_at: datetime
    abandoned_at: datetime | None
    expired_at: datetime | None
    """When it became too late to recover it."""
    order_amount: int | None
    probability: float | None = None
    action: str | None = None
    outcome: str | None = None
    why: str | None = None
    """The first rule that said no."""
    next: str | None = None
    """What is still to come."""


class EventMoment(Struct, frozen=True, kw_only=True):
    """An event that bore the cart's id, or one that was derived from it."""

    event_id: str
    type: str
    occurred_at: datetime
    cart_number: int
    cart_change: str
    cart_value: int
    amount: int | None
    currency: str
    order_id: str
    page_url: str
    items: list[Line]


class PredictionMoment(Struct, frozen=True, kw_only=True):
    id: str
    occurred_at: datetime
    cart_number: int
    probability: float
    confidence: float
    action: str
    reasons: list[str]
    model_version: str


class DecisionMoment(Struct, frozen=True, kw_only=True):
    """A decision with the answer of every rule that was asked."""

    id: str
    intervention_id: str
    occurred_at: datetime
    cart_number: int
    outcome: str
    channel: str
    action: str
    discount_percent: int
    propensity: float
    rules: list[RuleAnswer]


class DeliveryMoment(Struct, frozen=True, kw_only=True):
    """What became of a message: delivered, failed, seen, clicked."""

    id: str
    intervention_id: str
    occurred_at: datetime
    cart_number: int
    kind: str
    channel: str
    machine: bool
    detail: str


class ConversionMoment(Struct, frozen=True, kw_only=True):
    id: str
    occurred_at: datetime
    order_id: str
    amount: int
    currency: str
    outcome: str
    attributed: bool
    channel: str


class Story(Struct, frozen=True, kw_only=True):
    """The latest cart under an id and everything known about all of them, each list by time."""

    cart_id: str
    number: int
    stage: Stage
    value: int
    currency: str
    item_count: int
    items: list[Line]
    user_id: str | None
    anonymous_id: str | None
    last_activity_at: datetime
    events: list[EventMoment]
    predictions: list[PredictionMoment]
    decisions: list[DecisionMoment]
    deliveries: list[DeliveryMoment]
    conversions: list[ConversionMoment]


def contents(card: Card, events: Sequence[EventMoment]) -> list[Line]:
    """What is in a cart: as it was left, or, while it never was, what has been put into it and not taken out."""
    if card.items:
        return card.items
    found: dict[str, Line] = {}
    for event in events:
        if event.cart_number != card.number or event.type not in {"product_added", "product_removed"}:
            continue
        for line in event.items:
            before = found.get(line.product_id)
            sign = 1 if event.type == "product_added" else -1
            quantity = (before.quantity if before else 0) + sign * line.quantity
            found[line.product_id] = Line(line.product_id, quantity, line.price, line.name)
    return [line for line in found.values() if line.quantity > 0]
