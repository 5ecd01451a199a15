"""Publishes what waits, woken by whoever wrote it. Order is kept within one pass; a repeat carries the same id."""

import asyncio
from dataclasses import dataclass

import msgspec

from recoup.kit.errors import Unavailable
from recoup.kit.service import Publish
from recoup.kit.telemetry import logger
from recoup.services.interventions.announcements.store import TOPICS, Announcements

log = logger(__name__)
PASS = 500
# Another process may have written what nobody here was told of.
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Announcer:
    """The loop that publishes."""

    announcements: Announcements
    publish: Publish
    news: asyncio.Event

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                if await self.publish_waiting() < PASS:
                    await self._until_news()
            except Unavailable as error:
                log.warning("announcements wait", why=error.detail)
                await asyncio.sleep(POLL_SECONDS)

    async def publish_waiting(self) -> int:
        """Publishes one pass; how many messages that were."""
        async with self.announcements.taken(PASS) as rows:
            for name, topic in TOPICS.items():
                messages = [msgspec.convert(row.message, topic.kind) for row in rows if row.topic == name]
                await self.publish(topic, messages)
        return len(rows)

    async def _until_news(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self.news.wait()
        except TimeoutError:
            return
        self.news.clear()
