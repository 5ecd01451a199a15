"""Measures again and again what waits. Decides nothing: a lag is no fault while it shrinks."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from recoup.kit.errors import Unavailable
from recoup.kit.log.port import Log
from recoup.kit.metrics import Gauge
from recoup.kit.telemetry import logger
from recoup.messages.topics import READERS

log = logger(__name__)

LAG = Gauge(
    "consumer_lag_records", "Records a group of readers has not dealt with yet", ["group", "topic", "partition"]
)


@dataclass(frozen=True, slots=True)
class Measure:
    """The feature's loop."""

    log: Log
    every: timedelta

    async def run(self) -> None:
        """For ever; while the log is away the gauges stand still."""
        while True:
            try:
                await self.measure()
            except Unavailable as error:
                log.warning("lag is not known", why=error.detail)
            await asyncio.sleep(self.every.total_seconds())

    async def measure(self) -> None:
        """Sets every gauge once."""
        for topic, groups in READERS.items():
            for group in groups:
                if not await self.log.reads(group, topic):
                    continue
                for lag in await self.log.lag(group, topic):
                    LAG.labels(group, topic, lag.partition).set(lag.waiting)
