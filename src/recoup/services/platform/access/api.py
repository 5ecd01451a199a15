"""Making, listing and revoking API keys."""

import secrets
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
from recoup.services.platform.access.actions import KeyRing
from recoup.services.platform.access.domain import ApiKey
from recoup.services.platform.access.store import Keys
from recoup.services.platform.audit.domain import Actor


class NewKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made: secret for a server, publishable for pages that shoppers see."""

    kind: Literal["secret_key", "publishable_key"]
    name: Annotated[str, Meta(min_length=1, max_length=200)]


class MadeKey(Struct, frozen=True, kw_only=True):
    """A new key. `key` is shown this once and kept nowhere."""

    key: str
    api_key: ApiKey


class ShownKey(Struct, frozen=True, kw_only=True):
    """A key somebody showed one of our services."""

    key: Annotated[str, Meta(min_length=1, max_length=200)]


@post("/api-keys", opt={"permission": Permission.KEYS_WRITE})
async def make_key(
    data: JSONBody[NewKey],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    keys: NamedDependency[Keys],
    clock: NamedDependency[Clock],
) -> MadeKey:
    """Makes a key of this store; it is shown once."""
    key = domain.spelled(data.kind, secrets.token_bytes(domain.RANDOM_BYTES))
    made = ApiKey(
        id=new_id(), store_id=store_id, kind=data.kind, name=data.name, prefix=domain.shown(key, data.kind),
        created_at=clock.now(),
    )  # fmt: skip
    await keys.make(made, key, actor)
    return MadeKey(key=key, api_key=made)


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


@delete("/api-keys/{key_id:uuid}", opt={"permission": Permission.KEYS_WRITE})
async def revoke_key(
    key_id: FromPath[UUID],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    keys: NamedDependency[Keys],
    ring: NamedDependency[KeyRing],
    clock: NamedDependency[Clock],
) -> None:
    """Takes a key out of force, here at once and everywhere within seconds."""
    await keys.revoke(store_id, key_id, actor, clock.now())
    ring.forget()


@post("/internal/keys", opt={"permission": Permission.INTERNAL}, status_code=200)
async def tell_whose_key(data: JSONBody[ShownKey], ring: NamedDependency[KeyRing]) -> Principal:
    """Who a key stands for that came in the body of a request, where the gateway does not look."""
    return await ring.principal(data.key)


@post("/internal/proofs", opt={"permission": Permission.INTERNAL}, status_code=200)
async def check_proof(data: JSONBody[ProofAsked], keys: NamedDependency[Keys]) -> ProofAnswer:
    """Whether a shop vouches for one of its users, for our own services."""
    digests = await keys.secret_digests(data.store_id)
    return ProofAnswer(proven=domain.proven(digests, data.user_id, data.user_hash))


HANDLERS = (check_proof, make_key, list_keys, revoke_key, tell_whose_key)
