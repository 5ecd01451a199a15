"""Looks at what passes for whoever watches events, in memory; writes it down a few times a second.

The processor shows what it works on, the reader of dead letters what was refused before that.
"""

from dataclasses import dataclass, field

import pyarrow as pa

from recoup.kit.clock import Clock
from recoup.kit.errors import Failure
from recoup.kit.telemetry import logger
from recoup.services.pipeline.stream.domain.work import Known, Work
from recoup.services.pipeline.tail.domain import Glimpse, Watch, glimpsed, refused
from recoup.services.pipeline.tail.store import Watches

log = logger(__name__)


@dataclass(slots=True)
class _Window:
    """What was seen for each who watches, until it is written. While nobody does, nothing is looked at."""

    watches: Watches
    clock: Clock
    room: int
    """Events shown of one watch between two writings."""
    _current: list[Watch] = field(default_factory=list)
    _seen: dict[Watch, Glimpse] = field(default_factory=dict)

    def _left(self, watch: Watch) -> int:
        seen = self._seen.get(watch)
        return self.room - (len(seen.events) if seen else 0)

    def _keep(self, watch: Watch, found: Glimpse) -> None:
        if found.matched:
            before = self._seen.get(watch, Glimpse(matched=0, events=[]))
            self._seen[watch] = Glimpse(matched=before.matched + found.matched, events=[*before.events, *found.events])

    async def _hand_over(self) -> list[Watch]:
        """Writes what was seen; gives back those who watch only now."""
        seen, self._seen = self._seen, {}
        known = {watch.id for watch in self._current}
        self._current = await self.watches.current(self.clock.now())
        if seen:
            await self.watches.write(seen)
        return [watch for watch in self._current if watch.id not in known]


@dataclass(slots=True)
class Showing(_Window):
    """Watches the processor for those who watch events."""

    def note(self, work: Work, known: Known) -> None:  # noqa: ARG002 - a watcher is told what was known, too
        """Keeps what somebody wants to see."""
        for watch in self._current:
            self._keep(watch, glimpsed(work, watch, self._left(watch)))

    async def write(self) -> None:
        """Hands over what was seen and asks who watches, telling new ones so; an outage only makes it late."""
        try:
            new = await self._hand_over()
            if new:
                await self.watches.write({watch: Glimpse(matched=0, events=[]) for watch in new})
        except Failure as failure:
            log.warning("nothing is shown", why=failure.detail)


@dataclass(slots=True)
class ShowingRefused(_Window):
    """Watches the dead letters for those who watch events: what the collector refused never reaches the processor."""

    def note(self, dead: pa.Table) -> None:
        """Keeps what somebody wants to see."""
        for watch in self._current:
            self._keep(watch, refused(dead, watch, self._left(watch)))

    async def write(self) -> None:
        """Hands over what was seen and asks who watches; an outage only makes it late."""
        try:
            await self._hand_over()
        except Failure as failure:
            log.warning("nothing of what was refused is shown", why=failure.detail)
