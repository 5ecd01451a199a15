"""What happens by itself: tries that are due, sendings that broke off, repairs, floods that stop it all; learning."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol
from urllib.parse import quote

import pyarrow as pa
from msgspec import Struct

from recoup.kit.clock import Clock, stopwatch
from recoup.kit.errors import Failure
from recoup.kit.log import arrow
from recoup.kit.log.port import Fenced, Log
from recoup.kit.metrics import Counter
from recoup.kit.runner import decoded
from recoup.kit.service import Batch
from recoup.kit.telemetry import logger
from recoup.messages.topics import EVENTS_RAW
from recoup.services.pipeline.deadletters.actions import Mender, Workbench
from recoup.services.pipeline.deadletters.domain.letters import is_flood
from recoup.services.pipeline.deadletters.store import Stopped, Store
from recoup.services.pipeline.settings import Settings

log = logger(__name__)
STOPS: Final = Counter("dead_letter_stops_total", "Stores whose automatic repairs and retries were stopped by a flood")
_AT_ONCE: Final = 50
_REST: Final = 3.0
_SAMPLES: Final = "deadletter-samples"
_MOST_RECORDS: Final = 8
_MOST_ROWS: Final = 500
# A sending that takes longer than this was broken off; the collector answers or gives up well before.
_BROKEN_OFF: Final = timedelta(minutes=1)


class Reported(Struct):
    """What monitoring answers to a report; all we need of it is that there is an answer."""

    id: str


class Reports(Protocol):
    """Tells the monitoring service, as `kit.peers` does."""

    async def post(self, service: str, path: str, body: object, kind: type[Reported]) -> Reported: ...


@dataclass(frozen=True, slots=True)
class Rounds:
    """The timer over all stores."""

    store: Store
    workbench: Workbench
    mender: Mender
    reports: Reports
    clock: Clock
    settings: Settings

    async def run(self) -> None:
        """Until cancelled; an outage only makes it late."""
        while True:
            try:
                await self.once()
            except Failure as failure:
                log.warning("dead letters wait", why=failure.detail)
            await asyncio.sleep(self.settings.dead_letter_seconds)

    async def once(self) -> None:
        """One round."""
        now = self.clock.now()
        await self._watch()
        for letter in await self.store.stuck(now - _BROKEN_OFF, _AT_ONCE):
            await self.workbench.send_again(letter)
        for letter in await self.store.due(now, _AT_ONCE):
            await self.workbench.retry(letter)
        for letter in await self.store.unexamined(_AT_ONCE):
            started = stopwatch()
            await self.mender.mend(letter)
            # Beside the doors of the collector: repairs never take more than a share of a core.
            await asyncio.sleep(_REST * (stopwatch() - started))

    async def _watch(self) -> None:
        """Stops stores that are flooded with letters, and tells monitoring once."""
        window = timedelta(minutes=self.settings.dead_letter_window_minutes)
        stopped = {one.store_id: one for one in await self.store.stopped()}
        for store_id, letters in (await self.store.rates(self.clock.now() - window)).items():
            limit = (await self.workbench.settings_of(store_id)).dead_letter_limit
            if store_id not in stopped and is_flood(letters, limit):
                await self.store.stop(store_id, letters, self.clock.now())
                STOPS.inc()
                log.warning("dead letters flood", store_id=store_id, letters=letters, limit=limit)
        for one in await self.store.stopped():
            if not one.reported:
                await self._report(one, window)

    async def _report(self, one: Stopped, window: timedelta) -> None:
        minutes = round(window.total_seconds() / 60)
        detail = (
            f"{one.letters} events could not be used within {minutes} minutes; "
            "automatic repairs and retries are stopped until somebody looks at the dead letters and resumes them"
        )
        body = {"subject": "dead_letters", "detail": detail, "occurred_at": one.since}
        await self.reports.post("monitoring", f"/anomalies/report?store_id={quote(one.store_id)}", body, Reported)
        await self.store.reported(one.store_id)

    async def forget(self) -> str:
        """The job that keeps the workbench from growing for ever."""
        before = self.clock.now() - timedelta(days=self.settings.dead_letter_days)
        count = await self.store.forget(before, self.settings.dead_letters_kept)
        return f"forgot {count} dead letters"


@dataclass(frozen=True, slots=True)
class Sampler:
    """Looks at some of what arrives, for the mender to learn from.

    The raw topic says what shops really send; in the enriched one amounts and currencies are filled in. The group is
    never registered, so it holds nothing up: where more waits than a sample needs, the rest is passed over.
    """

    log: Log
    member: str
    mender: Mender
    settings: Settings

    async def run(self) -> None:
        """Until cancelled; an outage only makes it late."""
        while True:
            await asyncio.sleep(self.settings.sample_seconds)
            try:
                await self.once()
            except Failure as failure:
                log.warning("nothing learned", why=failure.detail)

    async def once(self) -> None:
        """One sample."""
        waiting = sum(lag.waiting for lag in await self.log.lag(_SAMPLES, EVENTS_RAW.name))
        if waiting > _MOST_RECORDS * self.log.partitions:
            await self.log.seek(_SAMPLES, EVENTS_RAW.name, "end")
        reader = self.log.reader(_SAMPLES, self.member, [EVENTS_RAW.name])
        try:
            records = await reader.read(wait_seconds=1.0, limit=_MOST_RECORDS)
            if records:
                # What cannot be read is for the stream to set aside.
                readable = [record for record in records if arrow.flaw(record.value, EVENTS_RAW.schema) is None]
                await self._learn(decoded(readable, EVENTS_RAW.schema))
                await reader.commit({(record.topic, record.partition): record.offset for record in records})
        except Fenced:
            log.info("another instance takes the samples")
        finally:
            await reader.close()

    async def _learn(self, batch: Batch) -> None:
        by_store: dict[str, list[dict[str, object]]] = {}
        step = max(1, batch.table.num_rows // _MOST_ROWS)
        for row in batch.table.take(pa.array(range(0, batch.table.num_rows, step))).to_pylist():
            by_store.setdefault(row["store_id"], []).append(row)
        for store_id, rows in by_store.items():
            await self.mender.learn(store_id, rows)
