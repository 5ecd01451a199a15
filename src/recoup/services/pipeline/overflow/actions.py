"""The collector's side of the lane: whose events go into it, whether it has room, who may leave it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from recoup.kit.clock import Clock
from recoup.kit.errors import TooMany
from recoup.kit.log.port import Log
from recoup.kit.metrics import Counter
from recoup.messages.stores import StoreSettings
from recoup.messages.topics import EVENTS_OVERFLOW
from recoup.services.pipeline.overflow.domain import OVERFLOW_GROUP, Floods
from recoup.services.pipeline.overflow.store import FloodBook, Flooding
from recoup.services.pipeline.settings import Settings

LANED: Final = Counter("overflow_events_total", "Events of visitors who flood, sent into the overflow lane")
_LATER: Final = timedelta(seconds=5)


@dataclass(slots=True)
class Lane:
    """Counts every visitor of every store on the wall clock."""

    log: Log
    book: FloodBook
    clock: Clock
    settings: Settings
    floods: Floods = field(default_factory=Floods)
    _full: bool = False

    def aside(
        self, store_id: str, store: StoreSettings, columns: Mapping[str, Sequence[object]], now: datetime
    ) -> np.ndarray | None:
        """Which events go into the lane, None for none; raises TooMany where some would and it is full."""
        if store.clock != "wall" or not columns:
            return None
        flags = self.floods.aside(store_id, columns, store.flood_events_per_minute, now)
        if flags is None:
            return None
        if self._full:
            raise TooMany("a visitor floods, and too many of his events wait already", retry_after=_LATER)
        LANED.inc(int(flags.sum()))
        return flags

    async def lately(self, store_id: str) -> list[Flooding]:
        """Who flooded the store since yesterday."""
        return await self.book.read(store_id, self.clock.now())

    async def tend(self) -> None:
        """Writes down who floods and lets those go who have calmed down; called every now and then."""
        if not self.floods.any:
            return
        asked = self.clock.now()
        waiting = sum(lag.waiting for lag in await self.log.lag(OVERFLOW_GROUP, EVENTS_OVERFLOW.name))
        self._full = waiting > self.settings.overflow_records
        if news := self.floods.news():
            await self.book.note(news)
            self.floods.said(news)
        if not waiting:
            self.floods.calm(asked)
