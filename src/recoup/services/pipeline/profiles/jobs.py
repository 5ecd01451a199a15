"""Forgets users who have not been here for longer than Valkey would remember them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from recoup.kit.clock import Clock
from recoup.messages.keys import USER_PROFILE
from recoup.services.pipeline.profiles.store import Archive


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What time does to the copies of profiles."""

    archive: Archive
    clock: Clock

    async def forget(self) -> str:
        """Deletes the copies that are too old, of every store."""
        users = await self.archive.forget(self.clock.now() - cast("timedelta", USER_PROFILE.lifetime))
        return f"forgot {users} users"
