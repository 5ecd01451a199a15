"""The table `audit_logs`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from recoup.kit.ids import new_id
from recoup.kit.postgres import Postgres, Session
from recoup.services.platform.audit.domain import Action, Actor, Entry


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Adds in the transaction of the change itself, so that neither is there without the other."""

    db: Postgres

    async def add(  # noqa: PLR0913, PLR0917 - who, what, to what, when: a line of an audit trail has these
        self, session: Session, store_id: str, at: datetime, actor: Actor, action: Action, subject: str,
        detail: Mapping[str, str | int] | None = None,
    ) -> None:  # fmt: skip
        await session.execute(
            "insert into audit_logs (id, store_id, at, actor, action, subject, address, detail)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8)",
            new_id(), store_id, at, actor.subject, action, subject, actor.address, dict(detail or {}),
        )  # fmt: skip

    async def page(self, store_id: str, action: str | None, before: UUID | None, limit: int) -> Sequence[Entry]:
        """Newest first."""
        return await self.db.rows(
            Entry,
            "select id, store_id, at, actor, action, subject, address, detail from audit_logs where store_id = $1"
            " and ($2::text is null or action = $2) and ($3::uuid is null or id < $3) order by id desc limit $4",
            store_id, action, before, limit,
        )  # fmt: skip
