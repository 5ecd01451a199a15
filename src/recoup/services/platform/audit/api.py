"""Reading the audit trail."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Meta, Struct

from recoup.messages.access import Permission
from recoup.services.platform.audit.domain import Action, Entry
from recoup.services.platform.audit.store import AuditLog


class AuditPage(Struct, frozen=True, kw_only=True):
    """Newest first; `next_cursor` is absent on the last page."""

    entries: Sequence[Entry]
    next_cursor: str | None


@get("/audit-logs", opt={"permission": Permission.TEAM_READ})
async def audit_logs(
    store_id: NamedDependency[str],
    audit: NamedDependency[AuditLog],
    action: FromQuery[Action | None] = None,
    cursor: FromQuery[UUID | None] = None,
    limit: FromQuery[Annotated[int, Meta(ge=1, le=1000)]] = 100,
) -> AuditPage:
    """Who did what, when, to what."""
    entries = await audit.page(store_id, action, cursor, limit)
    return AuditPage(entries=entries, next_cursor=str(entries[-1].id) if len(entries) == limit else None)


HANDLERS = (audit_logs,)
