"""The warehouse is away: the service says so in its own words, waits, and loads everything once it is back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from tests.services.intelligence.builders import NOON, SHOP, event, record
from tests.services.intelligence.conftest import Engines
from tests.services.intelligence.test_api import Platform
from tests.services.intelligence.test_loader import count, load, waiting

from recoup.kit.clock import ManualClock, SystemClock
from recoup.kit.config import new_secret
from recoup.kit.errors import Unavailable
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.peers import IDENTITY_HEADER, Peers
from recoup.kit.ports import free_port
from recoup.kit.runner import Publisher
from recoup.kit.service import Service
from recoup.kit.tokens import Signer, Verifier
from recoup.kit.warehouse import Warehouse
from recoup.messages.access import GRANTS, Principal, Role
from recoup.messages.deps import Deps
from recoup.messages.stores import StoreDirectory
from recoup.messages.topics import EVENTS_ENRICHED
from recoup.services.intelligence.settings import Settings
from recoup.services.intelligence.warehouse.actions import Tables
from recoup.services.intelligence.warehouse.handlers import GROUP, TARGETS, Loader
from recoup.services.intelligence.warehouse.store import Store, migrate
from recoup.services.intelligence.wiring import build

OWNER = Principal(subject="o", kind="person", stores={SHOP: sorted(GRANTS[Role.OWNER])})


def nowhere() -> str:
    """An address that refuses connections."""
    return f"http://127.0.0.1:{free_port()}"


@asynccontextmanager
async def mute() -> AsyncGenerator[str]:
    """An address that takes connections and never says a word."""

    async def take(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.fixture
def deps(engines: Engines, tmp_path: Path) -> Deps:
    peers = cast("Peers", Platform())
    return Deps(
        member="one", postgres_url="", warehouse_url=nowhere(), valkey=engines.valkey, log=engines.log,
        publish=Publisher(engines.log), clock=ManualClock(NOON), peers=peers, stores=StoreDirectory(peers),
        signer=Signer(new_secret(), SystemClock(), timedelta(minutes=5)), public_url="", data=str(tmp_path),
    )  # fmt: skip


@asynccontextmanager
async def started(deps: Deps) -> AsyncGenerator[tuple[Service, httpx.AsyncClient]]:
    """The service as a process starts it, and a caller who may ask for anything."""
    service = build(deps, Settings())
    for start in service.on_start:
        await start()
    app = create_app(service, HttpSettings(), Verifier(deps.signer.seed, Principal, SystemClock()).verify)
    headers = {IDENTITY_HEADER: deps.signer.sign(OWNER)}
    door = httpx.ASGITransport(cast("Any", app))
    async with httpx.AsyncClient(transport=door, base_url="http://i", headers=headers) as client:
        yield service, client
    for stop in service.on_stop:
        await stop()


async def test_a_service_without_its_warehouse_starts_and_says_which_engine_is_away(deps: Deps):
    async with started(deps) as (_, client):
        assert (await client.get("/health")).status_code == 200
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["checks"]) == (
            503,
            {"warehouse": "the warehouse does not answer", "log": "ok"},
        )
        for path in ("/analytics/overview", "/analytics/revenue", "/analytics/live", "/carts", "/carts/a"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), path
            assert answer.json()["detail"] == "the warehouse does not answer"
            assert answer.headers["Retry-After"] == "1"


async def test_a_warehouse_that_never_answers_counts_as_away():
    async with mute() as url:
        warehouse = Warehouse(url, patience_seconds=1)
        with pytest.raises(Unavailable, match="the warehouse does not answer"):
            await warehouse.ping()
        await warehouse.close()


async def test_the_log_keeps_for_the_loader_what_comes_while_the_warehouse_is_away(deps: Deps):
    async with started(deps) as (service, _):
        (worker,) = [asyncio.ensure_future(each.run()) for each in service.workers]
        await deps.log.append(EVENTS_ENRICHED.name, [record(0, [event(1)])])
        async with asyncio.timeout(60):
            while sum(lag.waiting for lag in await deps.log.lag(GROUP, EVENTS_ENRICHED.name)) != 1:
                await asyncio.sleep(0.02)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


async def test_nothing_is_lost_or_doubled_by_tries_while_it_is_away(engines: Engines, tmp_path: Path):
    warehouse = Warehouse(nowhere(), patience_seconds=1)
    settings = Settings(gather_seconds=0, idle_gather_seconds=0)
    loader = Loader(Store(warehouse, engines.valkey, "one"), engines.log, Publisher(engines.log), "one", settings)
    await engines.log.register(GROUP, list(TARGETS))
    reader = engines.log.reader(GROUP, loader.member, list(TARGETS))
    async with mute() as silence:
        for turn, url in enumerate((nowhere(), silence, nowhere())):
            warehouse.url = url
            await engines.log.append(EVENTS_ENRICHED.name, [record(turn, [event(2 * turn), event(2 * turn + 1)])])
            await loader.turn(reader)
    assert await waiting(loader) == 3
    await reader.close()

    warehouse.url = f"chdb://{tmp_path}/late"
    await migrate(warehouse, SystemClock())
    await load(loader)
    assert await waiting(loader) == 0
    assert await count(loader.store, "events_processed") == 6
    assert await count(loader.store, "events_processed", "uniqExact(event_id)") == 6
    await warehouse.close()


async def test_tables_are_made_when_the_warehouse_comes(tmp_path: Path):
    warehouse = Warehouse(nowhere())
    tables = Tables(lambda: migrate(warehouse, SystemClock()), warehouse.ping)
    await tables.begin()
    with pytest.raises(Unavailable):
        await tables.ping()
    warehouse.url = f"chdb://{tmp_path}/late"
    with pytest.raises(Unavailable, match="not made yet"):
        await tables.ping()
    async with asyncio.timeout(60):
        await tables.wait()
    await tables.ping()
    await warehouse.close()
