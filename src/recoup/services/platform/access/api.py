"""Making, rotating, listing and revoking API keys."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from recoup.kit.clock import Clock
from recoup.kit.ids import new_id
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page
from recoup.messages.access import Permission, Principal
from recoup.messages.proofs import ProofAnswer, ProofAsked
from recoup.services.platform.access import domain
from recoup.services.platform.access.actions import KeyMaking, KeyRing, MadeKey
from recoup.services.platform.access.domain import ApiKey, Scope
from recoup.services.platform.access.store import Keys
from recoup.services.platform.audit.domain import Actor

Moment = Annotated[datetime, Meta(tz=True)]


class NewKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made: secret for a server, publishable for pages that shoppers see."""

    kind: Literal["secret_key", "publishable_key"]
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    scopes: list[Permission] | None = None
    """Left out: everything its kind may do and its maker may."""
    allowed_origins: Annotated[list[str], Meta(max_length=50)] = []
    """Of pages that may use a publishable key: `https://shop.example`, `https://*.shop.example`; empty for any."""
    expires_at: Moment | None = None
    requests_per_minute: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    """Instead of the limit that holds for keys in general."""


class Rotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a key is replaced."""

    old_valid_until: Moment | None = None
    """Until then both are in force; left out, the old one ends at once."""


class ShownKey(Struct, frozen=True, kw_only=True):
    """A key somebody showed one of our services, and the page it was shown from."""

    key: Annotated[str, Meta(min_length=1, max_length=200)]
    origin: Annotated[str, Meta(max_length=300)] | None = None


@post("/api-keys", opt={"permission": Permission.KEYS_WRITE})
async def make_key(
    data: JSONBody[NewKey],
    store_id: NamedDependency[str],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    making: NamedDependency[KeyMaking],
    clock: NamedDependency[Clock],
) -> MadeKey:
    """Makes a key of this store; it is shown once."""
    now = clock.now()
    wanted = ApiKey(
        id=new_id(), store_id=store_id, kind=data.kind, name=data.name, prefix="", created_at=now,
        scopes=domain.scopes(data.kind, data.scopes, caller.stores.get(store_id, ())),
        allowed_origins=domain.origins(data.kind, data.allowed_origins),
        expires_at=domain.expiry(data.expires_at, now), requests_per_minute=data.requests_per_minute,
    )  # fmt: skip
    return await making.make(wanted, actor)


@post("/api-keys/{key_id:uuid}/rotate", opt={"permission": Permission.KEYS_WRITE})
async def rotate_key(  # noqa: PLR0913, PLR0917 - what is injected, each by its name
    key_id: FromPath[UUID],
    data: JSONBody[Rotation],
    store_id: NamedDependency[str],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    keys: NamedDependency[Keys],
    making: NamedDependency[KeyMaking],
    clock: NamedDependency[Clock],
) -> MadeKey:
    """A new key that may do the same as an old one, which goes on for a while; the new one is shown once."""
    now = clock.now()
    old = domain.rotatable(await keys.in_store(store_id, key_id), caller.stores.get(store_id, ()), now)
    until = domain.expiry(data.old_valid_until, now) or now
    return await making.rotate(old, until, actor)


@get("/api-keys", opt={"permission": Permission.KEYS_READ})
async def list_keys(
    store_id: NamedDependency[str],
    keys: NamedDependency[Keys],
    cursor: FromQuery[UUID | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[ApiKey]:
    """A store's keys by their first signs, newest first."""
    page = await keys.page(store_id, cursor, limit)
    return Page([*page], str(page[-1].id) if len(page) == limit else None)


@get("/api-keys/scopes", opt={"permission": Permission.KEYS_READ})
async def list_scopes(store_id: NamedDependency[str], caller: NamedDependency[Principal]) -> Page[Scope]:
    """What the caller may give a key of this store, by the kinds that may have it."""
    return Page(domain.offered(caller.stores.get(store_id, ())))


@delete("/api-keys/{key_id:uuid}", opt={"permission": Permission.KEYS_WRITE})
async def revoke_key(
    key_id: FromPath[UUID],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    making: NamedDependency[KeyMaking],
) -> None:
    """Takes a key out of force, here at once and everywhere within a second or so."""
    await making.revoke(store_id, key_id, actor)


@post("/internal/keys", opt={"permission": Permission.INTERNAL}, status_code=200)
async def tell_whose_key(data: JSONBody[ShownKey], ring: NamedDependency[KeyRing]) -> Principal:
    """Who a key stands for that came in the body of a request, where the gateway does not look."""
    return (await ring.principal(data.key, data.origin))[0]


@post("/internal/proofs", opt={"permission": Permission.INTERNAL}, status_code=200)
async def check_proof(
    data: JSONBody[ProofAsked], keys: NamedDependency[Keys], clock: NamedDependency[Clock]
) -> ProofAnswer:
    """Whether a shop vouches for one of its users, for our own services."""
    digests = await keys.secret_digests(data.store_id, clock.now())
    return ProofAnswer(proven=domain.proven(digests, data.user_id, data.user_hash))


HANDLERS = (check_proof, make_key, rotate_key, list_keys, list_scopes, revoke_key, tell_whose_key)
