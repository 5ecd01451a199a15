"""Signing in, staying in, getting out, and the keys that access tokens are verified by."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from recoup.kit.clock import Clock
from recoup.kit.errors import Unauthenticated
from recoup.kit.http import PUBLIC
from recoup.kit.pages import Page
from recoup.messages.access import Permission, Principal
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.identity.actions.keys import KeyChange, PublishedKeys
from recoup.services.platform.identity.actions.sign_in import SignIn, Tokens, Which
from recoup.services.platform.identity.api.asking import Asking, visit_of, who
from recoup.services.platform.identity.domain import Session
from recoup.services.platform.identity.store.factors import Factors
from recoup.services.platform.identity.store.people import People
from recoup.services.platform.identity.store.sessions import Sessions
from recoup.services.platform.stores.domain import Membership
from recoup.services.platform.stores.store import Stores


class Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who, and the proof."""

    email: Annotated[str, Meta(min_length=1, max_length=320)]
    password: Annotated[str, Meta(min_length=1, max_length=1024)]
    code: Annotated[str, Meta(max_length=40)] | None = None
    """Of the second factor, or a recovery code; asked for with `second_factor_required` where it is needed."""


class RefreshToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The one that came with the last pair."""

    refresh_token: Annotated[str, Meta(min_length=1, max_length=200)]


class Me(Struct, frozen=True, kw_only=True):
    """Who is asking."""

    subject: str
    kind: str
    email: str | None
    second_factor: bool
    stores: Sequence[Membership]


class SeenSession(Struct, frozen=True, kw_only=True):
    """One of one's sign-ins."""

    id: UUID
    is_current: bool
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str
    device: str
    """What the browser or program said it is."""


@post("/auth/login", opt={"permission": PUBLIC}, status_code=200)
async def login(data: JSONBody[Login], request: Asking, sign_in: NamedDependency[SignIn]) -> Tokens:
    """E-mail and password, and the code of a second factor where there is one, for a pair of tokens."""
    return await sign_in.login(data.email, data.password, data.code, visit_of(request))


@post("/auth/refresh", opt={"permission": PUBLIC}, status_code=200)
async def refresh(data: JSONBody[RefreshToken], request: Asking, sign_in: NamedDependency[SignIn]) -> Tokens:
    """A refresh token for the next pair. It can be used once: a second use ends the sign-in."""
    return await sign_in.refresh(data.refresh_token, visit_of(request))


@post("/auth/logout", opt={"permission": PUBLIC}, status_code=204)
async def logout(
    request: Asking,
    sign_in: NamedDependency[SignIn],
    sessions: NamedDependency[Sessions],
    data: JSONBody[RefreshToken | None] = None,
) -> None:
    """Ends the sign-in of the access token, or else of the refresh token in the body, wherever it is used."""
    caller: Principal | None = request.scope.get("user")
    session: Session | None = None
    if caller is not None and caller.session is not None:
        session = Session(id=UUID(caller.session), user_id=UUID(caller.subject))
    elif data is not None:
        session = await sessions.of_token(data.refresh_token)
    if session is None:
        raise Unauthenticated("nothing here says which sign-in to end")
    visit = visit_of(request)
    await sign_in.logout(session.id, Actor(str(session.user_id), visit.address, visit.request_id))


@get("/auth/me", opt={"permission": Permission.SELF_READ})
async def me(
    caller: NamedDependency[Principal],
    people: NamedDependency[People],
    stores: NamedDependency[Stores],
    factors: NamedDependency[Factors],
) -> Me:
    """Who one is, and what in which store."""
    known = {store.store_id: store.name for store in await stores.among(list(caller.stores))}
    if caller.kind != "person":
        memberships = [
            Membership(store_id=store_id, name=name, role=caller.kind, permissions=caller.stores[store_id])
            for store_id, name in known.items()
        ]
        return Me(subject=caller.subject, kind=caller.kind, email=None, second_factor=False, stores=memberships)
    user_id = UUID(caller.subject)
    person, roles = await people.find(user_id), await people.roles(user_id)
    memberships = [
        Membership(store_id=store_id, name=name, role=roles[store_id], permissions=caller.stores[store_id])
        for store_id, name in known.items()
        if store_id in roles
    ]
    return Me(
        subject=caller.subject, kind=caller.kind, email=person.email if person is not None else None,
        second_factor=await factors.is_confirmed(user_id), stores=memberships,
    )  # fmt: skip


@get("/auth/sessions", opt={"permission": Permission.SELF_READ})
async def list_sessions(
    caller: NamedDependency[Principal], sessions: NamedDependency[Sessions], clock: NamedDependency[Clock]
) -> Page[SeenSession]:
    """One's sign-ins that go on, the one used last first."""
    mine = who(caller)
    return Page([
        SeenSession(
            id=each.id, is_current=each.id == mine.session_id, created_at=each.created_at,
            last_used_at=each.last_used_at, expires_at=each.expires_at, address=each.address, device=each.device,
        )
        for each in await sessions.of_user(mine.user_id, clock.now())
    ])  # fmt: skip


@delete("/auth/sessions/{session_id:uuid}", opt={"permission": Permission.SELF_WRITE})
async def end_session(
    session_id: FromPath[UUID],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    sign_in: NamedDependency[SignIn],
) -> None:
    """Ends one of one's sign-ins, wherever it is used."""
    await sign_in.revoke(who(caller).user_id, session_id, actor)


@delete("/auth/sessions", opt={"permission": Permission.SELF_WRITE})
async def end_sessions(
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    sign_in: NamedDependency[SignIn],
    which: FromQuery[Which] = Which.OTHERS,
) -> None:
    """Ends one's sign-ins: all others, or all."""
    mine = who(caller)
    await sign_in.revoke_all(mine.user_id, mine.session_id, which, actor)


@get("/.well-known/paseto-keys", opt={"permission": PUBLIC}, sync_to_thread=False)
def published_keys(key_change: NamedDependency[KeyChange]) -> Response[PublishedKeys]:
    """The public keys that verify access tokens, by the `kid` of a token's footer. The next one stands here early."""
    half = max(1, int(key_change.keys.lead.total_seconds() // 2))
    return Response(key_change.published(), headers={"Cache-Control": f"public, max-age={half}"})


@post("/signing-keys/{kid:str}/distrust", opt={"permission": Permission.SIGNING_WRITE}, status_code=200)
async def distrust_key(
    kid: FromPath[str],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    key_change: NamedDependency[KeyChange],
) -> PublishedKeys:
    """Ends every access token that a key has signed, everywhere within a second; refresh tokens stay good.

    For owners of all stores.
    """
    return await key_change.distrust(kid, caller, actor)


HANDLERS = (login, refresh, logout, me, list_sessions, end_session, end_sessions, published_keys, distrust_key)
