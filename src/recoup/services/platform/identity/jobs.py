"""What is done to sign-ins by timer: the signing key changes, and what is long over is forgotten."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from recoup.kit.clock import Clock
from recoup.kit.service import Job
from recoup.services.platform.identity.actions.keys import KeyChange
from recoup.services.platform.identity.store.sessions import Sessions

KEPT: Final = timedelta(days=30)
"""Sign-ins that are over, for whoever looks into what happened."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Both are safe to be asked for at any time."""

    key_change: KeyChange
    sessions: Sessions
    clock: Clock

    def jobs(self) -> tuple[Job, ...]:
        return (
            Job("rotate-signing-key", "11 4 1 * *", self.key_change.rotate),
            Job("forget-sign-ins", "37 3 * * *", self.forget),
        )

    async def forget(self) -> str:
        count = await self.sessions.forget(self.clock.now() - KEPT)
        return f"{count} sign-ins forgotten that ended more than {KEPT.days} days ago"
