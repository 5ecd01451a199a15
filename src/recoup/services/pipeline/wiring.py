"""Joins the pipeline's parts into its two processes: the collector answers shops, the processor works on what waits."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from litestar import Router
from litestar.di import Provide

from recoup.kit.clock import SteadyClock
from recoup.kit.errors import Invalid
from recoup.kit.outgoing import Outgoing
from recoup.kit.postgres import Postgres
from recoup.kit.sealing import Sealer, derived_secret
from recoup.kit.service import Check, Consumer, Job, Service, Worker
from recoup.messages.deps import Deps
from recoup.messages.proofs import Proofs
from recoup.messages.topics import (
    EVENTS_DEAD,
    EVENTS_ENRICHED,
    EVENTS_OVERFLOW,
    EVENTS_RAW,
    PARKED_GROUP,
    RECORDS_PARKED,
    ROUTING_GROUP,
)
from recoup.services.pipeline.arrivals.store import Arrivals
from recoup.services.pipeline.carts.store import CartStore
from recoup.services.pipeline.collect import api as collect_api
from recoup.services.pipeline.collect.actions import STREAM_GROUP, Collector
from recoup.services.pipeline.collect.jobs import Reporter
from recoup.services.pipeline.collect.store import EventLog, Stats, Statuses
from recoup.services.pipeline.deadletters import api as deadletters_api
from recoup.services.pipeline.deadletters.actions import Mender, Workbench
from recoup.services.pipeline.deadletters.handlers import Handlers as DeadLetters
from recoup.services.pipeline.deadletters.jobs import Rounds, Sampler
from recoup.services.pipeline.deadletters.store import Store as DeadLetterStore
from recoup.services.pipeline.losses.jobs import Watch
from recoup.services.pipeline.losses.store import LossBook
from recoup.services.pipeline.overflow.actions import Lane
from recoup.services.pipeline.overflow.jobs import Mover
from recoup.services.pipeline.overflow.store import FloodBook
from recoup.services.pipeline.parked import api as parked_api
from recoup.services.pipeline.parked.actions import Returns
from recoup.services.pipeline.parked.handlers import Handlers as ParkedRecords
from recoup.services.pipeline.parked.jobs import Upkeep as ParkedUpkeep
from recoup.services.pipeline.parked.store import Store as ParkedStore
from recoup.services.pipeline.products.store import Products
from recoup.services.pipeline.profiles.jobs import Upkeep as ProfileUpkeep
from recoup.services.pipeline.profiles.store import Archive, Profiles
from recoup.services.pipeline.readiness import api as readiness_api
from recoup.services.pipeline.readiness.actions import Inspector
from recoup.services.pipeline.readiness.handlers import Counting
from recoup.services.pipeline.rebuild.actions import Rebuilding
from recoup.services.pipeline.rebuild.store import RebuildBook
from recoup.services.pipeline.routing import api as routing_api
from recoup.services.pipeline.routing.actions import Desk, RuleBook
from recoup.services.pipeline.routing.handlers import Handlers as Routing
from recoup.services.pipeline.routing.jobs import News, Sender, Upkeep
from recoup.services.pipeline.routing.store.deliveries import DeliveryStore as RoutedDeliveries
from recoup.services.pipeline.routing.store.rules import RuleStore
from recoup.services.pipeline.schemas import api as schemas_api
from recoup.services.pipeline.schemas.actions import Catalogs
from recoup.services.pipeline.schemas.store import SchemaMemory, StoreMemory
from recoup.services.pipeline.segment import api as segment_api
from recoup.services.pipeline.segment.actions import Intake, WriteKeys
from recoup.services.pipeline.segment.store import VisitorCarts
from recoup.services.pipeline.sessions.store import SessionStore
from recoup.services.pipeline.settings import Settings
from recoup.services.pipeline.stream import api as stream_api
from recoup.services.pipeline.stream.domain.rates import Rates
from recoup.services.pipeline.stream.handlers import Processor
from recoup.services.pipeline.stream.store import Identities, SeenEvents, StreamStore
from recoup.services.pipeline.tail import api as tail_api
from recoup.services.pipeline.tail.api import Tail
from recoup.services.pipeline.tail.handlers import Showing, ShowingRefused
from recoup.services.pipeline.tail.store import Watches
from recoup.services.pipeline.webhooks import api as webhooks_api
from recoup.services.pipeline.webhooks.actions import Postroom, SecretRing
from recoup.services.pipeline.webhooks.jobs import Rounds as WebhookRounds
from recoup.services.pipeline.webhooks.store import Deliveries, PrivacyRequests, Secrets

HOUSEKEEPING_SECONDS = 0.2
# Readers of their own: a group's members share partitions, and the stream's group must not be disturbed.
DEAD_LETTER_GROUP = "deadletters"
_GATHER_SECONDS = 1.0


def build_collector(deps: Deps, settings: Settings) -> Service:
    """The doors: HTTP and WebSocket in, durable records out."""
    deps = _steady(deps, settings)
    events = EventLog(deps.log, settings.log_patience_seconds)
    losses = LossBook(deps.valkey)
    stats = Stats(deps.valkey, Arrivals(deps.valkey, deps.clock))
    lane = Lane(deps.log, FloodBook(deps.valkey), deps.clock, settings)
    schemas = _catalogs(deps, settings)
    collector = Collector(events, stats, deps.stores, schemas, Proofs(deps.peers), lane, deps.log, deps.clock, settings)
    given = {
        "collector": collector,
        "stats": stats,
        "stream": StreamStore(deps.valkey),
        "statuses": Statuses(deps.valkey),
        "losses": losses,
        "log": deps.log,
    }
    router = Router(
        "/",
        route_handlers=[collect_api.router(), stream_api.router()],
        dependencies={name: Provide(_constant(value), sync_to_thread=False) for name, value in given.items()},
    )
    postgres = Postgres(deps.postgres_url, "pipeline", settings.dead_letter_connections)
    letters = DeadLetterStore(postgres)
    profiles = ProfileUpkeep(Archive(postgres), deps.clock)
    parked = ParkedStore(postgres)
    workbench = Workbench(letters, collector, deps.stores, deps.clock, settings)
    mender = Mender(letters, workbench, deps.clock)
    rounds = Rounds(letters, workbench, mender, deps.peers, deps.clock, settings)
    reporter = Reporter(deps.member, events, Statuses(deps.valkey), deps.clock)
    foreign = _foreign(deps, settings, collector)
    routing = _routing(deps, settings)
    refused = ShowingRefused(Watches(deps.valkey), deps.clock, _shown_at_once(settings))
    inspector = Inspector(stats.arrivals, foreign.secrets, deps.stores, deps.peers, deps.clock)
    return Service(
        name="pipeline",
        routers=[
            router,
            deadletters_api.router(letters, workbench, mender),
            parked_api.router(parked, Returns(parked, deps.log, deps.clock)),
            readiness_api.router(inspector),
            schemas_api.router(schemas),
            tail_api.router(Tail(Watches(deps.valkey), deps.clock, settings)),
            *foreign.routers,
            routing.router,
        ],
        consumes=[
            Consumer(
                EVENTS_DEAD,
                on_batch=DeadLetters(letters, settings, [refused.note]).on_dead,
                gather_seconds=_GATHER_SECONDS,
                group=DEAD_LETTER_GROUP,
            ),
            Consumer(RECORDS_PARKED, on_messages=ParkedRecords(parked, deps.clock).on_parked, group=PARKED_GROUP),
            routing.consumer,
        ],
        emits=[EVENTS_RAW, EVENTS_OVERFLOW, EVENTS_DEAD, RECORDS_PARKED],
        workers=[
            Worker("commit groups", events.run),
            Worker("losses", Watch(losses, deps.log, events, deps.clock, Path(deps.data) / "valkey-epoch").run),
            Worker("report", _every(settings.status_seconds, reporter.report)),
            Worker("housekeeping", _every(HOUSEKEEPING_SECONDS, collector.housekeep)),
            Worker("dead letters", rounds.run),
            Worker("show refused events", _every(tail_api.PACE_SECONDS, refused.write)),
            Worker("webhooks", foreign.webhooks.run),
            Worker("routed deliveries", routing.sender.run),
            Worker("routing upkeep", routing.upkeep.run),
            Worker("learn", Sampler(deps.log, deps.member, mender, settings).run),
        ],
        jobs=[
            Job("forget-dead-letters", "47 3 * * *", rounds.forget, timedelta(minutes=10)),
            Job(
                "forget-parked",
                "7 4 * * *",
                ParkedUpkeep(parked, deps.log, deps.clock, settings).forget,
                timedelta(minutes=10),
            ),
            Job("forget-webhooks", "53 3 * * *", foreign.webhooks.forget, timedelta(minutes=10)),
            Job("forget-profiles", "3 4 * * *", profiles.forget, timedelta(minutes=10)),
            Job("forget-routed", "57 3 * * *", routing.upkeep.forget, timedelta(minutes=10)),
        ],
        checks=[Check("log", deps.log.ping)],
        on_stop=[
            schemas.close,
            postgres.close,
            foreign.postgres.close,
            routing.postgres.close,
            routing.sender.stop,
            collector.housekeep,
        ],
    )


class _Foreign(NamedTuple):
    """Ways in from other people's software."""

    routers: list[Router]
    webhooks: WebhookRounds
    secrets: Secrets
    postgres: Postgres


