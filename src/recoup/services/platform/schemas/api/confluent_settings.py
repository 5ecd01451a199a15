"""Compatibility and mode on Confluent's REST surface, of a store and of its subjects."""

from typing import Annotated

from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from recoup.kit.errors import Invalid, Missing
from recoup.messages.access import Permission
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.schemas.actions import Registry
from recoup.services.platform.schemas.api.confluent_words import MEDIA_TYPE, Config, Level, ModeBody
from recoup.services.platform.schemas.domain import (
    DEFAULT_COMPATIBILITY,
    DEFAULT_MODE,
    WHOLE_STORE,
    Compatibility,
    Mode,
    Settings,
)
from recoup.services.platform.schemas.store import Schemas


@get("/config", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def config(store_id: NamedDependency[str], schemas: NamedDependency[Schemas]) -> Level:
    """The store's compatibility."""
    found = await schemas.settings(store_id, WHOLE_STORE)
    return Level(compatibility_level=found.compatibility or DEFAULT_COMPATIBILITY)


@put("/config", opt={"permission": Permission.SCHEMAS_WRITE}, media_type=MEDIA_TYPE)
async def set_config(
    data: JSONBody[Config],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
) -> Config:
    """Sets the store's compatibility."""
    made = await registry.configure(store_id, WHOLE_STORE, Settings(compatibility=_level(data)), actor)
    return Config(compatibility=made.compatibility)


@delete("/config", opt={"permission": Permission.SCHEMAS_WRITE}, media_type=MEDIA_TYPE, status_code=200)
async def reset_config(
    store_id: NamedDependency[str], actor: NamedDependency[Actor], registry: NamedDependency[Registry]
) -> Level:
    """Back to the default; what it was."""
    before = await registry.reset(store_id, WHOLE_STORE, "compatibility", actor)
    return Level(compatibility_level=before.compatibility or DEFAULT_COMPATIBILITY)


@get("/config/{subject:str}", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def subject_config(
    subject: FromPath[str],
    store_id: NamedDependency[str],
    schemas: NamedDependency[Schemas],
    default: Annotated[bool, QueryParameter(name="defaultToGlobal")] = False,  # noqa: FBT002 - named by the caller
) -> Level:
    """A subject's own compatibility, or with `defaultToGlobal` the one in force."""
    found = (await schemas.settings(store_id, subject)).compatibility
    if found is None and not default:
        raise Missing(f"subject {subject!r} has no compatibility of its own", code="subject_settings_missing")
    store = (await schemas.settings(store_id, WHOLE_STORE)).compatibility
    return Level(compatibility_level=found or store or DEFAULT_COMPATIBILITY)


@put("/config/{subject:str}", opt={"permission": Permission.SCHEMAS_WRITE}, media_type=MEDIA_TYPE)
async def set_subject_config(
    subject: FromPath[str],
    data: JSONBody[Config],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
) -> Config:
    """Sets a subject's compatibility."""
    made = await registry.configure(store_id, subject, Settings(compatibility=_level(data)), actor)
    return Config(compatibility=made.compatibility)


@delete("/config/{subject:str}", opt={"permission": Permission.SCHEMAS_WRITE}, media_type=MEDIA_TYPE, status_code=200)
async def reset_subject_config(
    subject: FromPath[str],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
    schemas: NamedDependency[Schemas],
) -> Level:
    """Back to the store's; what it was."""
    if (await schemas.settings(store_id, subject)).compatibility is None:
        raise Missing(f"subject {subject!r} has no compatibility of its own", code="subject_settings_missing")
    before = await registry.reset(store_id, subject, "compatibility", actor)
    return Level(compatibility_level=before.compatibility or DEFAULT_COMPATIBILITY)


@get("/mode", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def mode(store_id: NamedDependency[str], schemas: NamedDependency[Schemas]) -> ModeBody:
    """The store's mode."""
    return ModeBody(mode=(await schemas.settings(store_id, WHOLE_STORE)).mode or DEFAULT_MODE)


@put("/mode", opt={"permission": Permission.SCHEMAS_WRITE}, media_type=MEDIA_TYPE)
async def set_mode(
    data: JSONBody[ModeBody],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
) -> ModeBody:
    """Sets the store's mode."""
    await registry.configure(store_id, WHOLE_STORE, Settings(mode=_mode(data.mode)), actor)
    return data


@get("/mode/{subject:str}", opt={"permission": Permission.SCHEMAS_READ}, media_type=MEDIA_TYPE)
async def subject_mode(
    subject: FromPath[str],
    store_id: NamedDependency[str],
    schemas: NamedDependency[Schemas],
    default: Annotated[bool, QueryParameter(name="defaultToGlobal")] = False,  # noqa: FBT002 - named by the caller
) -> ModeBody:
    """A subject's own mode, or with `defaultToGlobal` the one in force."""
    found = (await schemas.settings(store_id, subject)).mode
    if found is None and not default:
        raise Missing(f"subject {subject!r} has no mode of its own", code="subject_mode_missing")
    store = (await schemas.settings(store_id, WHOLE_STORE)).mode
    return ModeBody(mode=found or store or DEFAULT_MODE)


@put("/mode/{subject:str}", opt={"permission": Permission.SCHEMAS_WRITE}, media_type=MEDIA_TYPE)
async def set_subject_mode(
    subject: FromPath[str],
    data: JSONBody[ModeBody],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
) -> ModeBody:
    """Sets a subject's mode."""
    await registry.configure(store_id, subject, Settings(mode=_mode(data.mode)), actor)
    return data


@delete("/mode/{subject:str}", opt={"permission": Permission.SCHEMAS_WRITE}, media_type=MEDIA_TYPE, status_code=200)
async def reset_subject_mode(
    subject: FromPath[str],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    registry: NamedDependency[Registry],
    schemas: NamedDependency[Schemas],
) -> ModeBody:
    """Back to the store's; what it was."""
    if (await schemas.settings(store_id, subject)).mode is None:
        raise Missing(f"subject {subject!r} has no mode of its own", code="subject_mode_missing")
    return ModeBody(mode=(await registry.reset(store_id, subject, "mode", actor)).mode or DEFAULT_MODE)


def _level(data: Config) -> Compatibility:
    named = data.compatibility or data.compatibility_level or ""
    try:
        return Compatibility(named.upper())
    except ValueError:
        raise Invalid(f"{named[:100]!r} is no compatibility", code="compatibility_invalid") from None


def _mode(named: str) -> Mode:
    if named.upper() == "IMPORT":
        raise Invalid("ids are handed out here alone: nothing can be imported with its id", code="import_refused")
    try:
        return Mode(named.upper())
    except ValueError:
        raise Invalid(f"{named[:100]!r} is no mode", code="mode_invalid") from None


HANDLERS = (
    config, set_config, reset_config, subject_config, set_subject_config, reset_subject_config, mode, set_mode,
    subject_mode, set_subject_mode, reset_subject_mode,
)  # fmt: skip
