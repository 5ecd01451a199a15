"""Reading, exporting and checking the audit trail."""

from collections.abc import AsyncGenerator
from datetime import datetime

import msgspec
from litestar import get
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery
from litestar.response import Stream

from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page
from recoup.messages.access import Permission
from recoup.services.platform.audit.domain import Entry, Verdict, Wanted
from recoup.services.platform.audit.store import AuditLog


async def wanted(
    who: FromQuery[str | None] = None,
    action: FromQuery[str | None] = None,
    subject: FromQuery[str | None] = None,
    request_id: FromQuery[str | None] = None,
    since: FromQuery[datetime | None] = None,
    until: FromQuery[datetime | None] = None,
) -> Wanted:
    """Which lines are asked for: by whom, what, to what, with which request, from and until when."""
    return Wanted(actor=who, action=action, subject=subject, request_id=request_id, since=since, until=until)


FILTERED = {"wanted": Provide(wanted)}


@get("/audit-logs", opt={"permission": Permission.TEAM_READ}, dependencies=FILTERED)
async def audit_logs(
    store_id: NamedDependency[str],
    audit: NamedDependency[AuditLog],
    wanted: NamedDependency[Wanted],
    cursor: FromQuery[int | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[Entry]:
    """Who did what, when, to what; newest first."""
    entries = await audit.page(store_id, wanted, cursor, limit)
    return Page([*entries], str(entries[-1].seq) if len(entries) == limit else None)


@get("/audit-logs/export", opt={"permission": Permission.TEAM_READ}, dependencies=FILTERED)
async def export(
    store_id: NamedDependency[str], audit: NamedDependency[AuditLog], wanted: NamedDependency[Wanted]
) -> Stream:
    """The same as NDJSON, oldest first, however much it is; `recoup audit FILE` checks it."""

    async def lines() -> AsyncGenerator[bytes]:
        async for some in audit.every(store_id, wanted):
            yield msgspec.json.Encoder().encode_lines(some)

    headers = {"Content-Disposition": 'attachment; filename="audit.ndjson"'}
    return Stream(lines(), media_type="application/x-ndjson", headers=headers)


@get("/audit-logs/verification", opt={"permission": Permission.TEAM_READ})
async def verification(
    store_id: NamedDependency[str],
    audit: NamedDependency[AuditLog],
    seq: FromQuery[int | None] = None,
    hash: FromQuery[str] = "",  # noqa: A002 - what it is called in a line
) -> Verdict:
    """Follows the whole chain; with `seq` and `hash` of a line noted down before, also that it is still there."""
    verdict = await audit.verify(store_id)
    if not verdict.intact or seq is None or await audit.hash_of(store_id, seq) == hash:
        return verdict
    return msgspec.structs.replace(verdict, intact=False, broken_at=seq, why="it is not the line that was noted down")


HANDLERS = (audit_logs, export, verification)
