"""Feature flags over HTTP, for people, for programs of the shop, and for our own processes."""

from collections.abc import Sequence
from typing import Annotated

from litestar import Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, PathParameter
from msgspec import Meta, Struct

from recoup.kit.errors import Invalid, Missing
from recoup.kit.etags import expected, headers
from recoup.kit.flags.model import KEY_PATTERN, Context, Evaluation, Flag, Unanswered
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page, cursor_after, position, version_before
from recoup.messages.access import Permission
from recoup.messages.flags import KNOWN, KnownFlag
from recoup.messages.stores import FlagUses, UsesNoted
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.flags.actions import FlagActions
from recoup.services.platform.flags.domain import FlagState, FlagVersion

# Litestar's own parameter: it doesn't look at msgspec's `Meta` inside a `FromPath`.
NewKey = Annotated[str, PathParameter(pattern=KEY_PATTERN)]
IfMatch = Annotated[str | None, HeaderParameter(name="If-Match")]


class KnownFlags(Struct, frozen=True):
    """The flags that Recoup itself asks for."""

    items: Sequence[KnownFlag]


class RestoreFlag(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which version of a flag to go back to."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 2)]


@get("/feature-flags", opt={"permission": Permission.FLAGS_READ})
async def list_flags(
    store_id: NamedDependency[str],
    flags: NamedDependency[FlagActions],
    stale: FromQuery[bool] = False,  # noqa: FBT002 - a parameter of the query
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[FlagState]:
    """A store's flags by key; `stale` leaves those, all at once, that nobody asks for or has changed for long."""
    if stale:
        return Page([*await flags.stale(store_id)])
    after = "" if cursor is None else position(cursor, 1)[0]
    found = await flags.page(store_id, after, limit)
    return Page([*found], cursor_after(found[-1].key) if len(found) == limit else None)


@get("/feature-flags/known", opt={"permission": Permission.FLAGS_READ})
async def known_flags(store_id: NamedDependency[str]) -> KnownFlags:
    """The flags that Recoup itself asks for, with what it goes by where a store has none of that name."""
    _ = store_id
    return KnownFlags([*KNOWN.values()])


@get("/feature-flags/{flag:str}", opt={"permission": Permission.FLAGS_READ})
async def read_flag(
    flag: FromPath[str], store_id: NamedDependency[str], flags: NamedDependency[FlagActions]
) -> Response[FlagState]:
    """One flag; the ETag is its version."""
    return _with_etag(await flags.get(store_id, flag))


@put("/feature-flags/{flag:str}", opt={"permission": Permission.FLAGS_WRITE})
async def write_flag(
    flag: NewKey,
    data: JSONBody[Flag],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    flags: NamedDependency[FlagActions],
    if_match: IfMatch = None,
) -> Response[FlagState]:
    """Makes a flag or says it anew: what is left out has the default.

    With `If-Match`, only on top of that version (412); `"0"` for a flag that must not be there yet.
    """
    return _with_etag(await flags.put(store_id, flag, data, expected(if_match), actor))


@delete("/feature-flags/{flag:str}", opt={"permission": Permission.FLAGS_WRITE})
async def delete_flag(
    flag: FromPath[str],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    flags: NamedDependency[FlagActions],
    if_match: IfMatch = None,
) -> None:
    """Takes a flag away; whoever asks for it goes by their default. Its history stays."""
    await flags.delete(store_id, flag, expected(if_match), actor)


@get("/feature-flags/{flag:str}/history", opt={"permission": Permission.FLAGS_READ})
async def flag_history(
    flag: FromPath[str],
    store_id: NamedDependency[str],
    flags: NamedDependency[FlagActions],
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[FlagVersion]:
    """Who changed a flag, when, in what; newest first, deleted flags too."""
    found = await flags.history(store_id, flag, version_before(cursor), limit)
    return Page([*found], cursor_after(str(found[-1].version)) if len(found) == limit else None)


@post("/feature-flags/{flag:str}/restore", status_code=200, opt={"permission": Permission.FLAGS_WRITE})
async def restore_flag(
    flag: NewKey,
    data: JSONBody[RestoreFlag],
    store_id: NamedDependency[str],
    actor: NamedDependency[Actor],
    flags: NamedDependency[FlagActions],
    if_match: IfMatch = None,
) -> Response[FlagState]:
    """Makes an older version the newest one, by the rules of `PUT`, which also brings back what was deleted.

    `If-Match` as there.
    """
    return _with_etag(await flags.restore(store_id, flag, data.version, expected(if_match), actor))


@post("/feature-flags/{flag:str}/evaluate", status_code=200, opt={"permission": Permission.FLAGS_READ})
async def try_flag(
    flag: FromPath[str], data: JSONBody[Context], store_id: NamedDependency[str], flags: NamedDependency[FlagActions]
) -> Evaluation:
    """What somebody would be served, and why; for trying out, and counted as no use."""
    answer = await flags.evaluate(store_id, flag, data)
    if isinstance(answer, Unanswered):
        kind = Missing if answer.why == "flag_not_found" else Invalid
        raise kind(answer.detail, code=answer.why)
    return answer


@post("/internal/flag-uses", status_code=200, opt={"permission": Permission.INTERNAL})
async def note_uses(data: JSONBody[FlagUses], flags: NamedDependency[FlagActions]) -> UsesNoted:
    """Which flags a process of ours has asked for since it last said so."""
    return UsesNoted(await flags.note_uses(data))


def _with_etag(flag: FlagState) -> Response[FlagState]:
    return Response(flag, headers=headers(flag.version))


HANDLERS = (
    list_flags,
    known_flags,
    read_flag,
    write_flag,
    delete_flag,
    flag_history,
    restore_flag,
    try_flag,
    note_uses,
)
