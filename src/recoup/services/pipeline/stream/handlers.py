"""The processor's loop: read what waits, gather what the steps need, take them, commit together."""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from recoup.kit.clock import Clock, milliseconds, stopwatch
from recoup.kit.errors import Failure
from recoup.kit.log import arrow
from recoup.kit.log.port import Fenced, Log, Outgoing, Pipeline, Reader, Record
from recoup.kit.metrics import Counter as MetricCounter
from recoup.kit.metrics import Histogram
from recoup.kit.pace import Pace, percentile
from recoup.kit.runner import as_outgoing, parked, parking_topic
from recoup.kit.telemetry import logger, traced
from recoup.messages.events import EventType
from recoup.messages.stores import StoreDirectory, StoreSettings
from recoup.messages.topics import EVENTS_DEAD, EVENTS_ENRICHED, EVENTS_OVERFLOW, EVENTS_RAW
from recoup.services.pipeline.carts.store import CartStore
from recoup.services.pipeline.collect.actions import STREAM_GROUP
from recoup.services.pipeline.products.domain import mentions_of
from recoup.services.pipeline.products.store import Products
from recoup.services.pipeline.profiles.store import Profiles
from recoup.services.pipeline.schemas.actions import Catalogs
from recoup.services.pipeline.sessions.store import SessionStore
from recoup.services.pipeline.settings import Settings
from recoup.services.pipeline.stream.actions import (
    Taken,
    consult,
    part_of,
    received,
    rest_of,
    settings_of,
    taken,
)
from recoup.services.pipeline.stream.domain.agents import Agents, rules
from recoup.services.pipeline.stream.domain.goods import told_of
from recoup.services.pipeline.stream.domain.identities import name, unnamed
from recoup.services.pipeline.stream.domain.people import changes_of
from recoup.services.pipeline.stream.domain.rates import Rates
from recoup.services.pipeline.stream.domain.routing import route
from recoup.services.pipeline.stream.domain.steps import STEPS
from recoup.services.pipeline.stream.domain.suspects import Portion, Suspects
from recoup.services.pipeline.stream.domain.work import Known, Parts, Work, clock_domain, ids_by_store, numbers
from recoup.services.pipeline.stream.store import (
    Identities,
    ProcessorStatus,
    SeenEvents,
    StageStatus,
    StreamStore,
    count,
    set_clocks,
)

log = logger(__name__)

STAGE_SECONDS: Final = Histogram(
    "pipeline_stage_duration_seconds",
    "Time one step spent on one batch",
    ["stage"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
)
DELAY: Final = Histogram(
    "pipeline_delay_seconds",
    "From received to enriched, of the oldest event of each batch",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30),
)
EVENTS: Final = MetricCounter("pipeline_events_total", "Events by what became of them", ["outcome"])
TIMER_PAUSE_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 0.5
_RECENT: Final = 200
_CLOCK: Final = frozenset({EventType.CLOCK.value})


def _observe(stage: str, seconds: float) -> None:
    STAGE_SECONDS.labels(stage).observe(seconds)


class Watcher(Protocol):
    """Looks at a batch after its effects have taken place, and holds nothing up."""

    def note(self, work: Work, known: Known) -> None: ...


class Rebuilds(Protocol):
    """Brings back what belonged to partitions whose state is gone."""

    async def rebuild(self, reader: Reader) -> bool:
        """Whether anything was gone; it is there again, as a reader before this one might have left it."""
        ...


