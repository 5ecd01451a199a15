"""Decisions and results that cross services, as JSON documents in the past tense. A new field gets a default."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from recoup.messages.events import Item


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every message says: which one it is, whose, and when it became true (on the store's clock)."""

    id: str
    """Derived from its cause, so that a repeat is recognised."""
    store_id: str
    occurred_at: datetime


class Cart(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A cart as it stood: which, whose, what is in it."""

    cart_id: str
    number: int
    """Which of the carts under this id, from 1."""
    value: int
    currency: str
    items: list[Item]
    user_id: str | None = None
    anonymous_id: str | None = None
    session_id: str | None = None


class Action(StrEnum):
    """What a prediction recommends."""

    NONE = "none"
    REMINDER = "reminder"
    URGENCY = "urgency"
    DISCOUNT = "discount"


class CartScored(Message, frozen=True, kw_only=True):
    """A prediction for an abandoned cart."""

    cart: Cart
    trigger: str = "cart_abandoned"
    probability: float
    """Of an order within the recovery window, 0 to 1, calibrated."""
    confidence: float
    action: Action
    discount_percent: int = 0
    reasons: list[str]
    features: dict[str, float | None]
    model_version: str
    expires_at: datetime


class RuleAnswer(Struct, frozen=True, kw_only=True):
    """One rule that was asked for a decision, and what it said."""

    rule: str
    passed: bool
    detail: str


class Outcome(StrEnum):
    """How a decision ended."""

    CONTACT = "contact"
    HELD_OUT = "held_out"
    SKIPPED = "skipped"


class InterventionEvent(Message, frozen=True, kw_only=True):
    """Something happened to an intervention: it was decided, delivered, seen, clicked and so on.

    `decided` carries the outcome and every rule's answer, whether or not anybody is contacted.
    """

    intervention_id: str
    kind: Literal[
        "decided",
        "delivered",
        "failed",
        "cancelled",
        "expired",
        "seen",
        "opened",
        "clicked",
        "dismissed",
        "unsubscribed",
    ]
    cart_id: str
    cart_number: int
    person_id: str
    """The stable id of who was or was not contacted: the user id where known, else the anonymous id."""
    channel: str | None = None
    action: Action = Action.NONE
    discount_percent: int = 0
    outcome: Outcome | None = None
    rules: list[RuleAnswer] = []
    propensity: float = 1.0
    """The probability with which this outcome was chosen among eligible people."""
    cart_value: int = 0
    currency: str = "USD"
    probability: float | None = None
    model_version: str | None = None
    machine: bool = False
    """Engagement by a mail scanner or bot rather than a person."""
    detail: str = ""


class ConversionRecorded(Message, frozen=True, kw_only=True):
    """An order by somebody about whom a decision had been taken within the attribution window."""

    order_id: str
    person_id: str
    cart_id: str | None
    amount: int
    currency: str
    intervention_id: str
    """Of the last decision about this person."""
    outcome: Outcome
    """contact, held_out or skipped, so that arms can be compared."""
    attributed: bool
    """True if the last touch before the order was a message of ours that was clicked, opened or delivered."""
    channel: str | None = None
    taken_back: bool = False
    """True when the shop cancelled or refunded such an order: `amount` is negative and undoes so much of it, at the
    order's own time, so that sums over a period are what remained."""


class RiskSignal(Message, frozen=True, kw_only=True):
    """Something about a shopper or store that others should know of."""

    subject: str
    kind: str
    score: float
    reasons: list[str]
