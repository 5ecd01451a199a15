"""What both doors do with events: read them, make them durable, count them.

Refuses early what it could not keep up with.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from recoup.kit.clock import Clock
from recoup.kit.errors import Failure, Refused, TooMany, Unavailable
from recoup.kit.ids import new_id
from recoup.kit.log.port import Log
from recoup.kit.telemetry import logger
from recoup.messages.events import Event, EventType
from recoup.messages.proofs import ProofAsked, Proofs
from recoup.messages.stores import StoreDirectory, StoreSettings
from recoup.messages.topics import EVENTS_ENRICHED, EVENTS_RAW
from recoup.services.pipeline.collect.domain.columns import Columns, columns_of
from recoup.services.pipeline.collect.domain.frames import Sessions
from recoup.services.pipeline.collect.domain.limits import Limits, limits_of, with_types
from recoup.services.pipeline.collect.domain.origin import Origin
from recoup.services.pipeline.collect.domain.parting import parted
from recoup.services.pipeline.collect.domain.reading import Form, Outcome, Reading, read
from recoup.services.pipeline.collect.domain.rows import Arrived, dead_table, partitions_of, table_of
from recoup.services.pipeline.collect.domain.unreadable import UNREADABLE, Ration, unread
from recoup.services.pipeline.collect.store import EventLog, Put, Stats
from recoup.services.pipeline.overflow.actions import Lane
from recoup.services.pipeline.schemas.actions import Catalogs
from recoup.services.pipeline.settings import Settings

log = logger(__name__)
STREAM_GROUP = "pipeline"
# What the warehouse has not loaded yet, the log must hold: one that nobody empties would grow until memory is full.
LOADER_GROUP = "intelligence"
_LOADED = (EVENTS_RAW.name, EVENTS_ENRICHED.name)
# The loader works in gulps and has room for minutes, so it is looked at in every so many rounds only, and in each
# while requests are refused.
_LOADER_ROUNDS = 5
# How far a store's event time must have moved before every partition is told again.
TICK = timedelta(seconds=60)


class Heard(NamedTuple):
    """A body that was read, which of its events the shop vouches for, and when."""

    store_id: str
    reading: Reading
    proven: np.ndarray
    aside: np.ndarray | None
    """Which of them a visitor sent who floods; None for none."""
    at: datetime


class Taken(NamedTuple):
    """A body that was read, on its way to the log."""

    store_id: str
    outcome: Outcome
    accepted: int
    """Shoppers' events; the clock's own are not counted."""
    durable: "asyncio.Future[None] | None"
    reached: datetime | None
    """The event time that every partition is told of."""


@dataclass(slots=True)
class Collector:
    """Takes events for any store."""

    events: EventLog
    stats: Stats
    stores: StoreDirectory
    schemas: Catalogs
    proofs: Proofs
    lane: Lane
    log: Log
    clock: Clock
    settings: Settings
    sessions: Sessions = field(init=False)
    unreadable: Ration = field(init=False)
    _overloaded: bool = False
    _waiting_for_loader: int = 0
    _rounds: int = 0
    _ticked: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sessions = Sessions(self.settings.socket_sessions, self.settings.socket_frames)
        self.unreadable = Ration(self.settings.unreadable_per_minute)

    async def accept(self, store_id: str, body: bytes, form: Form, origin: Origin) -> Outcome:
        """Makes a body's events durable; raises Refused for an unreadable body, TooMany or Unavailable to slow down."""
        return await self.finish(await self.begin(store_id, body, form, origin))

    async def begin(self, store_id: str, body: bytes, form: Form, origin: Origin) -> Taken:
        """Reads a body and hands its events to the log, in the order of the calls; raises as `accept` does."""
        if self._overloaded or self.events.unwritten >= self.settings.max_unwritten_events:
            raise TooMany("events wait to be processed; send again later", retry_after=timedelta(seconds=1))
        store = await self.stores.settings(store_id)
        now = self.clock.now()
        try:
            reading = await self._read(body, form, limits_of(store_id, store, self.settings, now, origin.arrived))
        except Refused as refusal:
            await self.set_aside(store_id, body, refusal, origin)
            raise
        proven = await self._proven(store_id, reading, origin)
        aside = self.lane.aside(store_id, store, reading.columns, now)
        return self._put(store, Heard(store_id, reading, proven, aside, now), origin)

    async def _read(self, body: bytes, form: Form, limits: Limits) -> Reading:
        """A type that nobody knows may have been registered a moment ago: the registry has the last word."""
        known = await self.schemas.find(limits.store_id)
        reading = read(body, form, with_types(limits, known.types if known is not None else frozenset()))
        unknown = {one.problem.detail for one in reading.refusals if one.problem.code == "unknown_type"}
        if not unknown:
            return reading
        renewed = await self.schemas.renewed(limits.store_id, unknown)
        if renewed.revision < 0:
            raise Unavailable("which types of events this store has is not known yet; send again later")
        return reading if renewed is known else read(body, form, with_types(limits, renewed.types))

    async def _proven(self, store_id: str, reading: Reading, origin: Origin) -> np.ndarray:
        """Which events the shop vouches for. A proof that is none costs the event nothing but what it would prove."""
        found = np.full(len(reading.events), origin.proven)
        if origin.proven or not any(reading.columns.get("user_hash", ())):
            return found
        given = [place for place, event in enumerate(reading.events) if event.user_hash is not None]
        for place in given:
            event = reading.events[place]
            asked = ProofAsked(store_id=store_id, user_id=event.user_id or "", user_hash=event.user_hash or "")
            found[place] = await self.proofs.holds(asked)
        wrong = len(given) - int(found.sum())
        if wrong:
            self.stats.count(store_id, {"warned:identity_unproven": wrong})
        return found

    async def finish(self, taken: Taken) -> Outcome:
        """Waits until a body's events are durable."""
        if taken.durable is not None:
            await taken.durable
        if taken.reached is not None:
            self._ticked[taken.store_id] = taken.reached
        counts = Counter(f"refused:{refusal.problem.code}" for refusal in taken.outcome.refusals)
        counts["accepted"] = taken.accepted
        self.stats.count(taken.store_id, counts)
        return taken.outcome

    async def set_aside(self, store_id: str, body: bytes, refusal: Refused, origin: Origin) -> None:
        """Counts a body that cannot be taken as a whole, and makes a dead letter of one that cannot be read."""
        self.count_refusal(store_id, refusal)
        now = self.clock.now()
        if refusal.reason in UNREADABLE and self.unreadable.grants(store_id, now):
            letter = unread(refusal, body, self.settings.unreadable_bytes)
            await self.events.put(Put(store_id, None, None, dead_table([letter], store_id, now, proven=origin.proven)))

    def count_refusal(self, store_id: str, refusal: Refused) -> None:
        """Counts a body that could not be taken as a whole."""
        self.stats.count(store_id, {f"refused:{refusal.reason}": 1})

    def _put(self, store: StoreSettings, heard: Heard, origin: Origin) -> Taken:
        store_id, reading, proven, aside, now = heard
        if store.clock == "wall":
            columns, ticks = reading.columns, ()
        else:
            columns, ticks = self._with_ticks(store_id, reading.events)
            shoppers = np.array([event.type != EventType.CLOCK for event in reading.events], dtype=np.bool_)
            proven = np.concatenate([proven[shoppers], np.zeros(len(ticks), dtype=np.bool_)])
        partitions = partitions_of(columns, store_id, self.log.partitions)
        accepted = len(partitions) - len(ticks)
        partitions[accepted:] = np.arange(len(ticks))
        good: Arrived | None = None
        if len(partitions):
            good = Arrived(store_id, table_of(columns, store_id, now, proven, from_shop=origin.from_shop), partitions)
        dead = dead_table(reading.refusals, store_id, now, proven=origin.proven) if reading.refusals else None
        laned: Arrived | None = None
        if good is not None and aside is not None:
            good, laned = parted(good, aside)
            self.stats.count(store_id, {"warned:flooding_visitor": len(laned.partitions)})
        rows = Put(store_id, good, laned, dead)
        durable = self.events.put(rows) if rows.any else None
        return Taken(store_id, reading.outcome, accepted, durable, ticks[-1].occurred_at if ticks else None)

    def _with_ticks(self, store_id: str, events: Sequence[Event]) -> tuple[Columns, Sequence[Event]]:
        """Shoppers' events and, behind them, those that tell each partition the time of an event clock."""
        shoppers = [event for event in events if event.type != EventType.CLOCK]
        ticks = self._ticks(store_id, events, asked=len(shoppers) < len(events))
        return columns_of([*shoppers, *ticks]), ticks

    def _ticks(self, store_id: str, events: Sequence[Event], *, asked: bool) -> Sequence[Event]:
        if not events:
            return ()
        reached = max(event.occurred_at for event in events)
        before = self._ticked.get(store_id)
        if before is not None and reached < before + TICK and not (asked and reached > before):
            return ()
        return [Event(event_id=new_id(), type=EventType.CLOCK, occurred_at=reached) for _ in range(self.log.partitions)]

    async def watch_backlog(self) -> None:
        """Notes whether the processor and the warehouse keep up, from their lag; called every now and then."""
        processor = await self._waiting(STREAM_GROUP, EVENTS_RAW.name)
        if self._overloaded or self._rounds % _LOADER_ROUNDS == 0:
            self._waiting_for_loader = max([await self._held(topic) for topic in _LOADED])
        self._rounds += 1
        waiting = max(processor, self._waiting_for_loader)
        self._overloaded = waiting > self.settings.max_backlog_records

    async def _held(self, topic: str) -> int:
        """Records the log must hold for the warehouse; none where there is no warehouse, or retention decides."""
        return await self._waiting(LOADER_GROUP, topic) if LOADER_GROUP in await self.log.holds_for(topic) else 0

    async def _waiting(self, group: str, topic: str) -> int:
        return sum(lag.waiting for lag in await self.log.lag(group, topic))

    async def housekeep(self) -> None:
        """One round of what happens in the background; an outage only makes it late."""
        try:
            await self.stats.flush()
            await self.watch_backlog()
            await self.lane.tend()
        except Failure as failure:
            log.warning("housekeeping is late", why=failure.detail)
