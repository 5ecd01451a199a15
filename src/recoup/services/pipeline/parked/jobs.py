"""Keeps what was parked from growing for ever."""

from dataclasses import dataclass
from datetime import timedelta

from recoup.kit.clock import Clock
from recoup.kit.log.port import Log
from recoup.messages.topics import RECORDS_PARKED
from recoup.services.pipeline.parked.store import Store
from recoup.services.pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Upkeep:
    """The timer of the feature."""

    store: Store
    log: Log
    clock: Clock
    settings: Settings

    async def forget(self) -> str:
        """Drops records that were settled long ago, and their copies on the topic."""
        kept_for = timedelta(days=self.settings.parked_days)
        count = await self.store.forget(self.clock.now() - kept_for, self.settings.parked_kept)
        await self.log.trim(RECORDS_PARKED.name, keep_seconds=kept_for.total_seconds())
        return f"forgot {count} parked records"
