"""Stores and their settings over HTTP, for people and for our own services."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from litestar import Response, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody
from msgspec import Meta, Struct

from recoup.kit.clock import Clock
from recoup.kit.errors import Forbidden
from recoup.kit.etags import expected, headers
from recoup.kit.pages import Page
from recoup.messages.access import Permission, Principal
from recoup.messages.stores import StoreConfigured, StoreSettings
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.stores import domain
from recoup.services.platform.stores.actions import StoreActions
from recoup.services.platform.stores.domain import Store
from recoup.services.platform.stores.store import Stores

StoreName = Annotated[str, Meta(min_length=1, max_length=200)]


class NewStore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A store to be made; what its settings leave out has the default."""

    name: StoreName
    settings: StoreSettings = StoreSettings()


class StoreChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be changed of a store itself."""

    name: StoreName


@get("/stores", opt={"permission": Permission.SELF_READ})
async def list_stores(caller: NamedDependency[Principal], stores: NamedDependency[Stores]) -> Page[Store]:
    """The stores one belongs to."""
    mine = [store_id for store_id, granted in caller.stores.items() if domain.readable(granted)]
    return Page([*await stores.among(mine)])


@post("/stores", opt={"permission": Permission.STORES_WRITE})
async def make_store(
    data: JSONBody[NewStore],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    actions: NamedDependency[StoreActions],
) -> Store:
    """Makes a store and its maker the owner; an access token knows of it from its next refresh on."""
    if caller.kind != "person":
        raise Forbidden("a store belongs to a person")
    return await actions.make(data.name, data.settings, UUID(caller.subject), actor)


@patch("/stores/{store:str}", opt={"permission": Permission.STORES_WRITE})
async def change_store(
    store: FromPath[str],
    data: JSONBody[StoreChange],
    caller: NamedDependency[Principal],
    actor: NamedDependency[Actor],
    stores: NamedDependency[Stores],
    clock: NamedDependency[Clock],
) -> Store:
    """Renames a store."""
    store_id = caller.tenant(store, Permission.STORES_WRITE)
    return await stores.rename(store_id, data.name, actor, clock.now())


@get("/config", opt={"permission": Permission.SETTINGS_READ})
async def read_config(store_id: NamedDependency[str], stores: NamedDependency[Stores]) -> Response[StoreSettings]:
    """A store's settings; the ETag is their version."""
    return _with_etag(await stores.configured(store_id))


@put("/config", opt={"permission": Permission.SETTINGS_WRITE})
async def write_config(
    data: JSONBody[StoreSettings],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    actions: NamedDependency[StoreActions],
    if_match: Annotated[str | None, HeaderParameter(name="If-Match")] = None,
) -> Response[StoreSettings]:
    """All settings anew: what is left out has the default. With `If-Match`, only on top of that version (412)."""
    return _with_etag(await actions.configure(store_id, data, expected(if_match), actor))


@get("/internal/stores", opt={"permission": Permission.INTERNAL})
async def configured_stores(stores: NamedDependency[Stores]) -> Sequence[StoreConfigured]:
    """Every store with its settings, for our own services."""
    return await stores.all_configured()


@get("/internal/stores/{store:str}", opt={"permission": Permission.INTERNAL})
async def configured_store(store: FromPath[str], stores: NamedDependency[Stores]) -> StoreConfigured:
    """One store with its settings, for our own services."""
    return await stores.configured(store)


def _with_etag(configured: StoreConfigured) -> Response[StoreSettings]:
    return Response(configured.settings, headers=headers(configured.version))


HANDLERS = (list_stores, make_store, change_store, read_config, write_config, configured_stores, configured_store)
