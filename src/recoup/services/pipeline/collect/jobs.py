"""Says every second how this collector is doing."""

from dataclasses import dataclass

from recoup.kit.clock import Clock
from recoup.kit.errors import Failure
from recoup.kit.telemetry import logger
from recoup.services.pipeline.collect.store import CollectorStatus, EventLog, Statuses

log = logger(__name__)
_DURABLE = "durable"


@dataclass(frozen=True, slots=True)
class Reporter:
    """For `GET /pipeline/status`, whichever collector is asked."""

    member: str
    events: EventLog
    statuses: Statuses
    clock: Clock

    async def report(self) -> None:
        """One report; an outage only makes it late."""
        pace = self.events.pace
        status = CollectorStatus(
            member=self.member, at=self.clock.now(), events=pace.events, events_per_second=pace.per_second(),
            waiting=self.events.unwritten, errors=pace.failures[_DURABLE],
            durable_p50_ms=pace.milliseconds(50).get(_DURABLE, 0.0),
            durable_p99_ms=pace.milliseconds(99).get(_DURABLE, 0.0),
        )  # fmt: skip
        try:
            await self.statuses.write(status)
        except Failure as failure:
            log.warning("report is late", why=failure.detail)
