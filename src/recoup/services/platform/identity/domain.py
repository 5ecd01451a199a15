"""People, sign-ins, what an access token says, which keys are in force, and what a password must be."""

import ipaddress
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from recoup.kit.config import Secret
from recoup.kit.errors import Problem
from recoup.messages.access import GRANTS, Permission, Principal, Role

SKEW: Final = timedelta(minutes=2)
"""How far the clocks of our own machines may be apart."""
RECOVERY_CODES: Final = 10
RECOVERY_SIGNS: Final = 16
RECOVERY_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's: no two signs that are taken for one another."""
_MISTAKEN: Final = str.maketrans("OIL", "011")
IPV6_NETWORK: Final = 64
TELLING: Final = 4
"""Shorter parts of an address say nothing about a password that holds them."""


class Person(Struct, frozen=True, kw_only=True):
    """Somebody who may sign in."""

    id: UUID
    email: str
    password_hash: str


class Member(Struct, frozen=True, kw_only=True):
    """A person in a store."""

    id: UUID
    email: str
    role: Role
    created_at: datetime


class Change(StrEnum):
    """What came of changing a membership."""

    DONE = "done"
    NOBODY = "nobody"
    LAST_OWNER = "last_owner"
    TOO_HIGH = "role_too_high"


class Access(Struct, frozen=True, kw_only=True):
    """What an access token carries: everything needed to let its bearer in without a look-up."""

    user_id: str
    session_id: str
    roles: dict[str, Role]


class Refresh(StrEnum):
    """Why a refresh token is not taken."""

    UNKNOWN = "refresh_unknown"
    REUSED = "refresh_reused"
    ENDED = "session_ended"


class Session(Struct, frozen=True, kw_only=True):
    """A sign-in, from its login to its end."""

    id: UUID
    user_id: UUID


class Visit(Struct, frozen=True):
    """Where a sign-in is used from, so that its owner can tell it from others."""

    address: str
    device: str = ""
    request_id: str = ""


class SignedIn(Struct, frozen=True, kw_only=True):
    """A sign-in as its owner sees it."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str
    device: str


class SigningKey(Struct, frozen=True, kw_only=True):
    """A key that signs access tokens from its time on, until the next one does."""

    id: UUID
    seed: Secret
    signs_from: datetime


class Factor(Struct, frozen=True, kw_only=True):
    """A second factor: a secret shared with a person's device."""

    user_id: UUID
    secret: Secret
    is_confirmed: bool


class Invitation(Struct, frozen=True, kw_only=True):
    """A place in a store that waits for somebody to take it."""

    id: UUID
    store_id: str
    email: str
    role: Role
    made_at: datetime
    expires_at: datetime


class Due(Struct, frozen=True, kw_only=True):
    """A letter to be written: with an invitation, or without one for a new password."""

    id: UUID
    email: str
    asked_at: datetime
    invitation_id: UUID | None = None
    store: str | None = None
    role: Role | None = None
    expires_at: datetime | None = None


class Written(Struct, frozen=True):
    """The words of a letter."""

    subject: str
    text: str


def principal(access: Access) -> Principal:
    """Who acts when the token is used."""
    stores = {store_id: sorted(GRANTS[role]) for store_id, role in access.roles.items()}
    return Principal(subject=access.user_id, kind="person", stores=stores, session=access.session_id)


def givable(permissions: Collection[Permission]) -> frozenset[Role]:
    """Roles that may do no more than somebody with these may do."""
    return frozenset(role for role in Role if GRANTS[role] <= frozenset(permissions))


def normalised(email: str) -> str:
    """The form in which addresses are compared."""
    return email.strip().lower()


def neighbourhood(address: str) -> str:
    """By what attempts from an address are counted: of IPv6, where anybody has billions of addresses, its network."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:  # noqa: PLR2004 - of the protocol
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), IPV6_NETWORK), strict=False))


def signing(keys: Sequence[SigningKey], now: datetime) -> SigningKey | None:
    """The newest that has begun."""
    begun = [key for key in keys if key.signs_from <= now]
    return max(begun, key=lambda key: (key.signs_from, key.id), default=None)


def trusted_until(keys: Sequence[SigningKey], key: SigningKey, lifetime: timedelta) -> datetime | None:
    """When the last token it signed has ended; None while no other key follows."""
    after = [other.signs_from for other in keys if (other.signs_from, other.id) > (key.signs_from, key.id)]
    return min(after) + lifetime + SKEW if after else None


def trusted(keys: Sequence[SigningKey], now: datetime, lifetime: timedelta) -> Sequence[SigningKey]:
    """Those whose tokens are taken: the present one, those to come, and those whose tokens may not have ended."""
    ends = [(key, trusted_until(keys, key, lifetime)) for key in keys]
    return [key for key, end in ends if end is None or end > now]


def recovery_code(randomness: bytes) -> str:
    """A code of 80 bits, in groups, so that it can be copied by hand."""
    signs = "".join(RECOVERY_ALPHABET[byte % len(RECOVERY_ALPHABET)] for byte in randomness[:RECOVERY_SIGNS])
    return "-".join(signs[at : at + 4] for at in range(0, RECOVERY_SIGNS, 4))


def plain_code(code: str) -> str:
    """A code as it is compared, however it was typed."""
    return "".join(sign for sign in code.upper() if sign.isalnum()).translate(_MISTAKEN)


def password_problems(password: str, email: str, shortest: int) -> Sequence[Problem]:
    """Every rule a new password breaks that needs no list of passwords."""
    found: list[Problem] = []
    if len(password) < shortest:
        detail = f"a password has at least {shortest} signs"
        found.append(Problem(code="password_short", field="password", detail=detail))
    parts = {email, email.partition("@")[0]}
    if any(len(part) >= TELLING and part in password.lower() for part in parts):
        detail = "a password does not hold the e-mail address it belongs to"
        found.append(Problem(code="password_like_email", field="password", detail=detail))
    return found


def reset_letter(link: str, minutes: int) -> Written:
    """How somebody comes by a new password."""
    text = (
        "Somebody, probably you, asked for a new password for Recoup.\n\n"
        f"Choose one here within {minutes} minutes:\n\n{link}\n\n"
        "The link can be used once, and signs you out everywhere. If you did not ask for it, there is nothing to do:\n"
        "your password stays as it is.\n"
    )
    return Written("A new password for Recoup", text)


def invitation_letter(link: str, store: str, role: Role, expires_at: datetime) -> Written:
    """How somebody comes into a store."""
    text = (
        f"You are invited to {store} on Recoup, as {role}.\n\n"
        f"Accept until {expires_at:%d %B %Y, %H:%M} UTC:\n\n{link}\n\n"
        "The link can be used once. If you do not know what this is about, there is nothing to do.\n"
    )
    return Written(f"Invitation to {' '.join(store.split())}", text)
