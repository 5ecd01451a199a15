"""Routing as it is wired, on real engines; it looks at events and sends when a test asks for it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pyarrow as pa
from tests.services.pipeline.builders import NOON, SHOP

from recoup.kit.clock import ManualClock
from recoup.kit.config import Secret, new_secret
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.log import arrow
from recoup.kit.log.port import Outgoing as Record
from recoup.kit.log.valkey_streams import ValkeyLog
from recoup.kit.migrate import migrate
from recoup.kit.outgoing import Outgoing
from recoup.kit.postgres import Postgres
from recoup.kit.runner import decoded
from recoup.kit.sealing import Sealer
from recoup.kit.service import Batch, Service
from recoup.kit.valkey import connect
from recoup.messages.access import Permission, Principal
from recoup.messages.events import ENRICHED
from recoup.messages.topics import EVENTS_ENRICHED, ROUTING_GROUP
from recoup.services.pipeline.routing.actions import Desk, RuleBook
from recoup.services.pipeline.routing.api import router
from recoup.services.pipeline.routing.handlers import Handlers
from recoup.services.pipeline.routing.jobs import News, Reported, Sender, Upkeep
from recoup.services.pipeline.routing.store.deliveries import DeliveryStore
from recoup.services.pipeline.routing.store.rules import RuleStore
from recoup.services.pipeline.settings import Settings

OTHER = "shop-b"


def row(**fields: Any) -> dict[str, Any]:
    """An enriched page view a minute after noon, unless `fields` say otherwise."""
    at = NOON + timedelta(minutes=1)
    return {
        "event_id": uuid4().bytes, "store_id": SHOP, "type": "page_viewed", "occurred_at": at, "enriched_at": at,
        **fields,
    }  # fmt: skip


@dataclass
class Reports:
    """The monitoring service's door, as far as routing knocks at it."""

    told: list[tuple[str, str]] = field(default_factory=list)

    async def post(self, service: str, path: str, body: Any, kind: type[Reported]) -> Reported:
        self.told.append((path, body["detail"]))
        return kind(id=f"{service}-1")


@dataclass
class Office:
    """Everything of routing, and the doors."""

    log: ValkeyLog
    clock: ManualClock
    settings: Settings
    desk: Desk
    handlers: Handlers
    sender: Sender
    upkeep: Upkeep
    deliveries: DeliveryStore
    reports: Reports
    http: httpx.AsyncClient

    async def ask(self, method: str, path: str, *, store: str = SHOP, status: int = 0, **options: Any) -> Any:
        """The JSON of an answer."""
        answer = await self.http.request(
            method,
            f"/routing{path}",
            headers={"X-Recoup-Identity": store},
            params=options.pop("params", None),
            **options,
        )
        assert answer.status_code == status or (not status and answer.status_code < 300), answer.text
        return answer.json() if answer.content else None

    async def destination(self, name: str, *, store: str = SHOP, **fields: Any) -> dict[str, Any]:
        kind = "webhook" if "url" in fields else "topic"
        return await self.ask("POST", "/destinations", store=store, json={"name": name, "kind": kind, **fields})

    async def rule(self, *to: str, when: Any = None, store: str = SHOP, name: str = "rule") -> dict[str, Any]:
        made = await self.ask("POST", "/rules", store=store, json={"name": name, "to": list(to), "when": when})
        await self.handlers.book.refresh()
        return made

    async def webhook(self, url: str, *, name: str = "hook", store: str = SHOP, **fields: Any) -> tuple[str, str]:
        """A webhook that gets everything of a store: its id and secret."""
        made = await self.destination(name, store=store, url=url, **fields)
        await self.rule(made["destination"]["id"], store=store, name=name)
        return made["destination"]["id"], made["secret"]

    async def enriched(self, *rows: Mapping[str, Any], partition: int = 0) -> None:
        """Puts a record on the enriched topic."""
        table = pa.Table.from_pylist(list(rows), schema=ENRICHED)
        await self.log.append(EVENTS_ENRICHED.name, [Record(partition, arrow.encode(table))])

    async def route(self) -> None:
        """Has the rules look at all that is on the topic, as if nothing of it had been looked at."""
        records = await self.log.after(EVENTS_ENRICHED.name, {}, limit=1_000)
        await self.handlers.on_enriched(decoded(records, EVENTS_ENRICHED.only("store_id").schema))

    async def batch(self, partition: int) -> Batch:
        """All that is on one partition, as the reader gets it."""
        records = await self.log.after(EVENTS_ENRICHED.name, {}, limit=10)
        mine = [record for record in records if record.partition == partition]
        return decoded(mine, EVENTS_ENRICHED.only("store_id").schema)

    async def send(self) -> None:
        """Sends what is due, each destination until it is done or fails."""
        await self.sender.start_lanes()
        await self.sender.drain()

    async def listed(self, **params: Any) -> list[dict[str, Any]]:
        return (await self.ask("GET", "/deliveries", params=params))["items"]

    async def state(self, id_: str) -> dict[str, Any]:
        return await self.ask("GET", f"/destinations/{id_}")


@asynccontextmanager
async def office(
    valkey_url: str, database: str, *, key: Secret | None = None, **settings: Any
) -> AsyncGenerator[Office]:
    await migrate(database, ["pipeline"])
    valkey = connect(valkey_url)
    await valkey.flushdb()
    await valkey.aclose()
    used = msgspec.convert({"routing_private_addresses": True, **settings}, Settings)
    db, log, clock = Postgres(database, "pipeline"), ValkeyLog(valkey_url, 4), ManualClock(NOON)
    rules, deliveries, news, reports = RuleStore(db, used.routing_versions), DeliveryStore(db), News(), Reports()
    desk = Desk(rules, Sealer(key or new_secret(), "routing secrets"), log, clock, used)
    outgoing = Outgoing(used.routing_timeout_seconds, used.routing_answer_bytes, used.routing_private_addresses)
    sender = Sender(deliveries, desk, outgoing, clock, used, news)
    app: Any = create_app(
        Service(name="pipeline", routers=[router(desk, deliveries, news)]),
        HttpSettings(),
        lambda store: Principal(subject="ada", kind="person", stores={store: list(Permission)}),
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://pipeline") as http:
        made = Office(
            log, clock, used, desk, Handlers(RuleBook(rules, used), deliveries, log, clock, used, news), sender,
            Upkeep(deliveries, desk, log, reports, clock, used), deliveries, reports, http,
        )  # fmt: skip
        try:
            yield made
        finally:
            await sender.stop()
            await log.close()
            await db.close()


__all__ = ["OTHER", "ROUTING_GROUP", "Office", "office", "row"]
