"""Looks at Valkey every second: whether it is still the same, and what stands on the log, in case it is not next time.

The mark it was known by is kept in a file as well, so that a loss while everything stood still is noticed too.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recoup.kit.clock import Clock
from recoup.kit.errors import Failure
from recoup.kit.log.port import Log
from recoup.kit.metrics import Counter
from recoup.kit.telemetry import logger
from recoup.messages.topics import EVENTS_ENRICHED, EVENTS_RAW
from recoup.services.pipeline.collect.actions import LOADER_GROUP, STREAM_GROUP
from recoup.services.pipeline.collect.store import EventLog
from recoup.services.pipeline.losses.domain import Look, Seen, loss_of
from recoup.services.pipeline.losses.store import LossBook

log = logger(__name__)
EMPTIED: Final = Counter("valkey_emptied_total", "How often Valkey came back without what it had held")
LOOK_SECONDS: Final = 1.0
_PLACES: Final = (
    (STREAM_GROUP, EVENTS_RAW.name), (LOADER_GROUP, EVENTS_RAW.name), (LOADER_GROUP, EVENTS_ENRICHED.name),
)  # fmt: skip


@dataclass(slots=True)
class Watch:
    """One installation's memory of its Valkey."""

    book: LossBook
    log: Log
    events: EventLog
    clock: Clock
    file: Path
    _before: Look | None = None
    _epoch: str = field(init=False)

    def __post_init__(self) -> None:
        self._epoch = self.file.read_text() if self.file.exists() else ""

    async def run(self) -> None:
        """Until cancelled; an outage only makes it late."""
        while True:
            try:
                await self.look()
            except Failure as failure:
                log.info("looked for losses in vain", why=failure.detail)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """One look, and what it tells beside the one before."""
        epoch = await self.book.epoch()
        after = await self._looked()
        if epoch != self._epoch:
            if self._epoch:
                await self._tell(after)
            self._epoch = epoch
            self._keep()
        self._before = after

    def _keep(self) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(self._epoch)
        except OSError as error:
            log.warning("a loss while this process stands still will not be noticed", why=str(error))

    async def _tell(self, after: Look) -> None:
        loss = loss_of(self._before, after)
        await self.book.note(loss)
        EMPTIED.inc()
        unread = {f"{one.group} of {one.topic}": one.records for one in loss.unread}
        log.error("valkey came back empty", log_lost=loss.log_lost, unread=unread, unread_since=loss.unread_since)

    async def _looked(self) -> Look:
        places = {at: await self._seen(*at) for at in _PLACES}
        return Look(self.clock.now(), places, self.events.written)

    async def _seen(self, group: str, topic: str) -> Seen:
        lags = await self.log.lag(group, topic)
        return Seen(sum(lag.waiting for lag in lags), sum(lag.written for lag in lags))
