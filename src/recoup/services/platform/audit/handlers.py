"""Other services' changes arrive."""

from collections.abc import Sequence
from dataclasses import dataclass

from recoup.messages.changes import ChangeMade
from recoup.services.platform.audit.store import AuditLog


@dataclass(frozen=True, slots=True)
class Told:
    """Writes down what services say was changed."""

    audit: AuditLog

    async def on_changes(self, changes: Sequence[ChangeMade]) -> None:
        await self.audit.take(changes)
