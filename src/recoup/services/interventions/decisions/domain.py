"""The rules, and what their answers add up to. Pure: the same case always ends the same way; time and slots come in.

Every rule is asked, also when an earlier one has said no, so that whoever looks knows all the reasons. The holdout is
asked last and only decides between `contact` and `held_out`: who would not have been contacted anyway is no part of
the experiment.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from recoup.messages.facts import Action, Cart, CartScored, InterventionEvent, Outcome, RuleAnswer
from recoup.messages.stores import Channel, StoreSettings
from recoup.services.interventions.preferences.domain import Person
from recoup.services.interventions.preferences.quiet import end_of_quiet, zone_of

ATTENTION = timedelta(days=3)
"""A message that could not leave within so long after the abandonment is not worth sending any more."""


class Case(Struct, frozen=True, kw_only=True):
    """Everything a decision is based on."""

    scored: CartScored
    settings: StoreSettings
    person: Person
    now: datetime
    """On the store's clock."""
    present: bool
    """Somebody with one of the person's ids has the shop's page open."""
    bought_at: datetime | None = None
    """The person's last order we know of, up to now."""
    assigned_as: str
    """The id under which this person was first put into an arm of the experiment."""
    closed: tuple[Channel, ...] = ()
    """Channels that a feature flag of the store closes for this person; `settings` is without them."""


class CartSeen(Struct, frozen=True):
    """A cart was abandoned."""

    store_id: str
    cart_id: str
    cart_number: int
    at: datetime


class Slot(Struct, frozen=True, kw_only=True):
    """What the contact counters say about one more message at its time."""

    free: bool
    detail: str


class Plan(Struct, frozen=True, kw_only=True):
    """What would be sent, and when."""

    channel: Channel | None
    action: Action
    discount_percent: int
    due_at: datetime
    expires_at: datetime


class Decision(Struct, frozen=True, kw_only=True):
    """How a case ended."""

    outcome: Outcome
    plan: Plan
    rules: list[RuleAnswer]
    propensity: float


class Intervention(Struct, frozen=True, kw_only=True):
    """A decision as it is kept."""

    id: UUID
    store_id: str
    cart_id: str
    cart_number: int
    trigger: str
    person_id: str
    assigned_as: str
    outcome: Outcome
    channel: Channel | None
    action: Action
    discount_percent: int
    coupon: str | None
    rules: list[RuleAnswer]
    propensity: float
    probability: float
    model_version: str
    reasons: list[str]
    cart: Cart
    clock: Literal["wall", "event"]
    decided_at: datetime
    due_at: datetime | None
    expires_at: datetime


class Marketing(Struct, frozen=True, kw_only=True):
    """Whether a person may be sent marketing at all."""

    allowed: bool
    detail: str


def keepable(scored: CartScored) -> CartScored:
    """The prediction without NUL characters, which JSON allows and our tables don't."""
    body = msgspec.json.encode(scored)
    if b"\\u0000" not in body:
        return scored
    return msgspec.json.decode(body.replace(b"\\u0000", b"\\ufffd"), type=CartScored)


def marketing(person: Person) -> Marketing:
    """Consent, opt-outs and suppressions; asked again whenever a message is about to leave."""
    if person.wishes.opted_out:
        return Marketing(allowed=False, detail="asked for no messages")
    if person.suppressed:
        return Marketing(allowed=False, detail="the address has unsubscribed or refused our mail")
    if person.consent is False:
        return Marketing(allowed=False, detail="refused consent to marketing")
    return Marketing(allowed=True, detail="consented to marketing" if person.consent else "has not objected")


def reachable(person: Person, settings: StoreSettings, *, present: bool) -> list[Channel]:
    """The channels a message could take now, in the store's order of preference."""
    wanted = settings.channels if person.wishes.channels is None else person.wishes.channels
    mailable = person.email is not None and (person.consent is True or not settings.contact_requires_consent)
    able: dict[Channel, bool] = {"websocket": present, "email": mailable}
    return [channel for channel in settings.channels if channel in wanted and able[channel]]


