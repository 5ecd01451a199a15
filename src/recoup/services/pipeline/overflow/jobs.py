"""Hands what waits in the overflow lane back to the stream, slowly, and only while the stream keeps up.

A record leaves the lane and is back on the raw topic in one commit: wherever this dies, it is in one of both places.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recoup.kit.errors import Failure
from recoup.kit.log import arrow
from recoup.kit.log.port import Fenced, Log, Outgoing, Reader, Record
from recoup.kit.metrics import Counter
from recoup.kit.telemetry import logger
from recoup.messages.topics import EVENTS_OVERFLOW, EVENTS_RAW
from recoup.services.pipeline.overflow.domain import HANDED_BACK, OVERFLOW_GROUP
from recoup.services.pipeline.settings import Settings

log = logger(__name__)
BACK: Final = Counter("overflow_events_returned_total", "Events handed back from the overflow lane to the stream")
_PAUSE_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 0.5
# Few at a time, so that the rate holds over a fraction of a second too.
_RECORDS: Final = 2


@dataclass(frozen=True, slots=True)
class Mover:
    """The lane's only reader."""

    log: Log
    member: str
    stream_group: str
    settings: Settings

    async def run(self) -> None:
        """Until cancelled."""
        reader = self.log.reader(OVERFLOW_GROUP, self.member, [EVENTS_OVERFLOW.name])
        registered = False
        try:
            while True:
                try:
                    if not registered:
                        await self.log.register(OVERFLOW_GROUP, [EVENTS_OVERFLOW.name])
                        registered = True
                    await self._turn(reader)
                except Fenced as fenced:
                    log.info("another instance moves these", why=fenced.detail)
                    await reader.rewind()
                except Failure as failure:
                    log.warning("trying again", why=failure.detail)
                    await reader.rewind()
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            await reader.close()

    async def _turn(self, reader: Reader) -> None:
        records = await reader.read(wait_seconds=1.0, limit=_RECORDS)
        if not records:
            return
        while await self._stream_is_behind():  # noqa: ASYNC110 - the lag is another process's
            await asyncio.sleep(_PAUSE_SECONDS)
        events = await asyncio.to_thread(_rows, records)
        back = [Outgoing(record.partition, record.value, {**record.headers, HANDED_BACK: "1"}) for record in records]
        await reader.commit(
            {(record.topic, record.partition): record.offset for record in records}, {EVENTS_RAW.name: back}
        )
        BACK.inc(events)
        await asyncio.sleep(events / self.settings.overflow_events_per_second)

    async def _stream_is_behind(self) -> bool:
        lags = await self.log.lag(self.stream_group, EVENTS_RAW.name)
        return sum(lag.waiting for lag in lags) > self.settings.overflow_waits_above_records


def _rows(records: Sequence[Record]) -> int:
    return sum(batch.num_rows for batch in arrow.decode([record.value for record in records], ()))
