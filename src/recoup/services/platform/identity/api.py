"""Sign-in over HTTP."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from litestar import Request, delete, get, patch, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from recoup.kit.errors import Unauthenticated
from recoup.kit.http import PUBLIC
from recoup.kit.pages import Page
from recoup.messages.access import Permission, Principal, Role
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.identity.actions import Joined, SignIn, Team, Tokens
from recoup.services.platform.identity.domain import Member
from recoup.services.platform.identity.store import People, Sessions
from recoup.services.platform.stores.domain import Membership
from recoup.services.platform.stores.store import Stores

Asking = Request[object, object, State]


class Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who, and the proof."""

    email: Annotated[str, Meta(min_length=1, max_length=320)]
    password: Annotated[str, Meta(min_length=1, max_length=1024)]


class RefreshToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one that came with the last pair."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=200)]


class Me(Struct, frozen=True, kw_only=True):
    """Who is asking."""

    subject: str
    kind: str
    email: str | None
    stores: Sequence[Membership]


class NewMember(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody to be let into a store."""

    email: Annotated[str, Meta(min_length=3, max_length=320, pattern="^[^@\\s]+@[^@\\s]+$")]
    role: Role


class RoleChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody shall be."""

    role: Role


@post("/auth/login", opt={"permission": PUBLIC}, status_code=200)
async def login(data: JSONBody[Login], request: Asking, sign_in: NamedDependency[SignIn]) -> Tokens:
    """E-mail and password for a pair of tokens."""
    return await sign_in.login(data.email, data.password, address_of(request))


@post("/auth/refresh", opt={"permission": PUBLIC}, status_code=200)
async def refresh(data: JSONBody[RefreshToken], request: Asking, sign_in: NamedDependency[SignIn]) -> Tokens:
    """A refresh token for the next pair. It can be used once: a second use ends the sign-in."""
    return await sign_in.refresh(data.refresh_token, address_of(request))


@post("/auth/logout", opt={"permission": PUBLIC}, status_code=204)
async def logout(
    request: Asking,
    sign_in: NamedDependency[SignIn],
    sessions: NamedDependency[Sessions],
    data: JSONBody[RefreshToken | None] = None,
) -> None:
    """Ends the sign-in of the access token, or else of the refresh token in the body, wherever it is used."""
    caller: Principal | None = request.scope.get("user")
    session = UUID(caller.session) if caller is not None and caller.session is not None else None
    if session is None and data is not None:
        session = await sessions.of_token(data.refresh_token)
    if session is None:
        raise Unauthenticated("nothing here says which sign-in to end")
    subject = caller.subject if caller is not None else "refresh"
    await sign_in.logout(session, Actor(subject, address_of(request)))


@get("/auth/me", opt={"permission": Permission.SELF_READ})
async def me(
    caller: NamedDependency[Principal], people: NamedDependency[People], stores: NamedDependency[Stores]
) -> Me:
    """Who one is, and what in which store."""
    known = {store.store_id: store.name for store in await stores.among(list(caller.stores))}
    if caller.kind != "person":
        memberships = [Membership(store_id=store_id, name=name, role=caller.kind) for store_id, name in known.items()]
        return Me(subject=caller.subject, kind=caller.kind, email=None, stores=memberships)
    person = await people.find(UUID(caller.subject))
    roles = await people.roles(UUID(caller.subject))
    memberships = [
        Membership(store_id=store_id, name=name, role=roles[store_id])
        for store_id, name in known.items()
        if store_id in roles
    ]
    return Me(
        subject=caller.subject, kind=caller.kind, email=person.email if person is not None else None, stores=memberships
    )


@get("/users", opt={"permission": Permission.TEAM_READ})
async def list_users(store_id: NamedDependency[str], people: NamedDependency[People]) -> Page[Member]:
    """Everybody of a store, with their roles."""
    return Page([*await people.members(store_id)])


@post("/users", opt={"permission": Permission.TEAM_WRITE})
async def add_user(
    data: JSONBody[NewMember],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    team: NamedDependency[Team],
) -> Joined:
    """Makes somebody a member; whoever had no account gets one, with a password that is shown once."""
    return await team.join(store_id, data.email, data.role, actor)


@patch("/users/{user_id:uuid}", opt={"permission": Permission.TEAM_WRITE}, status_code=204)
async def change_user(
    user_id: FromPath[UUID],
    data: JSONBody[RoleChange],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    team: NamedDependency[Team],
) -> None:
    """Another role in this store; the person has to sign in again."""
    await team.change(store_id, user_id, data.role, actor)


@delete("/users/{user_id:uuid}", opt={"permission": Permission.TEAM_WRITE})
async def remove_user(
    user_id: FromPath[UUID],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    team: NamedDependency[Team],
) -> None:
    """Takes somebody out of this store and signs them out."""
    await team.change(store_id, user_id, None, actor)


def address_of(request: Asking) -> str:
    """Where a request came from; the gateway has put the right one there."""
    return request.client.host if request.client is not None else ""


HANDLERS = (login, refresh, logout, me, list_users, add_user, change_user, remove_user)
