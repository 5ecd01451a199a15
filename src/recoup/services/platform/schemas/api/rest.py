"""Schemas over our own REST: for the console, the pipeline's view, and people with curl."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Annotated
from uuid import UUID

from litestar import delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from recoup.kit.errors import Problem
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page, cursor_after, position
from recoup.kit.schemas.source import Format
from recoup.messages.access import Permission
from recoup.messages.schemas import ActiveSchemas, OnViolation
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.schemas.actions import Registry
from recoup.services.platform.schemas.domain import (
    DEFAULT_COMPATIBILITY,
    DEFAULT_MODE,
    DEFAULT_ON_VIOLATION,
    WHOLE_STORE,
    Compatibility,
    Mode,
    Name,
    NewSchema,
    Reference,
    Settings,
    State,
    Version,
)
from recoup.services.platform.schemas.store import Schemas, Use

Text = Annotated[str, Meta(max_length=1_048_576)]


class Candidate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schema as text, in one of the three formats, with what it refers to."""

    format: Format = Format.JSON
    schema: Text
    references: Annotated[tuple[Reference, ...], Meta(max_length=100)] = ()

    def new(self) -> NewSchema:
        return NewSchema(format=self.format, text=self.schema, references=self.references)


class NewVersion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schema to be registered as the next version of a subject."""

    name: Name
    """The subject: for an event's schema, the event's type."""
    format: Format = Format.JSON
    schema: Text
    references: Annotated[tuple[Reference, ...], Meta(max_length=100)] = ()

    def new(self) -> NewSchema:
        return NewSchema(format=self.format, text=self.schema, references=self.references)


class SchemaVersion(Struct, frozen=True, kw_only=True):
    """One version of a subject, with where it comes from."""

    name: str
    version: int
    id: int
    guid: UUID
    format: Format
    schema: str
    references: Sequence[Reference]
    state: State
    created_at: datetime
    created_by: str
    deleted_at: datetime | None = None


class Subject(Struct, frozen=True, kw_only=True):
    """A subject at a glance."""

    name: str
    format: Format
    state: State
    latest: int
    id: int
    """Of the latest version."""
    versions: Sequence[int]
    compatibility: Compatibility
    mode: Mode
    on_violation: OnViolation
    """What becomes of events of this type that break it."""
    changed_at: datetime


class SubjectDetail(Struct, frozen=True, kw_only=True):
    """A subject with all its versions and its own settings."""

    subject: Subject
    settings: Settings
    """What is set for this subject itself; null comes from the store's settings."""
    versions: Sequence[SchemaVersion]


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether a schema could be registered, and every reason why not."""

    compatible: bool
    compatibility: Compatibility
    problems: Sequence[Problem]


class Deleted(Struct, frozen=True):
    """The versions that were deleted."""

    versions: Sequence[int]


class ReferredBy(Struct, frozen=True):
    """The schemas that refer to a version, and where those are registered."""

    ids: Sequence[int]
    uses: Sequence[Use]


@get("/schemas", opt={"permission": Permission.SCHEMAS_READ})
async def list_schemas(
    store_id: NamedDependency[str],
    schemas: NamedDependency[Schemas],
    prefix: FromQuery[str] = "",
    deleted: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter is named by the caller
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[Subject]:
    """The store's subjects by name; `deleted` lists those without a version in use, too."""
    after = position(cursor, 1)[0] if cursor is not None else ""
    names = await schemas.subjects(store_id, prefix, after, limit, deleted=deleted)
    versions = await schemas.versions(store_id, names)
    known = await schemas.settings_of(store_id, [WHOLE_STORE, *names])
    store = known.get(WHOLE_STORE, Settings())
    items = [
        summary(list(found), known.get(name, Settings()), store)
        for name, found in groupby(versions, lambda one: one.subject)
    ]
    return Page(items, cursor_after(names[-1]) if len(names) == limit else None)


@post("/schemas", opt={"permission": Permission.SCHEMAS_WRITE})
async def register_schema(
    data: JSONBody[NewVersion],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
) -> SchemaVersion:
    """Registers the next version, or finds the one it is; refused with 409 and every reason where it does not fit."""
    return shown(await registry.register(store_id, data.name, data.new(), actor))


@get("/schemas/{name:str}", opt={"permission": Permission.SCHEMAS_READ})
async def read_subject(
    name: FromPath[str],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    schemas: NamedDependency[Schemas],
    deleted: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter is named by the caller
) -> SubjectDetail:
    """A subject with its versions."""
    versions = await registry.versions(store_id, name, deleted=deleted)
    own = await schemas.settings(store_id, name)
    subject = summary(versions, own, await schemas.settings(store_id, WHOLE_STORE))
    return SubjectDetail(subject=subject, settings=own, versions=[shown(version) for version in versions])


@put("/schemas/{name:str}", opt={"permission": Permission.SCHEMAS_WRITE})
async def register_next_version(
    name: FromPath[str],
    data: JSONBody[Candidate],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
) -> SchemaVersion:
    """The same as `POST /schemas`, for a subject whose name stands in the address."""
    return shown(await registry.register(store_id, name, data.new(), actor))


@delete("/schemas/{name:str}", opt={"permission": Permission.SCHEMAS_WRITE}, status_code=200)
async def delete_subject(
    name: FromPath[str],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
    permanent: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter is named by the caller
) -> Deleted:
    """Takes all versions out of use; they stay readable by their ids. `permanent` then removes them for good."""
    return Deleted(await registry.delete(store_id, name, None, actor, permanent=permanent))


