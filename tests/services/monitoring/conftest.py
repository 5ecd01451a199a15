"""Monitoring on real engines: its database, the log it signals on, and its doors."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar

from recoup.kit.clock import ManualClock, SystemClock
from recoup.kit.config import new_secret
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.log.open import open_log
from recoup.kit.log.port import Log
from recoup.kit.migrate import migrate
from recoup.kit.peers import Peers, TokenSource
from recoup.kit.runner import Publisher
from recoup.kit.service import Service
from recoup.kit.tokens import Signer, Verifier
from recoup.kit.valkey import connect
from recoup.messages.access import Permission, Principal, service_principal
from recoup.messages.deps import Deps
from recoup.messages.stores import StoreConfigured, StoreDirectory, StoreSettings
from recoup.services.monitoring.settings import Settings
from recoup.services.monitoring.wiring import build

SEED = new_secret()
READER = Principal(
    subject="ada", kind="person", stores={"shop": [Permission.MONITORING_READ, Permission.MONITORING_WRITE]}
)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """The service as it would be run, with a clock that we move."""

    deps: Deps
    clock: ManualClock
    service: Service

    def app(self) -> Litestar:
        return create_app(self.service, HttpSettings(), Verifier(SEED, Principal, SystemClock()).verify)

    def client(self) -> httpx.AsyncClient:
        """Asks the service as `READER`, who may read and write in store `shop`."""
        transport = httpx.ASGITransport(cast("Any", self.app()), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://monitoring", headers=self.token(READER))

    def token(self, principal: Principal) -> dict[str, str]:
        return {"X-Recoup-Identity": self.deps.signer.sign(principal)}


@pytest.fixture
async def log(valkey_url: str) -> AsyncIterator[Log]:
    """Empty for every test."""
    client = connect(valkey_url)
    await client.flushall()
    log = open_log(valkey_url, 8, valkey_url)
    yield log
    await log.close()
    await client.aclose()


@pytest.fixture
async def world(database: str, valkey_url: str, log: Log, tmp_path: Path) -> AsyncIterator[World]:
    await migrate(database, ["monitoring"])
    clock = ManualClock(NOON)
    signer = Signer(SEED, SystemClock(), timedelta(minutes=5))
    peers = Peers({}, TokenSource(lambda: signer.sign(service_principal("monitoring")), 60))
    deps = Deps(
        member=f"monitoring-{uuid4()}",
        postgres_url=database,
        warehouse_url="unused",
        valkey=connect(valkey_url),
        log=log,
        publish=Publisher(log),
        clock=clock,
        peers=peers,
        stores=StoreDirectory(peers),
        signer=signer,
        public_url="http://unused",
        data=str(tmp_path),
    )
    service = build(deps, Settings())
    await deps.stores.on_configured(
        [
            StoreConfigured(store_id="shop", version=1, settings=StoreSettings()),
            StoreConfigured(store_id="replay", version=1, settings=StoreSettings(clock="event")),
        ]
    )
    yield World(deps, clock, service)
    for stop in reversed(service.on_stop):
        await stop()
    await peers.close()
    await deps.valkey.aclose()
