"""What happens to webhooks by itself: the work that was put off when they came, and forgetting."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from recoup.kit.errors import Failure
from recoup.kit.telemetry import logger
from recoup.services.pipeline.webhooks.actions import Postroom

log = logger(__name__)
_PATIENCE_SECONDS: Final = 5.0
"""What another process put off, or what is due again, waits no longer than this."""
_MEMORY: Final = timedelta(days=200)


@dataclass(frozen=True, slots=True)
class Rounds:
    """The worker and the daily job."""

    postroom: Postroom

    async def run(self) -> None:
        """Works while there is work, then waits for news; an outage only makes it late."""
        while True:
            self.postroom.news.clear()
            try:
                worked = await self.postroom.work()
            except Failure as failure:
                log.warning("webhooks are late", why=failure.detail)
                await asyncio.sleep(_PATIENCE_SECONDS)
                continue
            if not worked:
                await self._news()

    async def forget(self) -> str:
        """The job that keeps deliveries and memory from growing for ever."""
        room = self.postroom
        now = room.clock.now()
        count = await room.deliveries.forget(now - timedelta(days=room.settings.webhook_days), now - _MEMORY)
        return f"forgot {count} webhook deliveries"

    async def _news(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self.postroom.news.wait()
        except TimeoutError:
            return
