"""Members of a store, and invitations to it."""

from typing import Annotated
from uuid import UUID

from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from recoup.kit.clock import Clock
from recoup.kit.http import PUBLIC
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page
from recoup.messages.access import Permission, Principal, Role
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.identity.actions.team import Giver, Invitations, Team
from recoup.services.platform.identity.api.account import Password, Token
from recoup.services.platform.identity.api.asking import Asking, visit_of
from recoup.services.platform.identity.domain import Invitation, Member
from recoup.services.platform.identity.store.letters import Letters
from recoup.services.platform.identity.store.people import People

_SIGNS = r'[^@\s,;:<>()\[\]"\\\x00-\x1f\x7f]+'
Mailbox = Annotated[str, Meta(min_length=3, max_length=320, pattern=f"^{_SIGNS}@{_SIGNS}$")]


class NewMember(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody to be let into a store."""

    email: Mailbox
    role: Role


class RoleChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody shall be."""

    role: Role


class Shown(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stood in an invitation."""

    token: Token


class Accepting(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, with a password for a new account."""

    token: Token
    password: Password | None = None


class Invited(Struct, frozen=True, kw_only=True):
    """What one is invited to."""

    store: str
    email: str
    role: Role
    has_account: bool
    """Whether one signs in with what one has, or chooses a password now."""


@get("/users", opt={"permission": Permission.TEAM_READ})
async def list_users(store_id: NamedDependency[str], people: NamedDependency[People]) -> Page[Member]:
    """Everybody of a store, with their roles."""
    return Page([*await people.members(store_id)])


@patch("/users/{user_id:uuid}", opt={"permission": Permission.TEAM_WRITE}, status_code=204)
async def change_user(
    user_id: FromPath[UUID],
    data: JSONBody[RoleChange],
    store_id: NamedDependency[str],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    team: NamedDependency[Team],
) -> None:
    """Another role in this store; the person has to sign in again."""
    await team.change(store_id, user_id, data.role, _giver(caller, store_id, actor))


@delete("/users/{user_id:uuid}", opt={"permission": Permission.TEAM_WRITE})
async def remove_user(
    user_id: FromPath[UUID],
    store_id: NamedDependency[str],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    team: NamedDependency[Team],
) -> None:
    """Takes somebody out of this store and signs them out."""
    await team.change(store_id, user_id, None, _giver(caller, store_id, actor))


@post(["/users", "/invitations"], opt={"permission": Permission.TEAM_WRITE})
async def invite(
    data: JSONBody[NewMember],
    store_id: NamedDependency[str],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    invitations: NamedDependency[Invitations],
) -> Invitation:
    """Invites somebody by e-mail; an earlier invitation of theirs to this store ends.

    Says nothing of whether the address has an account: whoever holds the letter becomes a member by it.
    """
    return await invitations.invite(store_id, data.email, data.role, _giver(caller, store_id, actor))


@get("/invitations", opt={"permission": Permission.TEAM_READ})
async def list_invitations(
    store_id: NamedDependency[str],
    letters: NamedDependency[Letters],
    clock: NamedDependency[Clock],
    cursor: FromQuery[UUID | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[Invitation]:
    """Invitations that may still be accepted, the newest first."""
    page = await letters.invitations(store_id, clock.now(), cursor, limit)
    return Page([*page], str(page[-1].id) if len(page) == limit else None)


@delete("/invitations/{invitation_id:uuid}", opt={"permission": Permission.TEAM_WRITE})
async def revoke_invitation(
    invitation_id: FromPath[UUID],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    letters: NamedDependency[Letters],
    clock: NamedDependency[Clock],
) -> None:
    """Takes an invitation back."""
    await letters.revoke(store_id, invitation_id, actor, clock.now())


@post("/auth/invitations/read", opt={"permission": PUBLIC}, status_code=200)
async def read_invitation(data: JSONBody[Shown], invitations: NamedDependency[Invitations]) -> Invited:
    """What the letter invites to."""
    found = await invitations.read(data.token)
    return Invited(store=found.store, email=found.email, role=found.role, has_account=found.has_account)


@post("/auth/invitations/accept", opt={"permission": PUBLIC}, status_code=204)
async def accept_invitation(
    data: JSONBody[Accepting], request: Asking, invitations: NamedDependency[Invitations]
) -> None:
    """Takes the place one is invited to. Signing in comes after it."""
    await invitations.accept(data.token, data.password, visit_of(request))


def _giver(caller: Principal, store_id: str, actor: Actor) -> Giver:
    return Giver(actor, caller.stores.get(store_id, []))


HANDLERS = (
    list_users, change_user, remove_user, invite, list_invitations, revoke_invitation, read_invitation,
    accept_invitation,
)  # fmt: skip
