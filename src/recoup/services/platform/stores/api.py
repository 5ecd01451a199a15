"""Stores and their settings over HTTP, for people and for our own services."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from litestar import Response, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, PathParameter
from msgspec import Meta, Struct

from recoup.kit.clock import Clock
from recoup.kit.described import Described, described
from recoup.kit.errors import Forbidden
from recoup.kit.etags import expected, headers
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page, cursor_after, version_before
from recoup.messages.access import Permission, Principal
from recoup.messages.stores import StoreConfigured, StoreSettings
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.stores import domain
from recoup.services.platform.stores.actions import StoreActions
from recoup.services.platform.stores.domain import Store
from recoup.services.platform.stores.store import Stores

IfMatch = Annotated[str | None, HeaderParameter(name="If-Match")]
VersionNumber = Annotated[int, PathParameter(ge=1, le=2**31 - 2)]
StoreName = Annotated[str, Meta(min_length=1, max_length=200)]


class NewStore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A store to be made; what its settings leave out has the default."""

    name: StoreName
    settings: StoreSettings = StoreSettings()


class StoreChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be changed of a store itself."""

    name: StoreName


class Restore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which version is to be the newest again."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 2)]


class Definitions(Struct, frozen=True):
    """All settings of a store, explained."""

    items: Sequence[Described]


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
    if_match: IfMatch = None,
) -> Response[StoreSettings]:
    """All settings anew: what is left out has the default. With `If-Match`, only on top of that version (412)."""
    return _with_etag(await actions.configure(store_id, data, expected(if_match), actor))


@get("/config/definitions", opt={"permission": Permission.SETTINGS_READ})
async def config_definitions(store_id: NamedDependency[str]) -> Definitions:
    """Every setting with its meaning, unit and default, and what it accepts."""
    _ = store_id
    return Definitions(described(StoreSettings))


@get("/config/history", opt={"permission": Permission.SETTINGS_READ})
async def config_history(
    store_id: NamedDependency[str],
    stores: NamedDependency[Stores],
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[domain.Version]:
    """Who changed a store's settings, when, and what; newest first."""
    found = domain.history(await stores.history(store_id, version_before(cursor), limit))[:limit]
    return Page([*found], cursor_after(str(found[-1].version)) if len(found) == limit else None)


@get("/config/history/{version:int}", opt={"permission": Permission.SETTINGS_READ})
async def config_version(
    version: VersionNumber, store_id: NamedDependency[str], stores: NamedDependency[Stores]
) -> domain.Written:
    """An older version of the settings, as it was written down."""
    return await stores.written(store_id, version)


@post("/config/restore", status_code=200, opt={"permission": Permission.SETTINGS_WRITE})
async def restore_config(
    data: JSONBody[Restore],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    actions: NamedDependency[StoreActions],
    if_match: IfMatch = None,
) -> Response[StoreSettings]:
    """Makes an older version the newest one, by the rules of `PUT /config`; `If-Match` as there."""
    return _with_etag(await actions.restore(store_id, data.version, expected(if_match), actor))


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


HANDLERS = (
    list_stores, make_store, change_store, read_config, write_config, config_definitions, config_history,
    config_version, restore_config, configured_stores, configured_store,
)  # fmt: skip
