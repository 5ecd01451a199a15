"""The REST surface of Confluent's Schema Registry under `/registry`, so that its stock clients work unchanged.

Same paths, same error codes, same media type. A store is what its API key belongs to: there are no contexts but one,
and ids are handed out by us alone, so that `IMPORT` is refused.
"""

from collections.abc import Sequence
from typing import Annotated, Final, TypeVar
from uuid import UUID

from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET

from recoup.kit.errors import Missing
from recoup.kit.schemas.source import Format
from recoup.messages.access import Permission
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.schemas.actions import Registry
from recoup.services.platform.schemas.api import confluent_settings
from recoup.services.platform.schemas.api.confluent_words import MEDIA_TYPE, Body, Compatible, Registered, told
from recoup.services.platform.schemas.domain import Version
from recoup.services.platform.schemas.store import Schemas, Use

EVERYTHING: Final = 100_000
Flag = Annotated[bool, QueryParameter()]
T = TypeVar("T")


@get("/subjects", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def subjects(
    store_id: NamedDependency[str],
    schemas: NamedDependency[Schemas],
    prefix: Annotated[str, QueryParameter(name="subjectPrefix")] = "",
    deleted: Flag = False,  # noqa: FBT002 - a query parameter is named by the caller
    offset: FromQuery[int] = 0,
    limit: FromQuery[int] = -1,
) -> list[str]:
    """Names of subjects."""
    plain = "" if prefix.startswith(":") else prefix
    found = await schemas.subjects(store_id, plain, "", EVERYTHING, deleted=deleted)
    return list(_window(found, offset, limit))


@get("/subjects/{subject:str}/versions", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def versions(
    subject: FromPath[str],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    deleted: Flag = False,  # noqa: FBT002 - a query parameter is named by the caller
    offset: FromQuery[int] = 0,
    limit: FromQuery[int] = -1,
) -> list[int]:
    """Numbers of versions."""
    found = await registry.versions(store_id, subject, deleted=deleted)
    return [one.version for one in _window(found, offset, limit)]


@post(
    "/subjects/{subject:str}/versions",
    opt={"permission": Permission.SCHEMAS_WRITE},
    media_type=MEDIA_TYPE,
    status_code=200,
)
async def register(
    subject: FromPath[str],
    data: JSONBody[Body],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
) -> Registered:
    """Registers a schema, or finds it."""
    return told(await registry.register(store_id, subject, data.new(), actor))


@post("/subjects/{subject:str}", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE, status_code=200)
async def look_up(
    subject: FromPath[str],
    data: JSONBody[Body],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    deleted: Flag = False,  # noqa: FBT002 - a query parameter is named by the caller
) -> Registered:
    """Which version of a subject a schema is."""
    return told(await registry.look_up(store_id, subject, data.new(), deleted=deleted))


@delete("/subjects/{subject:str}", opt={"permission": Permission.SCHEMAS_WRITE}, media_type=MEDIA_TYPE, status_code=200)
async def delete_subject(
    subject: FromPath[str],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
    permanent: Flag = False,  # noqa: FBT002 - a query parameter is named by the caller
) -> list[int]:
    """Deletes a subject, softly first."""
    return await registry.delete(store_id, subject, None, actor, permanent=permanent)


@get("/subjects/{subject:str}/metadata", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def with_metadata(
    subject: FromPath[str],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    key: FromQuery[list[str] | None] = None,
    value: FromQuery[list[str] | None] = None,
    deleted: Flag = False,  # noqa: FBT002 - a query parameter is named by the caller
) -> Registered:
    """The latest version whose metadata has all these properties."""
    wanted = dict(zip(key or [], value or [], strict=False))
    for one in reversed(await registry.versions(store_id, subject, deleted=deleted)):
        if wanted.items() <= _properties(one).items():
            return told(one)
    raise Missing(f"no version of subject {subject!r} has this metadata", code="version_missing")


@get(
    "/subjects/{subject:str}/versions/{version:str}", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE
)
async def version(
    subject: FromPath[str],
    version: FromPath[str],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    deleted: Flag = False,  # noqa: FBT002 - a query parameter is named by the caller
    form: Annotated[str, QueryParameter(name="format")] = "",
) -> Registered:
    """One version."""
    found = await registry.version(store_id, subject, version, deleted=deleted)
    return told(found, await _text(registry, store_id, found, form))


@get(
    "/subjects/{subject:str}/versions/{version:str}/schema",
    opt={"permission": Permission.SCHEMAS_READ},
    media_type=MEDIA_TYPE,
)
async def version_text(
    subject: FromPath[str],
    version: FromPath[str],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
) -> Response[bytes]:
    """One version's text and nothing else."""
    found = await registry.version(store_id, subject, version)
    return Response(found.text.encode(), media_type=MEDIA_TYPE)


@get(
    "/subjects/{subject:str}/versions/{version:str}/referencedby",
    opt={"permission": Permission.SCHEMAS_READ},
    media_type=MEDIA_TYPE,
)
async def referenced_by(
    subject: FromPath[str],
    version: FromPath[str],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    schemas: NamedDependency[Schemas],
) -> list[int]:
    """Ids of schemas that refer to a version."""
    found = await registry.version(store_id, subject, version, deleted=True)
    return list(await schemas.referring(store_id, subject, found.version))


@delete(
    "/subjects/{subject:str}/versions/{version:str}",
    opt={"permission": Permission.SCHEMAS_WRITE},
    media_type=MEDIA_TYPE,
    status_code=200,
)
async def delete_version(
    subject: FromPath[str],
    version: FromPath[str],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
    permanent: Flag = False,  # noqa: FBT002 - a query parameter is named by the caller
) -> int:
    """Deletes a version, softly first."""
    (number,) = await registry.delete(store_id, subject, version, actor, permanent=permanent)
    return number


@get("/schemas/types", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def types(store_id: NamedDependency[str]) -> list[str]:
    """The formats there are."""
    _ = store_id
    return [format_.value for format_ in (Format.JSON, Format.PROTOBUF, Format.AVRO)]


@get("/schemas/ids/{schema_id:int}", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def by_id(
    schema_id: FromPath[int],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    form: Annotated[str, QueryParameter(name="format")] = "",
) -> Registered:
    """A schema by its id."""
    found = await registry.with_id(store_id, _id(schema_id))
    return told(found, await _text(registry, store_id, found, form))


@get("/schemas/ids/{schema_id:int}/schema", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def text_by_id(
    schema_id: FromPath[int], store_id: NamedDependency[str], registry: NamedDependency[Registry]
) -> Response[bytes]:
    """A schema's text and nothing else."""
    found = await registry.with_id(store_id, _id(schema_id))
    return Response(found.text.encode(), media_type=MEDIA_TYPE)


@get("/schemas/ids/{schema_id:int}/subjects", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def subjects_by_id(
    schema_id: FromPath[int],
    store_id: NamedDependency[str],
    schemas: NamedDependency[Schemas],
    deleted: Flag = False,  # noqa: FBT002 - a query parameter is named by the caller
) -> list[str]:
    """The subjects a schema is registered under."""
    return list(dict.fromkeys(use.subject for use in await _uses(schemas, store_id, schema_id, deleted=deleted)))


@get("/schemas/ids/{schema_id:int}/versions", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def versions_by_id(
    schema_id: FromPath[int],
    store_id: NamedDependency[str],
    schemas: NamedDependency[Schemas],
    deleted: Flag = False,  # noqa: FBT002 - a query parameter is named by the caller
) -> list[Use]:
    """The versions that are a schema."""
    return await _uses(schemas, store_id, schema_id, deleted=deleted)


@get("/schemas/guids/{guid:str}", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def by_guid(
    guid: FromPath[str],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    schemas: NamedDependency[Schemas],
    form: Annotated[str, QueryParameter(name="format")] = "",
) -> Registered:
    """A schema by its other name."""
    try:
        found = await schemas.with_guid(store_id, UUID(guid))
    except ValueError:
        found = []
    if not found:
        raise Missing(f"there is no schema {guid[:100]!r}", code="schema_missing")
    return told(found[0], await _text(registry, store_id, found[0], form))


@post(
    "/compatibility/subjects/{subject:str}/versions",
    opt={"permission": Permission.SCHEMAS_READ},
    media_type=MEDIA_TYPE,
    status_code=200,
)
async def check_all(
    subject: FromPath[str],
    data: JSONBody[Body],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    verbose: Flag = False,  # noqa: FBT002 - a query parameter is named by the caller
) -> Compatible:
    """Whether a schema goes with the versions that the mode asks for."""
    complaints = await registry.check(store_id, subject, data.new())
    return _verdict([one.problem.detail for one in complaints], verbose=verbose)


@post(
    "/compatibility/subjects/{subject:str}/versions/{version:str}",
    opt={"permission": Permission.SCHEMAS_READ},
    media_type=MEDIA_TYPE,
    status_code=200,
)
async def check_one(
    subject: FromPath[str],
    version: FromPath[str],
    data: JSONBody[Body],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    verbose: Flag = False,  # noqa: FBT002 - a query parameter is named by the caller
) -> Compatible:
    """Whether a schema goes with one version."""
    complaints = await registry.check(store_id, subject, data.new(), version)
    messages = [f"{one.difference.rule} at {one.difference.path}: {one.problem.detail}" for one in complaints]
    return _verdict(messages, verbose=verbose)


@get("/contexts", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def contexts(store_id: NamedDependency[str]) -> list[str]:
    """The one context there is."""
    _ = store_id
    return ["."]


async def _text(registry: Registry, store_id: str, found: Version, form: str) -> str | None:
    """Protobuf as the descriptor that clients build their classes from; any other wish changes nothing."""
    if form != "serialized" or found.format is not Format.PROTOBUF:
        return None
    return (await registry.source(store_id, found)).text


async def _uses(schemas: Schemas, store_id: str, schema_id: int, *, deleted: bool) -> list[Use]:
    found = await schemas.with_id(store_id, _id(schema_id))
    if not found:
        raise Missing(f"there is no schema {schema_id}", code="schema_missing")
    return [Use(one.subject, one.version) for one in found if deleted or one.deleted_at is None]


def _properties(found: Version) -> dict[object, object]:
    metadata = found.extras.get("metadata")
    properties = metadata.get("properties") if isinstance(metadata, dict) else None
    return properties if isinstance(properties, dict) else {}


def _verdict(messages: Sequence[str], *, verbose: bool) -> Compatible:
    return Compatible(is_compatible=not messages, messages=messages if verbose else UNSET)


def _window(found: Sequence[T], offset: int, limit: int) -> Sequence[T]:
    start = max(offset, 0)
    return found[start:] if limit < 0 else found[start : start + limit]


def _id(schema_id: int) -> int:
    if not 0 < schema_id < 2**31:
        raise Missing(f"there is no schema {schema_id}", code="schema_missing")
    return schema_id


HANDLERS = (
    subjects, versions, register, look_up, delete_subject, with_metadata, version, version_text, referenced_by,
    delete_version, types, by_id, text_by_id, subjects_by_id, versions_by_id, by_guid, check_all, check_one, contexts,
    *confluent_settings.HANDLERS,
)  # fmt: skip
