"""How events of an older version become those of the next: set, looked at, taken back."""

from collections.abc import Sequence

from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from recoup.messages.access import Permission
from recoup.messages.schemas import Steps
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.schemas.actions import Registry
from recoup.services.platform.schemas.domain import Migration, VersionNumber
from recoup.services.platform.schemas.store import Schemas


class NewMigration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done to the properties of an event of one version, in this order, to make it one of the next."""

    steps: Steps


class Migrations(Struct, frozen=True):
    """All of a subject's, by the version they lead away from."""

    items: Sequence[Migration]


@get("/schemas/{name:str}/migrations", opt={"permission": Permission.SCHEMAS_READ})
async def list_migrations(
    name: FromPath[str],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    schemas: NamedDependency[Schemas],
) -> Migrations:
    """How events of each version become those of the next."""
    await registry.versions(store_id, name, deleted=True)
    return Migrations(await schemas.migrations(store_id, name))


@put("/schemas/{name:str}/migrations/{version:int}", opt={"permission": Permission.SCHEMAS_WRITE})
async def set_migration(
    name: FromPath[str],
    version: FromPath[VersionNumber],
    data: JSONBody[NewMigration],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
) -> Migration:
    """Sets how events of a version become those of the next number, which may be registered later."""
    return await registry.migrate(store_id, name, version, data.steps, actor)


@delete("/schemas/{name:str}/migrations/{version:int}", opt={"permission": Permission.SCHEMAS_WRITE})
async def remove_migration(
    name: FromPath[str],
    version: FromPath[VersionNumber],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
) -> None:
    """Takes it back: events of that version stay what they are."""
    await registry.unmigrate(store_id, name, version, actor)


HANDLERS = (list_migrations, set_migration, remove_migration)
