"""What happens to metrics by timer: gather, keep, forget."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from recoup.kit.clock import Clock, stopwatch
from recoup.kit.errors import Unavailable
from recoup.kit.telemetry import logger
from recoup.services.monitoring.metrics.actions import Gatherer, export
from recoup.services.monitoring.metrics.domain import business
from recoup.services.monitoring.metrics.store import Store

log = logger(__name__)


@dataclass(slots=True)
class Timers:
    """The feature's loops. `look` refreshes the status gauges, `day` gives the last day's sums by metric."""

    gatherer: Gatherer
    store: Store
    clock: Clock
    look: Callable[[], Awaitable[object]]
    day: Callable[[], Awaitable[dict[str, float]]]
    every: timedelta
    keep_every: timedelta
    keep: timedelta

    async def gather(self) -> None:
        """Gathers for ever, and keeps what it gathered now and then."""
        kept = float("-inf")
        while True:
            await self.gatherer.gather()
            try:
                await self.look()
                export(business(await self.day()))
                if stopwatch() - kept >= self.keep_every.total_seconds():
                    await self.gatherer.keep()
                    kept = stopwatch()
            except Unavailable as error:
                log.warning("metrics are not kept", why=error.detail)
            await asyncio.sleep(self.every.total_seconds())

    async def forget(self) -> str:
        """The job that keeps the history from growing for ever."""
        count = await self.store.forget(self.clock.now() - self.keep)
        return f"forgot {count} rows of metrics older than {self.keep.days} days"
