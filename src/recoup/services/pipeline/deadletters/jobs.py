"""What happens to letters by itself: tries that are due, sendings that broke off, floods that stop it all."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol
from urllib.parse import quote

from msgspec import Struct

from recoup.kit.clock import Clock
from recoup.kit.errors import Failure
from recoup.kit.metrics import Counter
from recoup.kit.telemetry import logger
from recoup.services.pipeline.deadletters.actions import Workbench
from recoup.services.pipeline.deadletters.domain.letters import is_flood
from recoup.services.pipeline.deadletters.store import Stopped, Store
from recoup.services.pipeline.settings import Settings

log = logger(__name__)
STOPS: Final = Counter("dead_letter_stops_total", "Stores whose automatic repairs and retries were stopped by a flood")
_AT_ONCE: Final = 50
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
