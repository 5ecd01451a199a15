"""What happens to deliveries by itself: sending, a lane for each destination; telling shops; letting go of what is old.

A lane has its own queue, its own pauses and at most so many calls at a time, so that a receiver that is slow or away
holds up nobody's deliveries but its own. Nothing is held in memory but what is on the wire.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol
from urllib.parse import quote
from uuid import UUID

from msgspec import Struct

from recoup.kit.clock import Clock
from recoup.kit.config import Secret
from recoup.kit.errors import Failure, Invalid, Unavailable
from recoup.kit.log.port import Log
from recoup.kit.metrics import Counter
from recoup.kit.outgoing import Outgoing
from recoup.kit.telemetry import logger
from recoup.messages.topics import ROUTED_GROUP
from recoup.services.pipeline.routing.actions import Desk
from recoup.services.pipeline.routing.domain.payload import headers
from recoup.services.pipeline.routing.domain.rules import (
    Destination,
    Verdict,
    judged,
    pause_before_retry,
    topic_name,
)
from recoup.services.pipeline.routing.store.deliveries import Claimed, DeliveryStore, Lane, Troubled
from recoup.services.pipeline.settings import Settings

log = logger(__name__)
CALLS: Final = Counter("routed_calls_total", "Calls of stores' webhooks, by what came of them", ["outcome"])
_LEASE_MARGIN: Final = timedelta(seconds=30)
"""Beyond the longest call: how long what a killed sender held waits for another."""
_LAST_CALLS_SECONDS: Final = 5.0
_SHORTEST_KEEP_SECONDS: Final = 0.01


@dataclass(slots=True)
class News:
    """Says that there is something to send."""

    event: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self) -> None:
        self.event.set()

    async def wait(self, seconds: float) -> None:
        """For news, or so long."""
        try:
            async with asyncio.timeout(seconds):
                await self.event.wait()
        except TimeoutError:
            return
        self.event.clear()


@dataclass(slots=True)
class Sender:
    """Sends what is due."""

    deliveries: DeliveryStore
    desk: Desk
    outgoing: Outgoing
    clock: Clock
    settings: Settings
    news: News
    _lanes: dict[UUID, "asyncio.Task[None]"] = field(default_factory=dict)
    _stopping: bool = False

    async def run(self) -> None:
        """Until cancelled; an outage of ours only makes it late. What is on the wire then, `stop` waits for."""
        while True:
            try:
                await self.start_lanes()
            except Failure as failure:
                log.warning("deliveries wait", why=failure.detail)
            await self.news.wait(self.settings.routing_look_seconds)

    async def start_lanes(self) -> None:
        """A lane for each destination that has something due and none yet."""
        for id_, task in list(self._lanes.items()):
            if task.done():
                del self._lanes[id_]
                if (bug := task.exception()) is not None:
                    log.error("a lane broke", destination=str(id_), exc_info=bug)
        for lane in await self.deliveries.lanes(self.clock.now()):
            if lane.id not in self._lanes and len(self._lanes) < self.settings.routing_lanes:
                self._lanes[lane.id] = asyncio.create_task(self._drive(lane), name=f"lane {lane.id}")

    async def drain(self) -> None:
        """Waits until every lane has come to its end."""
        await asyncio.gather(*self._lanes.values())

    async def stop(self) -> None:
        """Claims no more, and gives the calls under way some seconds to end: what is cut off is sent again."""
        self._stopping = True
        if self._lanes:
            await asyncio.wait(self._lanes.values(), timeout=_LAST_CALLS_SECONDS)
        for task in self._lanes.values():
            task.cancel()
        await asyncio.gather(*self._lanes.values(), return_exceptions=True)
        await self.outgoing.close()

    async def _drive(self, lane: Lane) -> None:
        """Sends until nothing is due or a call fails; after a failure one call alone finds out whether it is over."""
        try:
            width = 1 if lane.failures else lane.concurrency
            while not self._stopping:
                # Before anything is claimed: a secret that cannot be had is no call that failed.
                secrets = await self.desk.secrets(lane.store_id, lane.id)
                claimed = await self._claim(lane, width)
                results = await asyncio.gather(*(self._send(lane, one, secrets) for one in claimed))
                if not claimed or not all(results):
                    return
                width = lane.concurrency
        except Failure as failure:
            log.warning("a lane stops", destination=str(lane.id), why=failure.detail)

    async def _claim(self, lane: Lane, width: int) -> list[Claimed]:
        lease = timedelta(seconds=self.settings.routing_timeout_seconds) + _LEASE_MARGIN
        return await self.deliveries.claim(lane.id, self.clock.now(), lease, width)

    async def _send(self, lane: Lane, one: Claimed, secrets: Sequence[Secret]) -> bool:
        """One call and what follows from it; whether it was received."""
        if one.attempts > self.settings.routing_attempts:
            # It was claimed again and again and never came to a verdict: whoever sends it does not survive it.
            note = f"sent {self.settings.routing_attempts} times without an end"
            await self.deliveries.failed(one, note, again_at=None, now=self.clock.now())
            return True
        verdict = await self._call(lane, one, secrets)
        now = self.clock.now()
        CALLS.labels("delivered" if verdict.delivered else "failed").inc()
        if verdict.delivered:
            await self.deliveries.delivered(one, verdict.note, now)
            return True
        await self._again_or_dead(one, verdict, now)
        await self._struggle(lane, verdict, now)
        return False

    async def _call(self, lane: Lane, one: Claimed, secrets: Sequence[Secret]) -> Verdict:
        signed = headers(secrets, str(one.id), int(self.clock.now().timestamp()), one.body)
        try:
            answer = await self.outgoing.post(lane.url, one.body, signed)
        except (Unavailable, Invalid) as failure:
            return Verdict(delivered=False, note=failure.detail)
        return judged(answer.status, answer.body, answer.retry_after)

    async def _again_or_dead(self, one: Claimed, verdict: Verdict, now: datetime) -> None:
        attempts = self.settings.routing_attempts
        if one.attempts >= attempts:
            note = f"given up after {one.attempts} calls: {verdict.note}"
            return await self.deliveries.failed(one, note, again_at=None, now=now)
        pause = self._pause(str(one.id), one.attempts, self.settings.routing_longest_pause_seconds)
        return await self.deliveries.failed(one, verdict.note, again_at=now + pause, now=now)

    async def _struggle(self, lane: Lane, verdict: Verdict, now: datetime) -> None:
        """The destination itself rests as well: what waits for it must not all be tried against a closed door."""
        longest = timedelta(seconds=self.settings.routing_longest_rest_seconds)
        rest = self._pause(str(lane.id), lane.failures + 1, self.settings.routing_longest_rest_seconds)
        until = now + max(rest, min(verdict.wait or rest, longest))
        failures = await self.deliveries.struggle(lane.id, verdict.note, until, now)
        if verdict.gone:
            await self.deliveries.pause(lane.id, f"the receiver wants no more: {verdict.note}")
        elif failures >= self.settings.routing_failures:
            await self.deliveries.pause(lane.id, f"{failures} calls failed one after the other: {verdict.note}")

    def _pause(self, cause: str, failures: int, longest_seconds: float) -> timedelta:
        first = timedelta(seconds=self.settings.routing_pause_seconds)
        return pause_before_retry(cause, failures, first, timedelta(seconds=longest_seconds))


class Reported(Struct):
    """What monitoring answers to a report; all we need of it is that there is an answer."""

    id: str


class Reports(Protocol):
    """Tells the monitoring service, as `kit.peers` does."""

    async def post(self, service: str, path: str, body: object, kind: type[Reported]) -> Reported: ...


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Tells shops what is wrong with their destinations, trims their topics, forgets what is old."""

    deliveries: DeliveryStore
    desk: Desk
    log: Log
    reports: Reports
    clock: Clock
    settings: Settings

    async def run(self) -> None:
        """Until cancelled; an outage only makes it late."""
        while True:
            for act in (self.tell, self.trim):
                await _patiently(act)
            await asyncio.sleep(self.settings.routing_upkeep_seconds)

    async def tell(self) -> None:
        """Says once of each destination that it was paused or that its queue ran over."""
        for one in await self.deliveries.untold():
            body = {"subject": "routing", "detail": _told(one), "occurred_at": one.failing_since or self.clock.now()}
            path = f"/anomalies/report?store_id={quote(one.store_id)}"
            await self.reports.post("monitoring", path, body, Reported)
            await self.deliveries.told(one.id)
            log.warning("a destination fails", store_id=one.store_id, destination=one.name, why=one.reason)

    async def trim(self) -> None:
        """Lets go of what topics have held long enough; nobody's reading is waited for."""
        for one in await self.desk.store.topics():
            await self._trim(one)

    async def _trim(self, one: Destination) -> None:
        name = topic_name(one.store_id, one.name)
        await self.log.register(ROUTED_GROUP, [name])
        await self.log.seek(ROUTED_GROUP, name, "end")
        keep = float((one.retention_hours or 0) * 3_600)
        await self.log.trim(name, keep_seconds=keep)
        while keep > _SHORTEST_KEEP_SECONDS and await self.log.size(name) > self.settings.routing_topic_records:
            keep /= 2
            await self.log.trim(name, keep_seconds=keep)

    async def forget(self) -> str:
        """The job that keeps deliveries from growing for ever."""
        now = self.clock.now()
        delivered = now - timedelta(hours=self.settings.routing_delivered_hours)
        count = await self.deliveries.forget(delivered, now - timedelta(days=self.settings.routing_days))
        return f"forgot {count} routed deliveries"


async def _patiently(act: Callable[[], Awaitable[None]]) -> None:
    try:
        await act()
    except Failure as failure:
        log.warning("routing is not looked after", why=failure.detail)


def _told(one: Troubled) -> str:
    dropped = f"; {one.dropped} events found no room" if one.dropped else ""
    return f"routing to {one.name!r}: {one.reason}{dropped}"
