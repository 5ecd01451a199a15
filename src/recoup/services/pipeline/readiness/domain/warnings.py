"""What is wrong with what a shop sends, from the counts of its last day, each with what to do about it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from recoup.services.pipeline.arrivals.domain import Lately
from recoup.services.pipeline.readiness.domain.verdicts import FEW_CONTACTS, Reach, carts_of

SILENCE: Final = timedelta(hours=1)
"""A shop that is busy and silent for so long is asked whether something broke."""
_BUSY_A_DAY: Final = 1_000


class Warned(Struct, frozen=True, kw_only=True):
    """One thing to be mended."""

    code: str
    severity: Literal["info", "warning", "critical"]
    title: str
    says: str
    next_step: str
    count: int | None = None
    """Events of the last 24 hours it is about."""
    last_seen: datetime | None = None


class _Rule(NamedTuple):
    code: str
    names: Sequence[str]
    """Of counts; one that ends in a star stands for all that begin so."""
    title: str
    says: str
    next_step: str
    severity: Literal["info", "warning", "critical"] = "warning"


_RULES: Final = (
    _Rule(
        "future_timestamps", ("refused:future_time", "ahead", "dead:timestamp"), "Timestamps in the future",
        "Events say that they happened later than they reached us; what is more than a day ahead is refused.",
        "Send occurred_at in UTC or with its offset, and sent_at beside it, so that a wrong clock can be corrected.",
    ),
    _Rule(
        "missing_visitor", ("refused:no_visitor",), "Events of nobody",
        "Events name neither a cart nor a shopper nor a session, so they are refused.",
        "Send anonymous_id, user_id, session_id or cart_id with every event.",
    ),
    _Rule(
        "placeholder_ids", ("refused:placeholder_id",), "Ids that are none",
        'Events name a cart, shopper or session "undefined", "null" or the like, which would make strangers one.',
        "Find the script or template that writes an id before there is one, and leave the field out until then.",
    ),
    _Rule(
        "unknown_currency", ("refused:bad_currency", "currency"), "Unknown currency",
        "Events give money in a currency that does not exist.",
        "Send the three capital letters of ISO 4217, such as USD, or leave the currency out for the shop's own.",
    ),
    _Rule(
        "oversized", ("refused:too_large", "refused:too_many_events", "refused:too_many_items",
                      "refused:bad_properties", "dead:size"), "Events that are too large",
        "Requests or events are larger than what is taken.",
        "Send fewer events at once, and keep in properties only what you will look at.",
    ),
    _Rule(
        "schema_violations", ("refused:missing_field", "refused:unknown_field", "refused:wrong_type",
                              "refused:bad_format", "refused:out_of_range", "dead:schema_violation", "warned:schema*"),
        "Events that break their schema",
        "Events lack what their type needs, or have it in a form that is not agreed on.",
        "Look at the dead letters: each says which field is wrong, and a repair may be waiting. What a schema only"
        " warns of is kept; the figures of events say what is wrong with it.",
    ),
    _Rule(
        "unknown_types", ("refused:unknown_type", "dead:unknown_type"), "Unknown types of event",
        "Events are of a type nobody has registered.",
        "Use the names of the event vocabulary, or register a schema of that name.",
    ),
    _Rule(
        "flooding_visitor", ("warned:flooding_visitor",), "A visitor who floods",
        "A visitor or bot sends more than a person can; its events wait in a lane of their own, and slow nobody.",
        "If it is a job of yours, send its events in batches with the secret key; if not, nothing is to be done.",
        "info",
    ),
    _Rule(
        "unproven_identities",
        ("warned:identity_unproven",),
        "Identities without proof",
        "Events from shoppers' browsers name a user and bring no proof that it is them.",
        "Send user_hash beside user_id; the guide on identities shows how the shop's server makes it.",
    ),
    _Rule(
        "signatures", ("unsigned:*",), "Webhook signatures that fail",
        "Deliveries were refused because their signature is not this shop's.",
        "Set the secret that the platform signs with now, and ask it to deliver again.",
        "critical",
    ),
)  # fmt: skip


def warnings_of(lately: Lately, reach: Reach | None, now: datetime) -> list[Warned]:
    """Everything that is wrong, the most severe first."""
    found = [warned for rule in _RULES if (warned := _of_rule(rule, lately)) is not None]
    found += [warned for warned in (_silence(lately, now), _contact(reach)) if warned is not None]
    return sorted(found, key=lambda warned: ("critical", "warning", "info").index(warned.severity))


def _of_rule(rule: _Rule, lately: Lately) -> Warned | None:
    names = [name for name in lately.day if any(fnmatchcase(name, each) for each in rule.names)]
    count = sum(lately.day[name] for name in names)
    if not count:
        return None
    return Warned(
        code=rule.code, severity=rule.severity, title=rule.title, says=rule.says, next_step=rule.next_step, count=count,
        last_seen=max(lately.last[name] for name in names if name in lately.last),
    )  # fmt: skip


def _silence(lately: Lately, now: datetime) -> Warned | None:
    last = max((at for name, at in lately.last.items() if name.startswith("type:")), default=None)
    day = sum(count for name, count in lately.day.items() if name.startswith("type:"))
    if last is None or now - last < (SILENCE if day >= _BUSY_A_DAY else timedelta(days=1)):
        return None
    return Warned(
        code="silence", severity="critical", title="No events lately", last_seen=last,
        says="Events used to arrive and have stopped; carts that are left now are not noticed.",
        next_step="Is recoup.js still on the page, and is the key still in force?",
    )  # fmt: skip


def _contact(reach: Reach | None) -> Warned | None:
    if reach is None or not reach.carts or reach.mailable >= FEW_CONTACTS * reach.carts:
        return None
    return Warned(
        code="missing_contact", severity="warning", title="Nobody to write to", count=reach.carts - reach.mailable,
        says=f"Of {carts_of(reach)} left in the last {reach.days} days, only {reach.mailable} can be sent a mail.",
        next_step="Send user_identified with the e-mail address and consent as soon as a shopper has typed them.",
    )  # fmt: skip