def _foreign(deps: Deps, settings: Settings, collector: Collector) -> _Foreign:
    salt = derived_secret(deps.signer.seed, "ids of visitors")
    intake = Intake(collector, VisitorCarts(deps.valkey), deps.clock, salt)
    segment = segment_api.router(intake, WriteKeys(deps.peers))
    postgres = Postgres(deps.postgres_url, "pipeline", settings.webhook_connections)
    ring = SecretRing(Secrets(postgres), Sealer(deps.signer.seed, "webhook secrets"), deps.clock)
    postroom = Postroom(Deliveries(postgres), ring, collector, deps.clock, settings, salt)
    webhooks = webhooks_api.router(postroom, PrivacyRequests(postgres))
    return _Foreign([segment, webhooks], WebhookRounds(postroom), ring.secrets, postgres)


class _Routing(NamedTuple):
    """Ways out: stores' rules and where they lead."""

    router: Router
    consumer: Consumer
    sender: Sender
    upkeep: Upkeep
    postgres: Postgres


def _routing(deps: Deps, settings: Settings) -> _Routing:
    postgres = Postgres(deps.postgres_url, "pipeline", settings.routing_connections)
    rules, deliveries = RuleStore(postgres, settings.routing_versions), RoutedDeliveries(postgres)
    desk = Desk(rules, Sealer(deps.signer.seed, "routing secrets"), deps.log, deps.clock, settings)
    outgoing = Outgoing(
        settings.routing_timeout_seconds, settings.routing_answer_bytes, settings.routing_private_addresses
    )
    news = News()
    routing = Routing(RuleBook(rules, settings), deliveries, deps.log, deps.clock, settings, news)
    return _Routing(
        routing_api.router(desk, deliveries, news),
        Consumer(
            EVENTS_ENRICHED.only("store_id"),
            on_batch=routing.on_enriched,
            gather_seconds=settings.routing_gather_seconds,
            group=ROUTING_GROUP,
            starts=routing.wanted,
        ),
        Sender(deliveries, desk, outgoing, deps.clock, settings, news),
        Upkeep(deliveries, desk, deps.log, deps.peers, deps.clock, settings),
        postgres,
    )