@dataclass(slots=True)
class Processor:
    """Takes batches from the raw topic to their effects."""

    log: Log
    member: str
    store: StreamStore
    seen: SeenEvents
    carts: CartStore
    identities: Identities
    profiles: Profiles
    products: Products
    sessions: SessionStore
    stores: StoreDirectory
    schemas: Catalogs
    clock: Clock
    settings: Settings
    rebuilding: Rebuilds
    watchers: Sequence[Watcher] = ()
    pace: Pace = field(default_factory=lambda: Pace(_observe))
    delays: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    agents: Agents = field(default_factory=Agents)
    rates: Rates = field(default_factory=Rates)
    disposable: frozenset[str] = frozenset()
    suspects: Suspects[Record] = field(default_factory=Suspects[Record])
    _clocks: dict[tuple[int, str], int] = field(default_factory=dict)
    _owned: frozenset[int] = frozenset()
    _rang_at: float = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        reader = self.log.reader(STREAM_GROUP, self.member, [EVENTS_RAW.name])
        try:
            # Reading the rules takes longer than an event should wait.
            await asyncio.to_thread(rules)
            await self._register()
            while True:
                await self._turn(reader)
        finally:
            await self.profiles.close()
            await self.products.close()
            await self.schemas.close()
            await reader.close()

    async def _register(self) -> None:
        while True:
            try:
                return await self.log.register(STREAM_GROUP, [EVENTS_RAW.name])
            except Failure as failure:
                log.warning("trying again", why=failure.detail)
                await asyncio.sleep(RETRY_SECONDS)

    async def _turn(self, reader: Reader) -> None:
        try:
            records = await reader.read(wait_seconds=TIMER_PAUSE_SECONDS, limit=self.settings.read_records)
            await self._take_over(reader)
            if records or stopwatch() - self._rang_at >= TIMER_PAUSE_SECONDS:
                await self._attempt(reader, records)
        except Fenced as fenced:
            log.warning("fenced", why=fenced.detail)
            await self._start_over(reader)
        except Failure as failure:
            log.warning("trying again", why=failure.detail)
            await self._start_over(reader)
            await asyncio.sleep(RETRY_SECONDS)

    async def _attempt(self, reader: Reader, records: Sequence[Record]) -> None:
        """Works on records. What is no outage is the fault of one of them, which taking them one by one finds out."""
        for portion in self.suspects.portions(records):
            try:
                await self._process(reader, portion)
            except Failure:
                raise
            except Exception as error:
                if not portion.records:
                    raise
                log.error("batch failed", records=len(portion.records), why=repr(error), exc_info=portion.rows is None)  # noqa: TRY400
                self.suspects.failed(portion, error, arrow.rows_in(portion.records[0].value))
                await self._start_over(reader)
                return await asyncio.sleep(RETRY_SECONDS)
            self.suspects.passed(portion)
        return None

    async def _start_over(self, reader: Reader) -> None:
        """Forgets everything that was not committed."""
        self._owned = frozenset()
        await reader.rewind()

    async def _take_over(self, reader: Reader) -> None:
        """Loads what belongs to partitions that are newly ours."""
        owned = reader.owned()
        if owned == self._owned:
            return
        if await self.rebuilding.rebuild(reader):
            self.seen.forget()
        await self.carts.take_over(owned)
        self.sessions.forget()
        await self.seen.catch_up(owned, self.clock.now())
        self._clocks = await self.store.clocks(owned)
        self._owned = owned
        log.info("partitions", owned=sorted(owned))

    async def _process(self, reader: Reader, portion: Portion[Record]) -> None:
        records = portion.records
        parent = next((record.headers["traceparent"] for record in records if "traceparent" in record.headers), None)
        with traced("pipeline batch", parent):
            with self.pace.stage("read"):
                batch = self._taken(portion)
            work = batch.work
            with self.pace.stage("gather"):
                known = await self._known(work, drained=len(records) < self.settings.read_records)
            for step in STEPS:
                if step is route:
                    await self._name(work, known)
                with self.pace.stage(step.__name__):
                    step(work, known)
            with self.pace.stage("commit"):
                await self._commit(reader, batch, known)
        self._note(batch)
        for watcher in self.watchers:
            watcher.note(work, known)

    def _taken(self, portion: Portion[Record]) -> Taken:
        if portion.rows is None:
            return taken(portion.records)
        [record] = portion.records
        if portion.ends:
            return rest_of(record, self.suspects.condemned(portion))
        return part_of(record, portion.rows)

    async def _known(self, work: Work, *, drained: bool) -> Known:
        now = self.clock.now()
        stores = {store_id: await settings_of(self.stores, store_id) for store_id in work.store_names}
        reached = self._reached(work, stores, milliseconds(now), drained=drained)
        due = await self.carts.due(reached)
        self._rang_at = stopwatch()
        slots = await self.carts.locate([*work.carts, *due])
        ringing = slots[len(work.carts) :]
        for store_id in {self.carts.table.keys[slot].store_id for slot in ringing.tolist()} - stores.keys():
            stores[store_id] = await settings_of(self.stores, store_id)
        work.ids = self.seen.apart(work.ids, work.store_codes, work.store_names)
        seen = self.seen.seen(work.ids, now)
        profiles = await self.profiles.find(work.users.names, now)
        work.mentions = mentions_of(work.rows, work.store_codes, work.store_names, self.products.has_facts)
        products = await self.products.find(work.mentions.products, now)
        session_slots = await self.sessions.locate(work.sessions, now)
        catalogs = await consult(self.schemas, work, stores)
        return Known(
            seen=seen, stores=stores, carts=self.carts.table, slots=slots[: len(work.carts)], due=ringing,
            reached=self._remembered(stores) | reached, now=now, agents=self.agents, catalogs=catalogs,
            profiles=profiles, products=products, sessions=self.sessions.table, session_slots=session_slots,
            rates=self.rates, disposable=self.disposable,
        )  # fmt: skip

    async def _name(self, work: Work, known: Known) -> None:
        """Asks for users only where something became true of a visitor's cart: few batches pay for the trip."""
        if visitors := unnamed(work):
            name(work, await self.identities.users(visitors, known.now))

    def _reached(
        self, work: Work, stores: Mapping[str, StoreSettings], now: int, *, drained: bool
    ) -> dict[tuple[int, str], int]:
        """How late it is: on each store's own clock where rows moved it, and on the wall's."""
        reached: dict[tuple[int, str], int] = {}
        for row in np.flatnonzero(work.of_types(_CLOCK)).tolist():
            store_id = work.store_names[work.store_codes[row]]
            at = (int(work.partitions[row]), clock_domain(store_id, stores[store_id]))
            reached[at] = max(reached.get(at, self._clocks.get(at, 0)), int(work.occurred[row]))
        # Behind a backlog the wall says nothing about carts whose events still wait.
        wall = now if drained or not len(work.rows) else int(numbers(work.rows.column("received_at"))[-1])
        return reached | {(partition, ""): wall for partition in self._owned}

    def _remembered(self, stores: Mapping[str, StoreSettings]) -> dict[tuple[int, str], int]:
        """Times reached before: a batch without a clock row is no earlier than the one before it."""
        own = [store_id for store_id, store in stores.items() if clock_domain(store_id, store)]
        pairs = [(partition, store_id) for partition in self._owned for store_id in own]
        return {at: self._clocks[at] for at in pairs if at in self._clocks}

    async def _commit(self, reader: Reader, batch: Taken, known: Known) -> None:
        work = batch.work
        outputs = {
            topic.name: _records(parts)
            for topic, parts in ((EVENTS_ENRICHED, work.enriched), (EVENTS_DEAD, work.dead_letters))
            if parts is not None
        }
        if batch.aside:
            outputs[parking_topic().name] = self._parked(batch)
        moved = {at: time for at, time in known.reached.items() if at[1] and time > self._clocks.get(at, 0)}
        claimed = work.kept & ~work.of_types(_CLOCK)
        claims = ids_by_store(work, claimed)
        counts, last = _counts(work, known)
        profiles = changes_of(work, known)
        products = self.products.news(told_of(work, known))

        def effects(pipe: Pipeline) -> None:
            self.seen.claim(pipe, claims, known.now)
            self.carts.save(pipe, work.changes.changed, work.changes.touched, work.changes.gone)
            self.carts.set_timers(pipe, work.changes.timers)
            self.identities.link(pipe, work.links, known.now)
            self.profiles.save(pipe, profiles)
            self.products.save(pipe, products, known.now)
            self.sessions.save(pipe, work.sessions_begun, work.sessions_viewed, known.now)
            set_clocks(pipe, moved)
            count(pipe, counts, last)

        positions = {(record.topic, record.partition): record.offset for record in batch.records}
        if positions or outputs or work.changes.timers or work.changes.gone or work.changes.changed:
            await reader.commit(positions, outputs, effects)
            self.carts.settle()
            self.profiles.settle(profiles)
            self.products.settle(products)
            self.sessions.settle(known.now)
            self.identities.settle()
            self.seen.remember(work.ids[claimed], claims, known.now)
        self._clocks |= moved

    def _parked(self, batch: Taken) -> list[Outgoing]:
        aside = [parked(STREAM_GROUP, record, reason) for record, reason in batch.aside]
        return as_outgoing(parking_topic(), aside, self.log.partitions)

    def _note(self, batch: Taken) -> None:
        work = batch.work
        if not len(work.rows):
            return
        kept = int(work.kept.sum())
        self.pace.count(len(work.rows))
        since = received(batch)
        if len(since):
            delay = max(0, milliseconds(self.clock.now()) - int(since.min()))
            self.delays.append(delay)
            DELAY.observe(delay / 1000)
        EVENTS.labels("enriched").inc(kept)
        EVENTS.labels("duplicate").inc(int(work.duplicates.sum()))
        EVENTS.labels("dead").inc(len(work.dead))

    async def report(self) -> None:
        """Says how it goes and lets go of what every group has read; an outage only makes it late."""
        try:
            await self.store.write_status(self._status())
            for topic in (EVENTS_RAW, EVENTS_OVERFLOW, EVENTS_ENRICHED, EVENTS_DEAD):
                await self.log.trim(topic.name, keep_seconds=self.settings.keep_seconds)
        except Failure as failure:
            log.warning("report is late", why=failure.detail)

    def _status(self) -> ProcessorStatus:
        pace, rate = self.pace, self.pace.per_second()
        slow = pace.milliseconds(99)
        return ProcessorStatus(
            member=self.member, at=self.clock.now(), partitions=sorted(self._owned), events=pace.events,
            batches=pace.batches, events_per_second=rate, errors=pace.failures.total(),
            delay_p50_ms=percentile(self.delays, 50), delay_p99_ms=percentile(self.delays, 99),
            stages=[
                StageStatus(
                    stage=name, events=pace.events, events_per_second=rate, errors=pace.failures[name],
                    milliseconds_p50=usual, milliseconds_p99=slow[name],
                )
                for name, usual in pace.milliseconds(50).items()
            ],
        )  # fmt: skip


def _records(parts: Parts) -> list[Outgoing]:
    """One record a partition."""
    values = arrow.encode_parts(parts.table, parts.spans)
    return [Outgoing(partition, value) for partition, value in zip(parts.partitions, values, strict=True)]


def _counts(work: Work, known: Known) -> tuple[dict[str, Counter[str]], dict[str, int]]:
    """Counts by store for `GET /events/stats`, and when each was last heard of (ms)."""
    counts: dict[str, Counter[str]] = {}
    clock = work.of_types(_CLOCK)
    for code, store_id in enumerate(work.store_names):
        mine = work.store_codes == code
        counts[store_id] = Counter(
            unique=int((mine & work.kept & ~clock).sum()), duplicates=int((mine & work.duplicates).sum())
        )
    for dead in work.dead:
        counts[work.store_names[work.store_codes[dead.row]]][f"dead:{dead.kind}"] += 1
    for (store_id, what), rows in work.warned.items():
        counts[store_id][f"warned:{what}"] += rows
    return counts, dict.fromkeys(counts, milliseconds(known.now))
