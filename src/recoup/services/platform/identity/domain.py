"""A person, a sign-in, and what an access token says."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from recoup.messages.access import GRANTS, Principal, Role


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


def principal(access: Access) -> Principal:
    """Who acts when the token is used."""
    stores = {store_id: sorted(GRANTS[role]) for store_id, role in access.roles.items()}
    return Principal(subject=access.user_id, kind="person", stores=stores, session=access.session_id)


def normalised(email: str) -> str:
    """The form in which addresses are compared."""
    return email.strip().lower()
