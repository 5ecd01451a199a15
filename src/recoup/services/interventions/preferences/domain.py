"""A person as decisions see them, and what an event's properties say of one. Trusts no property to be well-formed."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, cast

import msgspec
from msgspec import Meta, Struct

from recoup.messages.facts import Cart
from recoup.messages.stores import Channel, HourMinute

# Enough to keep out what cannot be an address and what would break a mail header; the mail server is the judge.
_ADDRESS = re.compile(r"^[^\s@<>,;:\"\\\x00-\x1f\x7f]{1,64}@[^\s@<>,;:\"\\\x00-\x1f\x7f]{1,255}$")
_LONGEST_TEXT = 200
# A shop that gives everybody the same address must not make one person of them all.
_MOST_IDS = 50


class Traits(Struct, frozen=True, kw_only=True):
    """What an event says about the person behind it; None is "it doesn't say"."""

    email: str | None = None
    phone: str | None = None
    name: str | None = None
    consent: bool | None = None


NO_TRAITS = Traits()


class Seen(Struct, frozen=True, kw_only=True):
    """Somebody was seen: under which ids, when, and what was learned."""

    user_id: str | None
    anonymous_id: str | None
    at: datetime
    traits: Traits = NO_TRAITS
    locale: str | None = None
    timezone: str | None = None
    proven: bool = False
    """Whether the shop vouches for it; if not, anybody who reads the shop's pages could have said it."""

    @property
    def person_id(self) -> str | None:
        return self.user_id or self.anonymous_id

    @property
    def is_told(self) -> bool:
        """Whether anything was learned; if not, somebody was there, and that is all."""
        return self.traits != NO_TRAITS or self.locale is not None or self.timezone is not None

    @property
    def is_trusted(self) -> bool:
        """Whether this may change what is known. Nobody but a visitor's own page knows the id it made up."""
        return self.proven or self.user_id is None


class Contact(Struct, frozen=True, kw_only=True):
    """What is stored about one id of a person."""

    person_id: str
    email: str | None = None
    name: str | None = None
    locale: str | None = None
    timezone: str | None = None
    consent: bool | None = None
    consent_at: datetime | None = None
    updated_at: datetime


class Wishes(Struct, frozen=True, kw_only=True):
    """What a person asked for."""

    channels: tuple[Channel, ...] | None = None
    """Only by these; None leaves it to the store."""
    quiet_from: HourMinute | None = None
    quiet_until: HourMinute | None = None
    timezone: Annotated[str, Meta(max_length=64)] | None = None
    opted_out: bool = False
    """No marketing at all."""


NO_WISHES = Wishes()


class Person(Struct, frozen=True, kw_only=True):
    """Somebody we may or may not contact, under all the ids we know them by."""

    person_id: str
    linked: tuple[str, ...]
    """Every id of theirs, `person_id` first."""
    email: str | None = None
    name: str | None = None
    locale: str | None = None
    timezone: str | None = None
    consent: bool | None = None
    """To marketing; None is "never said"."""
    suppressed: bool = False
    """Their address must not be written to: unsubscribed, bounced or complained."""
    wishes: Wishes = NO_WISHES
    risk: str | None = None
    """The kind of a risk signal about them: no discount for those."""


def traits(properties: str | None) -> Traits:
    """What a `properties` document says of a person; whatever is malformed says nothing."""
    try:
        found: object = msgspec.json.decode(properties) if properties else None
    except msgspec.DecodeError:
        return NO_TRAITS
    if not isinstance(found, dict):
        return NO_TRAITS
    said = cast("dict[str, object]", found)
    return Traits(
        email=_email(said.get("email")),
        phone=_text(said.get("phone")),
        name=_text(said.get("name") or said.get("first_name")),
        consent=_consent(said.get("consent")),
    )


def merged(
    person_id: str,
    linked: Sequence[str],
    contacts: Sequence[Contact],
    wishes: Sequence[Wishes],
    *,
    suppressed: bool,
    risk: str | None,
) -> Person:
    """One person from everything known under their ids: their own id's word first, then the newest, field by field.

    A device is linked to a user by events that anybody could have sent; so it may add to what is known of the user and
    may withdraw consent, and changes nothing else.
    """
    newest_first = sorted(
        contacts, key=lambda contact: (contact.person_id == person_id, contact.updated_at), reverse=True
    )
    return Person(
        person_id=person_id,
        linked=tuple(dict.fromkeys([person_id, *linked]))[:_MOST_IDS],
        email=next((contact.email for contact in newest_first if contact.email), None),
        name=next((contact.name for contact in newest_first if contact.name), None),
        locale=next((contact.locale for contact in newest_first if contact.locale), None),
        timezone=next((contact.timezone for contact in newest_first if contact.timezone), None),
        consent=_consented(person_id, contacts),
        suppressed=suppressed,
        wishes=_strictest(wishes),
        risk=risk,
    )


def _consented(person_id: str, contacts: Sequence[Contact]) -> bool | None:
    """The person's own word, or else the newest of their devices; a later "no" counts wherever it was said."""
    said = sorted(
        [contact for contact in contacts if contact.consent is not None and contact.consent_at is not None],
        key=lambda contact: cast("datetime", contact.consent_at),
    )
    own = next((place for place, contact in enumerate(said) if contact.person_id == person_id), None)
    if own is None:
        return said[-1].consent if said else None
    return said[own].consent and all(contact.consent for contact in said[own:])


def user_seat(user_id: str) -> str:
    """Pages whose shop has proven that this user is before them."""
    return f"user:{user_id}"


def page_seat(anonymous_id: str) -> str:
    """Pages of a visitor: whoever knows the id that the page made up itself."""
    return f"page:{anonymous_id}"


def seats(cart: Cart, person_id: str) -> tuple[str, ...]:
    """Where a message about a cart may be shown.

    A user's only on pages that proved the user: what events say of who is who, anybody with the shop's public key can
    say. A visitor's on the page where the cart was filled, and on the user's once it is known whose that was.
    """
    if cart.user_id:
        return (user_seat(cart.user_id),)
    visitor = cart.anonymous_id or person_id
    return (page_seat(visitor), *([] if person_id == visitor else [user_seat(person_id)]))


def _strictest(wishes: Sequence[Wishes]) -> Wishes:
    """Wishes said under several ids: opting out under one of them counts for the person."""
    first = next(iter(wishes), NO_WISHES)
    return msgspec.structs.replace(first, opted_out=any(each.opted_out for each in wishes))


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    clean = " ".join("".join(each if each.isprintable() else " " for each in value).split())[:_LONGEST_TEXT]
    return clean or None


def _email(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    address = value.strip().lower()
    return address if _ADDRESS.match(address) else None


def _consent(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, dict):
        marketing = cast("dict[str, object]", value).get("marketing")
        return marketing if isinstance(marketing, bool) else None
    return None
