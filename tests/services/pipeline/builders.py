"""Events, limits and a running pipeline for tests; each states only what the test is about."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pyarrow as pa

from recoup.kit.clock import ManualClock
from recoup.kit.log import arrow
from recoup.kit.log.port import Log, Reader
from recoup.kit.log.valkey_streams import ValkeyLog
from recoup.kit.peers import Peers, TokenSource
from recoup.kit.postgres import Postgres
from recoup.kit.process import finish
from recoup.kit.valkey import Valkey, connect
from recoup.messages.events import ENRICHED, Event
from recoup.messages.proofs import Proofs
from recoup.messages.stores import Asks, StoreConfigured, StoreDirectory, StoreSettings
from recoup.messages.topics import EVENTS_ENRICHED
from recoup.services.pipeline.arrivals.store import Arrivals
from recoup.services.pipeline.carts.store import CartStore
from recoup.services.pipeline.collect.actions import Collector
from recoup.services.pipeline.collect.domain.limits import Limits, limits_of
from recoup.services.pipeline.collect.domain.origin import PAGE, Origin
from recoup.services.pipeline.collect.domain.reading import Form, Outcome
from recoup.services.pipeline.collect.store import EventLog, Stats
from recoup.services.pipeline.overflow.actions import Lane
from recoup.services.pipeline.overflow.store import FloodBook
from recoup.services.pipeline.products.store import Products
from recoup.services.pipeline.profiles.store import Archive, Profiles
from recoup.services.pipeline.rebuild.actions import Rebuilding
from recoup.services.pipeline.rebuild.store import RebuildBook
from recoup.services.pipeline.schemas.actions import Catalogs
from recoup.services.pipeline.schemas.store import SchemaMemory
from recoup.services.pipeline.sessions.store import SessionStore
from recoup.services.pipeline.settings import Settings
from recoup.services.pipeline.stream.domain.rates import Rates
from recoup.services.pipeline.stream.handlers import Processor
from recoup.services.pipeline.stream.store import Identities, SeenEvents, StreamStore

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SHOP = "shop-a"
NO_DATABASE = "postgresql://nobody@localhost/nothing?host=/nowhere"


def event(**fields: object) -> dict[str, object]:
    """A page view at noon, unless `fields` say otherwise; `at` is in minutes after noon."""
    minutes = fields.pop("at", 0)
    assert isinstance(minutes, int | float)
    return {
        "event_id": str(uuid4()),
        "type": "page_viewed",
        "occurred_at": (NOON + timedelta(minutes=minutes)).isoformat(),
        "anonymous_id": "visitor",
        **fields,
    }


def added(cart: str = "cart", product: str = "mug", price: int = 1_000, **fields: object) -> dict[str, object]:
    return event(
        type="product_added", cart_id=cart, items=[{"product_id": product, "quantity": 1, "price": price}], **fields
    )


def ordered(cart: str = "cart", **fields: object) -> dict[str, object]:
    return event(type="order_completed", cart_id=cart, order_id=f"order-{uuid4()}", amount=1_000, **fields)


def limits(**changes: object) -> Limits:
    usual = limits_of(SHOP, StoreSettings(), Settings(max_properties_bytes=1_000), NOON)
    return dataclasses.replace(usual, **changes)


@dataclass
class Pipeline:
    """Collector and processor on a real log, and what comes out at the end."""

    log: Log
    collector: Collector
    processor: Processor
    stats: Stats
    clock: ManualClock
    reader: Reader

    async def send(self, *events: Event | dict[str, object], store: str = SHOP, origin: Origin = PAGE) -> Outcome:
        return await self.collector.accept(store, msgspec.json.encode(events), Form.ARRAY, origin)

    async def enriched(self, count: int) -> list[dict[str, object]]:
        """The next `count` rows of the enriched topic or a few more, clock rows left out."""
        rows: list[dict[str, object]] = []
        async with asyncio.timeout(180):
            while len(rows) < count:
                records = await self.reader.read(wait_seconds=0.2, limit=1_000)
                await self.reader.commit({(record.topic, record.partition): record.offset for record in records})
                table: pa.Table = arrow.joined([record.value for record in records], ENRICHED)[0]
                rows += [row for row in table.to_pylist() if row["type"] != "clock"]
        return rows


@asynccontextmanager
async def pipeline(
    url: str,
    *,
    clock: str = "wall",
    settings: Settings | None = None,
    keep: bool = False,
    registry: Asks | None = None,
    database: str = NO_DATABASE,
    disposable: frozenset[str] = frozenset(),
) -> AsyncGenerator[Pipeline]:
    """A pipeline for one shop whose clock is `clock`, on an empty Valkey unless told to keep what is there."""
    valkey: Valkey = connect(url)
    if not keep:
        await valkey.flushdb()
    manual = ManualClock(NOON)
    log = ValkeyLog(url, 4)
    nobody = Peers({}, TokenSource(str, 60))
    stores = StoreDirectory(nobody, lifetime=timedelta(days=1))
    chosen = msgspec.convert({"clock": clock}, StoreSettings)
    await stores.on_configured([StoreConfigured(store_id=SHOP, version=1, settings=chosen)])
    used = settings or Settings()
    events, stats = EventLog(log, used.log_patience_seconds), Stats(valkey, Arrivals(valkey, manual))
    lane = Lane(log, FloodBook(valkey), manual, used)
    memory = SchemaMemory(valkey, used.schema_memory_bytes)
    schemas = Catalogs(
        registry or nobody, stores, used.schema_wait_seconds, used.schema_pause_seconds, used.schema_checks, memory
    )
    collector = Collector(events, stats, stores, schemas, Proofs(nobody), lane, log, manual, used)
    postgres = Postgres(database, "pipeline", 2)
    processor = Processor(
        log,
        "test-processor",
        StreamStore(valkey),
        SeenEvents(valkey),
        CartStore(valkey, used.cart_cache),
        Identities(valkey, used.visitor_cache),
        Profiles(valkey, Archive(postgres), used.profile_wait_seconds, used.profile_cache),
        Products(valkey, used.product_wait_seconds, used.product_cache),
        SessionStore(valkey, used.session_cache),
        stores,
        schemas,
        manual,
        used,
        Rebuilding(log, RebuildBook(valkey), Identities(valkey, 0), SessionStore(valkey, 1000), stores, manual, used),
        rates=Rates(used.risk_events_a_minute, used.risk_carts_a_minute, used.risk_orders_a_minute),
        disposable=disposable,
    )
    await log.register("test", [EVENTS_ENRICHED.name])
    reader = log.reader("test", "test", [EVENTS_ENRICHED.name])
    tasks = [asyncio.create_task(events.run()), asyncio.create_task(processor.run())]
    try:
        yield Pipeline(log, collector, processor, stats, manual, reader)
    finally:
        await finish(tasks)
        await postgres.close()
        await reader.close()
        await log.close()
        await valkey.aclose()
