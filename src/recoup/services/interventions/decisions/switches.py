"""Channels that a store's feature flags close for a person, by what is known of them and their cart. Pure."""

from datetime import datetime

from msgspec.structs import replace

from recoup.kit.flags.model import Context
from recoup.kit.flags.snapshot import Snapshot
from recoup.messages.facts import CartScored
from recoup.messages.flags import CONTACT
from recoup.messages.stores import Channel
from recoup.services.interventions.decisions.domain import Case, Intervention


def open_to(case: Case, flags: Snapshot | None) -> Case:
    """The case with the channels that are open to its person."""
    closed = closed_to(case.scored, case.assigned_as, flags, case.now)
    if not closed:
        return case
    left = tuple(channel for channel in case.settings.channels if channel not in closed)
    return replace(case, settings=replace(case.settings, channels=left), closed=closed)


def closed_to(
    scored: CartScored | Intervention, assigned_as: str, flags: Snapshot | None, now: datetime
) -> tuple[Channel, ...]:
    """The channels whose flag says no; a flag that the store does not have, or that has no answer, says nothing."""
    asked: list[Channel] = [channel for channel, flag in CONTACT.items() if flags is not None and flag.key in flags]
    if flags is None or not asked:
        return ()
    cart = scored.cart
    who = Context(
        targeting_key=assigned_as,
        attributes={
            "identified": cart.user_id is not None, "cart_value": cart.value, "currency": cart.currency,
            "probability": scored.probability, "model_version": scored.model_version,
        },
    )  # fmt: skip
    return tuple(
        channel
        for channel in asked
        if not flags.is_on(CONTACT[channel].key, who, lambda: now, default=CONTACT[channel].default)
    )
