"""The processor's side: looks at each batch for whoever watches, in memory; writes it down a few times a second."""

from dataclasses import dataclass, field

from recoup.kit.clock import Clock
from recoup.kit.errors import Failure
from recoup.kit.telemetry import logger
from recoup.services.pipeline.stream.domain.work import Known, Work
from recoup.services.pipeline.tail.domain import Glimpse, Watch, glimpsed
from recoup.services.pipeline.tail.store import Watches

log = logger(__name__)


@dataclass(slots=True)
class Showing:
    """Watches the processor for those who watch events. While nobody does, it does nothing."""

    watches: Watches
    clock: Clock
    room: int
    """Events shown of one watch between two writings."""
    _current: list[Watch] = field(default_factory=list)
    _seen: dict[Watch, Glimpse] = field(default_factory=dict)

    def note(self, work: Work, known: Known) -> None:  # noqa: ARG002 - a watcher is told what was known, too
        """Keeps what somebody wants to see."""
        for watch in self._current:
            before = self._seen.get(watch, Glimpse(matched=0, events=[]))
            found = glimpsed(work, watch, self.room - len(before.events))
            if found.matched:
                self._seen[watch] = Glimpse(
                    matched=before.matched + found.matched, events=[*before.events, *found.events]
                )

    async def write(self) -> None:
        """Hands over what was seen and asks who watches, telling new ones so; an outage only makes it late."""
        seen, self._seen = self._seen, {}
        known = {watch.id for watch in self._current}
        try:
            self._current = await self.watches.current(self.clock.now())
            new = {watch: Glimpse(matched=0, events=[]) for watch in self._current if watch.id not in known}
            if new or seen:
                await self.watches.write(new | seen)
        except Failure as failure:
            log.warning("nothing is shown", why=failure.detail)
