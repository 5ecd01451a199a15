"""Reading the audit trail."""

from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page
from recoup.messages.access import Permission
from recoup.services.platform.audit.domain import Action, Entry
from recoup.services.platform.audit.store import AuditLog


@get("/audit-logs", opt={"permission": Permission.TEAM_READ})
async def audit_logs(
    store_id: NamedDependency[str],
    audit: NamedDependency[AuditLog],
    action: FromQuery[Action | None] = None,
    cursor: FromQuery[UUID | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[Entry]:
    """Who did what, when, to what; newest first."""
    entries = await audit.page(store_id, action, cursor, limit)
    return Page([*entries], str(entries[-1].id) if len(entries) == limit else None)


HANDLERS = (audit_logs,)
