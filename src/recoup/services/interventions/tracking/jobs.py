"""Looks at touches a moment after they came, when the touches around them have come too, and tells the others."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from recoup.kit.clock import Clock
from recoup.kit.errors import Unavailable
from recoup.kit.telemetry import logger
from recoup.services.interventions.tracking.domain import BURST
from recoup.services.interventions.tracking.store import Touches

log = logger(__name__)
PATIENCE = BURST + timedelta(milliseconds=250)
PASS = 500
POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Settler:
    """The loop that judges touches."""

    touches: Touches
    clock: Clock
    touched: asyncio.Event
    announced: asyncio.Event

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                if await self.settle() < PASS:
                    await self._until_touched()
            except Unavailable as error:
                log.warning("touches wait", why=error.detail)
                await asyncio.sleep(POLL_SECONDS)

    async def settle(self) -> int:
        """Judges those that have waited long enough; how many."""
        count = await self.touches.settle(self.clock.now() - PATIENCE, PASS)
        if count:
            self.announced.set()
        return count

    async def _until_touched(self) -> None:
        """A quarter of a second while touches come, else until one comes or another process may have had one."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self.touched.wait()
        except TimeoutError:
            return
        self.touched.clear()
        await asyncio.sleep(PATIENCE.total_seconds())