@get("/schemas/{name:str}/versions/{version:str}", opt={"permission": Permission.SCHEMAS_READ})
async def read_version(
    name: FromPath[str],
    version: FromPath[str],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    deleted: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter is named by the caller
) -> SchemaVersion:
    """One version, by its number or as `latest`."""
    return shown(await registry.version(store_id, name, version, deleted=deleted))


@delete(
    "/schemas/{name:str}/versions/{version:str}", opt={"permission": Permission.SCHEMAS_WRITE}, status_code=200
)  # fmt: skip
async def delete_version(
    name: FromPath[str],
    version: FromPath[str],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
    permanent: FromQuery[bool] = False,  # noqa: FBT002 - a query parameter is named by the caller
) -> Deleted:
    """Takes one version out of use; `permanent` then removes it for good."""
    return Deleted(await registry.delete(store_id, name, version, actor, permanent=permanent))


@get("/schemas/{name:str}/versions/{version:str}/referenced-by", opt={"permission": Permission.SCHEMAS_READ})
async def referenced_by(
    name: FromPath[str],
    version: FromPath[str],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    schemas: NamedDependency[Schemas],
) -> ReferredBy:
    """Which schemas in use refer to a version."""
    found = await registry.version(store_id, name, version, deleted=True)
    ids = await schemas.referring(store_id, name, found.version)
    uses = [Use(one.subject, one.version) for id_ in ids for one in await schemas.with_id(store_id, id_)]
    return ReferredBy(ids, uses)


@post("/schemas/{name:str}/check", opt={"permission": Permission.SCHEMAS_READ}, status_code=200)
async def check_schema(
    name: FromPath[str],
    data: JSONBody[Candidate],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    schemas: NamedDependency[Schemas],
    version: FromQuery[str | None] = None,
) -> Verdict:
    """Whether a schema could be registered, without doing it; against one version, or as the subject's mode asks."""
    complaints = await registry.check(store_id, name, data.new(), version)
    standing = await schemas.standing(store_id, name)
    problems = [complaint.problem for complaint in complaints]
    return Verdict(compatible=not problems, compatibility=standing.compatibility, problems=problems)


@get("/schemas/{name:str}/settings", opt={"permission": Permission.SCHEMAS_READ})
async def read_subject_settings(
    name: FromPath[str], store_id: NamedDependency[str], schemas: NamedDependency[Schemas]
) -> Settings:
    """What is set for a subject itself."""
    return await schemas.settings(store_id, name)


@put("/schemas/{name:str}/settings", opt={"permission": Permission.SCHEMAS_WRITE})
async def write_subject_settings(
    name: FromPath[str],
    data: JSONBody[Settings],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
) -> Settings:
    """Sets compatibility, mode and what becomes of events that break it; what is left out stays."""
    return await registry.configure(store_id, name, data, actor)


@get("/schema-settings", opt={"permission": Permission.SCHEMAS_READ})
async def read_store_settings(store_id: NamedDependency[str], schemas: NamedDependency[Schemas]) -> Settings:
    """What holds for all subjects that set nothing themselves."""
    found = await schemas.settings(store_id, WHOLE_STORE)
    return Settings(
        compatibility=found.compatibility or DEFAULT_COMPATIBILITY, mode=found.mode or DEFAULT_MODE,
        on_violation=found.on_violation or DEFAULT_ON_VIOLATION,
    )  # fmt: skip


@put("/schema-settings", opt={"permission": Permission.SCHEMAS_WRITE})
async def write_store_settings(
    data: JSONBody[Settings],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
) -> Settings:
    """Sets what holds for all subjects that set nothing themselves; what is left out stays."""
    return await registry.configure(store_id, WHOLE_STORE, data, actor)


@get("/internal/schemas/{store:str}", opt={"permission": Permission.INTERNAL})
async def active_schemas(store: FromPath[str], registry: NamedDependency[Registry]) -> ActiveSchemas:
    """Everything a service needs to check a store's events by itself."""
    return await registry.active(store)


def shown(version: Version) -> SchemaVersion:
    """A version as everybody sees it."""
    return SchemaVersion(
        name=version.subject, version=version.version, id=version.id, guid=version.guid, format=version.format,
        schema=version.text, references=version.references, state=version.state, created_at=version.created_at,
        created_by=version.created_by, deleted_at=version.deleted_at,
    )  # fmt: skip


def summary(versions: Sequence[Version], own: Settings, store: Settings) -> Subject:
    """A subject by its versions, oldest first."""
    active = [version for version in versions if version.deleted_at is None]
    latest = (active or versions)[-1]
    return Subject(
        name=latest.subject, format=latest.format, state=latest.state, latest=latest.version, id=latest.id,
        versions=[version.version for version in active or versions],
        compatibility=own.compatibility or store.compatibility or DEFAULT_COMPATIBILITY,
        mode=own.mode or store.mode or DEFAULT_MODE,
        on_violation=own.on_violation or store.on_violation or DEFAULT_ON_VIOLATION, changed_at=latest.created_at,
    )  # fmt: skip


HANDLERS = (
    list_schemas, register_schema, register_next_version, read_subject, delete_subject, read_version, delete_version,
    referenced_by, check_schema, read_subject_settings, write_subject_settings, read_store_settings,
    write_store_settings, active_schemas,
)  # fmt: skip