def _rebuilding(deps: Deps, settings: Settings) -> Rebuilding:
    identities, sessions = Identities(deps.valkey, 0), SessionStore(deps.valkey, settings.session_cache)
    return Rebuilding(
        deps.log, RebuildBook(deps.valkey), identities, sessions, deps.stores, deps.clock, settings
    )  # fmt: skip


def _shown_at_once(settings: Settings) -> int:
    return round(settings.tail_events_per_second * tail_api.PACE_SECONDS)


def build_processor(deps: Deps, settings: Settings) -> Service:
    """The stream: raw events in, everything they mean out."""
    deps = _steady(deps, settings)
    pa.set_cpu_count(settings.engine_threads)
    pa.set_io_thread_count(1)
    counting = Counting(Arrivals(deps.valkey, deps.clock))
    showing = Showing(Watches(deps.valkey), deps.clock, _shown_at_once(settings))
    copies = Postgres(deps.postgres_url, "pipeline", settings.profile_connections)
    profiles = Profiles(deps.valkey, Archive(copies), settings.profile_wait_seconds, settings.profile_cache)
    processor = Processor(
        deps.log,
        deps.member,
        StreamStore(deps.valkey),
        SeenEvents(deps.valkey),
        CartStore(deps.valkey, settings.cart_cache),
        Identities(deps.valkey, settings.visitor_cache),
        profiles,
        Products(deps.valkey, settings.product_wait_seconds, settings.product_cache),
        SessionStore(deps.valkey, settings.session_cache),
        deps.stores,
        _catalogs(deps, settings),
        deps.clock,
        settings,
        _rebuilding(deps, settings),
        [counting, showing],
        rates=Rates(settings.risk_events_a_minute, settings.risk_carts_a_minute, settings.risk_orders_a_minute),
        disposable=domains(settings.disposable_domains),
    )
    return Service(
        name="processor",
        reads=[EVENTS_RAW, EVENTS_OVERFLOW],
        emits=[EVENTS_ENRICHED, EVENTS_DEAD, EVENTS_RAW],
        workers=[
            Worker("stream", processor.run),
            Worker("overflow", Mover(deps.log, deps.member, STREAM_GROUP, settings).run),
            Worker("report", _every(settings.status_seconds, processor.report)),
            Worker("copy profiles", _every(settings.profile_copy_seconds, profiles.copy)),
            Worker("count arrivals", _every(settings.status_seconds, counting.write)),
            Worker("show events", _every(tail_api.PACE_SECONDS, showing.write)),
        ],
        checks=[Check("log", deps.log.ping)],
        on_stop=[copies.close],
    )


def _catalogs(deps: Deps, settings: Settings) -> Catalogs:
    deps.stores.memory = StoreMemory(deps.valkey)
    return Catalogs(
        deps.peers,
        deps.stores,
        settings.schema_wait_seconds,
        settings.schema_pause_seconds,
        settings.schema_checks,
        SchemaMemory(deps.valkey, settings.schema_memory_bytes),
    )


def domains(path: str) -> frozenset[str]:
    """The domains in a file, one a line, `#` begins a remark; raises Invalid for a file that cannot be read."""
    if not path:
        return frozenset()
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"disposable_domains: {path!r} cannot be read: {error}") from error
    return frozenset(name for line in lines if (name := line.partition("#")[0].strip().strip(".").lower()))


def _steady(deps: Deps, settings: Settings) -> Deps:
    """Time that does not leap: carts would be abandoned by it, and ids forgotten."""
    return replace(deps, clock=SteadyClock(deps.clock, timedelta(minutes=settings.clock_leap_minutes)))


def _constant(value: object) -> Callable[[], object]:
    return lambda: value


def _every(seconds: float, act: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def loop() -> None:
        while True:
            await asyncio.sleep(seconds)
            await act()

    return loop
