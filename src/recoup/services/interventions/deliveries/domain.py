"""A delivery asks its question again when its time comes. Pure: what is known comes in, what to do comes out."""

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from recoup.kit.flags.snapshot import Snapshot
from recoup.messages.facts import InterventionEvent
from recoup.messages.stores import Channel, StoreSettings
from recoup.services.interventions.decisions.domain import Intervention, allowed_from, marketing, reachable
from recoup.services.interventions.decisions.switches import closed_to
from recoup.services.interventions.preferences.domain import Person

Status = Literal["pending", "offered", "delivered", "dead", "cancelled", "expired"]
"""`offered`: on its way to the shopper's page, which has not acknowledged it yet."""

OFFERS_BEFORE_NEXT_CHANNEL = 3
FAILURES_BEFORE_DEAD = 8
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=30)


class Delivery(Struct, frozen=True, kw_only=True):
    """A claimed row; `fence` names the claim."""

    intervention_id: UUID
    store_id: str
    person_id: str
    status: Status
    clock: Literal["wall", "event"]
    due_at: datetime
    expires_at: datetime
    attempts: int
    failures: int
    fence: int


class Question(Struct, frozen=True, kw_only=True):
    """What there is to know when a delivery's time has come."""

    delivery: Delivery
    intervention: Intervention
    person: Person
    settings: StoreSettings
    now: datetime
    """On the store's clock. On event time that is the moment it was due: a clock that jumps makes nothing late."""
    present: bool
    bought_at: datetime | None = None
    returned_at: datetime | None = None


class Send(Struct, frozen=True):
    """Send it now."""

    channel: Channel


class Wait(Struct, frozen=True):
    """Not now: quiet hours have begun meanwhile."""

    until: datetime


class Stop(Struct, frozen=True):
    """Never."""

    status: Literal["cancelled", "expired", "dead"]
    why: str


def still_open(question: Question, flags: Snapshot | None) -> Question:
    """The question with the channels that are open to its person by now."""
    intervention, settings = question.intervention, question.settings
    closed = closed_to(intervention, intervention.assigned_as, flags, question.now)
    if not closed:
        return question
    left = tuple(channel for channel in settings.channels if channel not in closed)
    return replace(question, settings=replace(settings, channels=left))


def ask_again(question: Question) -> Send | Wait | Stop:
    """Whether a message may still leave, and how: open cart, consent, time, somebody to reach."""
    intervention, person, now = question.intervention, question.person, question.now
    since = intervention.decided_at - timedelta(minutes=question.settings.idle_minutes)
    if question.bought_at is not None and question.bought_at >= since:
        return Stop("cancelled", f"ordered at {question.bought_at:%Y-%m-%d %H:%M} UTC")
    if question.returned_at is not None and question.returned_at >= intervention.decided_at:
        return Stop("cancelled", "came back to the cart")
    allowed = marketing(person)
    if not allowed.allowed:
        return Stop("cancelled", allowed.detail)
    if now >= question.delivery.expires_at:
        return Stop("expired", f"was of use until {question.delivery.expires_at:%Y-%m-%d %H:%M} UTC")
    channel = _channel(question)
    if channel is None:
        return Stop("cancelled", "cannot be reached any more")
    return _at_its_time(question, channel)


def _at_its_time(question: Question, channel: Channel) -> Send | Wait | Stop:
    now = question.now
    start = allowed_from(question.person, question.settings, now) if channel == "email" else now
    if start >= question.delivery.expires_at:
        return Stop("expired", "quiet hours end too late")
    return Send(channel) if start <= now else Wait(start)


def _channel(question: Question) -> Channel | None:
    """The best way now. A page that has gone gets its message when it is back, if there is no other way."""
    ways = reachable(question.person, question.settings, present=question.present)
    silent = question.delivery.attempts > OFFERS_BEFORE_NEXT_CHANNEL
    if "email" in ways and (silent or ways[0] == "email"):
        return "email"
    if ways:
        return ways[0]
    wanted = question.person.wishes.channels
    was_on_page = question.intervention.channel == "websocket" and "websocket" in question.settings.channels
    return "websocket" if was_on_page and (wanted is None or "websocket" in wanted) else None


def pause(tries: int) -> timedelta:
    """How long to wait after so many tries: 5 s, doubled each time, half an hour at most."""
    return min(_FIRST_PAUSE * 2 ** min(tries - 1, 20), _LONGEST_PAUSE) if tries > 0 else timedelta(0)


def ended(intervention: Intervention, kind: Literal["delivered", "failed", "cancelled", "expired"], at: datetime,
          channel: Channel | None, detail: str) -> InterventionEvent:  # fmt: skip
    """What the other services are told of a delivery's end."""
    return InterventionEvent(
        id=f"{intervention.id}:{kind}",
        store_id=intervention.store_id,
        occurred_at=at,
        intervention_id=str(intervention.id),
        kind=kind,
        cart_id=intervention.cart_id,
        cart_number=intervention.cart_number,
        person_id=intervention.person_id,
        channel=channel,
        action=intervention.action,
        discount_percent=intervention.discount_percent,
        cart_value=intervention.cart.value,
        currency=intervention.cart.currency,
        detail=detail,
    )