def plan(case: Case) -> Plan:
    """What a message would be: the best channel, the offer within the store's ceiling, the first allowed moment."""
    channel = next(iter(reachable(case.person, case.settings, present=case.present)), None)
    action, percent = _offer(case)
    start = case.scored.occurred_at if case.settings.clock == "event" else max(case.scored.occurred_at, case.now)
    due_at = max(case.scored.occurred_at + timedelta(minutes=case.settings.delay_minutes), start)
    if channel == "email":
        due_at = allowed_from(case.person, case.settings, due_at)
    expires_at = max(
        case.scored.expires_at, case.scored.occurred_at + timedelta(minutes=case.settings.delay_minutes) + ATTENTION
    )
    return Plan(channel=channel, action=action, discount_percent=percent, due_at=due_at, expires_at=expires_at)


def allowed_from(person: Person, settings: StoreSettings, moment: datetime) -> datetime:
    """The first moment from the given one on at which an e-mail may leave: outside quiet hours."""
    zone = zone_of(person.wishes.timezone, person.timezone, settings.timezone)
    quiet_from = person.wishes.quiet_from or settings.quiet_from
    quiet_until = person.wishes.quiet_until or settings.quiet_until
    return end_of_quiet(moment, zone, quiet_from, quiet_until)


def _offer(case: Case) -> tuple[Action, int]:
    """The recommended action, within the discount ceiling, and without discount for those at risk."""
    action = case.scored.action if case.scored.action is not Action.NONE else Action.REMINDER
    percent = min(case.scored.discount_percent, case.settings.discount_percent)
    if action is not Action.DISCOUNT:
        return action, 0
    if percent == 0 or case.person.risk is not None:
        return Action.REMINDER, 0
    return action, percent


def _answer(rule: str, *, passed: bool, detail: str) -> RuleAnswer:
    return RuleAnswer(rule=rule, passed=passed, detail=detail)


def _yes(rule: str, detail: str) -> RuleAnswer:
    return _answer(rule, passed=True, detail=detail)


def _no(rule: str, detail: str) -> RuleAnswer:
    return _answer(rule, passed=False, detail=detail)


def _still_open(case: Case, _: Plan) -> RuleAnswer:
    since = case.scored.occurred_at - timedelta(minutes=case.settings.idle_minutes)
    if case.bought_at is not None and case.bought_at >= since:
        return _no("cart_open", f"ordered at {case.bought_at:%Y-%m-%d %H:%M} UTC")
    return _yes("cart_open", "nothing ordered since")


def _threshold(case: Case, _: Plan) -> RuleAnswer:
    probability, threshold = case.scored.probability, case.settings.threshold
    passed = probability > threshold
    word = "above" if passed else "not above"
    return _answer("threshold", passed=passed, detail=f"probability {probability:.3f} is {word} {threshold:g}")


def _reachability(case: Case, planned: Plan) -> RuleAnswer:
    if planned.channel is not None:
        return _yes("reachable", f"by {planned.channel}")
    person = case.person
    page = (
        "the shop's page is open but not among the chosen channels" if case.present else "the shop's page is not open"
    )
    if person.email is None:
        mail = "no e-mail address is known"
    elif person.consent is not True and case.settings.contact_requires_consent:
        mail = "consent to e-mail is not known"
    else:
        mail = "e-mail is not among the chosen channels"
    closed = "".join(f", flag contact.{channel} says no" for channel in case.closed)
    return _no("reachable", f"{page}, {mail}{closed}")


def _timing(case: Case, planned: Plan) -> RuleAnswer:
    if planned.due_at >= planned.expires_at:
        return _no("timing", f"could only leave at {planned.due_at:%Y-%m-%d %H:%M} UTC, when it is no longer of use")
    if planned.due_at <= case.now:
        return _yes("timing", "now")
    return _yes("timing", f"at {planned.due_at:%Y-%m-%d %H:%M} UTC, after the delay and outside quiet hours")


