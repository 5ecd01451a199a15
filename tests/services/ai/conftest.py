"""Builders for the ai service's tests: enriched rows, log records of them, and stores that need no platform."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pyarrow as pa
import pytest

from recoup.kit.clock import ManualClock, SystemClock
from recoup.kit.config import new_secret
from recoup.kit.errors import Missing
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.log import arrow
from recoup.kit.log.open import open_log
from recoup.kit.log.port import Record
from recoup.kit.migrate import migrate
from recoup.kit.peers import IDENTITY_HEADER
from recoup.kit.runner import Publisher, decoded
from recoup.kit.service import Batch, Service
from recoup.kit.tokens import Signer, Verifier
from recoup.kit.valkey import Valkey, connect
from recoup.messages.access import GRANTS, Principal, Role
from recoup.messages.deps import Deps
from recoup.messages.events import ENRICHED
from recoup.messages.stores import StoreConfigured, StoreDirectory, StoreSettings
from recoup.services.ai.settings import Settings
from recoup.services.ai.wiring import build as build_service

OUTCOMES = pa.schema([
    ("prediction_id", pa.string()), ("store_id", pa.string()), ("cart_id", pa.string()), ("cart_number", pa.int64()),
    ("occurred_at", pa.timestamp("ms", "UTC")), ("features", pa.string()), ("outcome", pa.string()),
    ("converted", pa.int8()), ("order_amount", pa.int64()),
])  # fmt: skip
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def row(type_: str, minute: float, **more: Any) -> dict[str, Any]:
    """An enriched row of cart c1 in store s1, `minute` minutes after noon."""
    given = {"store_id": "s1", "cart_id": "c1", "session_id": "v1", "anonymous_id": "a1", "event_id": uuid4().bytes}
    return given | {"type": type_, "occurred_at": NOON + timedelta(milliseconds=round(minute * 60_000))} | more


def record(rows: Sequence[dict[str, Any]], offset: int, partition: int = 0) -> Record:
    table = pa.Table.from_pylist(list(rows), schema=ENRICHED)
    return Record("cart-events-enriched", partition, offset, arrow.encode(table), {})


def batch(*records: Record) -> Batch:
    return decoded(records, ENRICHED)


class Sisters:
    """Stands where the platform and intelligence would: the settings of s1 and s2, and what became of their carts."""

    def __init__(self) -> None:
        self.outcomes: dict[str, pa.Table] = {}

    async def get_bytes(self, service: str, path: str, params: Mapping[str, str]) -> bytes:
        assert (service, path) == ("intelligence", "/training/carts")
        table = self.outcomes.get(params["store_id"], OUTCOMES.empty_table())
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue().to_pybytes()

    async def get(self, _service: str, path: str, kind: type, _params: object = None) -> object:
        store_id = path.rsplit("/", 1)[1]
        if path == "/internal/stores":
            return [StoreConfigured(store_id=name, version=1, settings=StoreSettings()) for name in ("s1", "s2")]
        if store_id not in {"s1", "s2"}:
            raise Missing(f"no store {store_id!r}")
        return msgspec.convert(StoreConfigured(store_id=store_id, version=1, settings=StoreSettings()), kind)


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Valkey]:
    client = connect(valkey_url)
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
def sisters() -> Sisters:
    return Sisters()


@pytest.fixture
async def deps(valkey: Valkey, valkey_url: str, database: str, tmp_path, sisters: Sisters) -> AsyncIterator[Deps]:
    seed, log, peers = new_secret(), open_log(valkey_url, 8, valkey_url), sisters
    clock = ManualClock(NOON + timedelta(hours=1))
    yield Deps(
        member="ai-0",
        postgres_url=database,
        warehouse_url="",
        valkey=valkey,
        log=log,
        publish=Publisher(log),
        clock=clock,
        peers=peers,  # pyright: ignore[reportArgumentType] - a stand-in for the platform's one route
        stores=StoreDirectory(peers),  # pyright: ignore[reportArgumentType]
        signer=Signer(seed, SystemClock(), timedelta(minutes=5)),
        public_url="http://test",
        data=str(tmp_path),
    )
    await log.close()


@pytest.fixture
def build() -> SimpleNamespace:
    return SimpleNamespace(row=row, record=record, batch=batch, noon=NOON, outcomes=OUTCOMES)


@pytest.fixture
async def service(deps: Deps) -> AsyncIterator[Service]:
    await migrate(deps.postgres_url, ["ai"])
    built = build_service(deps, Settings(registry_seconds=0.05))
    yield built
    for stop in built.on_stop:
        await stop()


@pytest.fixture
async def client(service: Service, deps: Deps) -> AsyncIterator[httpx.AsyncClient]:
    """The service's real HTTP face, asked by the owner of s1."""
    verifier = Verifier(deps.signer.seed, Principal, SystemClock())
    owner = Principal(subject="owner", kind="person", stores={"s1": sorted(GRANTS[Role.OWNER])})
    door = httpx.ASGITransport(create_app(service, HttpSettings(), verifier.verify))  # pyright: ignore[reportArgumentType]
    headers = {IDENTITY_HEADER: deps.signer.sign(owner)}
    async with httpx.AsyncClient(transport=door, base_url="http://ai", headers=headers) as asked:
        yield asked