def _store_rules(case: Case, _: Plan) -> RuleAnswer:
    cart, settings = case.scored.cart, case.settings
    if cart.value < settings.min_cart_value:
        return _no("store_rules", f"cart value {cart.value} is below {settings.min_cart_value}")
    excluded = sorted({item.product_id for item in cart.items} & set(settings.excluded_products))
    if excluded:
        return _no("store_rules", f"holds excluded product {excluded[0]}")
    asked = case.scored.discount_percent
    if case.scored.action is Action.DISCOUNT and asked > settings.discount_percent:
        return _yes("store_rules", f"discount of {asked} % held to {settings.discount_percent} %")
    return _yes("store_rules", "value, products and discount are within the store's limits")


def _permission(case: Case, _: Plan) -> RuleAnswer:
    found = marketing(case.person)
    risk = f"; no discount: {case.person.risk}" if case.person.risk else ""
    return _answer("permission", passed=found.allowed, detail=found.detail + risk)


RULES: tuple[Callable[[Case, Plan], RuleAnswer], ...] = (
    _still_open,
    _threshold,
    _reachability,
    _timing,
    _store_rules,
    _permission,
)
"""The rules that need nothing but the case; `frequency` and `holdout` are asked after them."""


def ask(case: Case, planned: Plan) -> list[RuleAnswer]:
    """Every rule's answer."""
    return [rule(case, planned) for rule in RULES]


def draw(store_id: str, assigned_as: str) -> float:
    """A person's place in [0, 1), the same for ever: below the holdout share they are left alone."""
    digest = hashlib.sha256(f"holdout\x1f{store_id}\x1f{assigned_as}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def conclude(case: Case, planned: Plan, answers: Sequence[RuleAnswer], slot: Slot) -> Decision:
    """What all answers add up to."""
    share = case.settings.holdout
    held_out = draw(case.scored.store_id, case.assigned_as) < share
    chance = f"{1 - share:.0%} who may be contacted" if not held_out else f"{share:.0%} who are left alone"
    rules = [
        *answers,
        _answer("frequency", passed=slot.free, detail=slot.detail),
        _answer("holdout", passed=not held_out, detail=f"among the {chance}"),
    ]
    if not all(answer.passed for answer in rules[:-1]):
        return Decision(outcome=Outcome.SKIPPED, plan=planned, rules=rules, propensity=1.0)
    if held_out:
        return Decision(outcome=Outcome.HELD_OUT, plan=planned, rules=rules, propensity=share)
    return Decision(outcome=Outcome.CONTACT, plan=planned, rules=rules, propensity=1 - share)


def decided(intervention: Intervention) -> InterventionEvent:
    """What the other services are told of a decision."""
    return InterventionEvent(
        id=f"{intervention.id}:decided",
        store_id=intervention.store_id,
        occurred_at=intervention.decided_at,
        intervention_id=str(intervention.id),
        kind="decided",
        cart_id=intervention.cart_id,
        cart_number=intervention.cart_number,
        person_id=intervention.person_id,
        channel=intervention.channel,
        action=intervention.action,
        discount_percent=intervention.discount_percent,
        outcome=intervention.outcome,
        rules=intervention.rules,
        propensity=intervention.propensity,
        cart_value=intervention.cart.value,
        currency=intervention.cart.currency,
        probability=intervention.probability,
        model_version=intervention.model_version,
        detail=_summary(intervention),
    )


def _summary(intervention: Intervention) -> str:
    """The first reason not to, or the reason for silence, in one sentence."""
    refusals = (f"{answer.rule}: {answer.detail}" for answer in intervention.rules if not answer.passed)
    return next(refusals, "")


def coupon(intervention_id: UUID) -> str:
    """A code that belongs to one intervention alone; letters and digits that are not taken for each other."""
    alphabet = "ACDEFGHJKLMNPQRTUVWXY34679"
    number = int.from_bytes(hashlib.sha256(b"coupon\x1f" + intervention_id.bytes).digest()[:8])
    code = ""
    for _ in range(8):
        number, place = divmod(number, len(alphabet))
        code += alphabet[place]
    return f"BACK-{code}"
