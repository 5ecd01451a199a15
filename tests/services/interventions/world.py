"""Builders that state only what a test is about, and the service's real parts with a clock that stands still."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from recoup.kit.clock import ManualClock
from recoup.kit.config import new_secret
from recoup.kit.ids import derived_id
from recoup.kit.log.arrow import encode
from recoup.kit.log.port import Record, partition_of
from recoup.kit.log.valkey_streams import ValkeyLog
from recoup.kit.migrate import migrate
from recoup.kit.peers import Peers, TokenSource
from recoup.kit.runner import Publisher, decoded
from recoup.kit.service import Topic
from recoup.kit.tokens import Signer
from recoup.kit.valkey import connect
from recoup.messages.deps import Deps
from recoup.messages.events import ENRICHED, Item
from recoup.messages.facts import Action, Cart, CartScored, ConversionRecorded, InterventionEvent
from recoup.messages.stores import StoreConfigured, StoreDirectory, StoreSettings
from recoup.messages.topics import CONVERSION_EVENTS, INTERVENTION_EVENTS
from recoup.services.interventions.settings import Settings
from recoup.services.interventions.wiring import Parts, assemble

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SHOP = "shop-1"
ALONE = Settings(patience_seconds=0)
"""For tests whose predictions come without the events they were made of."""
OPEN = StoreSettings(holdout=0.0, contact_requires_consent=False, shop_url="https://shop.example/cart", name="Tea & Co")
SEED = new_secret()


def scored(cart_id: str = "cart-1", *, user_id: str | None = "ann", at: datetime = NOON, **fields: Any) -> CartScored:
    """A prediction for an abandoned cart that everything speaks for."""
    cart = Cart(
        cart_id=cart_id, number=1, value=4_999, currency="USD", user_id=user_id,
        anonymous_id=fields.pop("anonymous_id", None), items=[Item("tea-1", 1, 4_999, name="Green tea")],
    )  # fmt: skip
    made = CartScored(
        id=str(derived_id("prediction", cart_id)), store_id=SHOP, occurred_at=at, cart=cart, probability=0.6,
        confidence=0.9, action=Action.REMINDER, reasons=["looked twice"], features={}, model_version="prior-1",
        expires_at=at + timedelta(days=7),
    )  # fmt: skip
    return msgspec.structs.replace(made, **fields)


def row(kind: str, at: datetime = NOON, **fields: Any) -> dict[str, Any]:
    """One enriched event."""
    properties = fields.pop("properties", None)
    return {
        "event_id": derived_id("test", kind, str(at), str(sorted(fields.items()))).bytes,
        "type": kind,
        "store_id": SHOP,
        "occurred_at": at,
        "properties": None if properties is None else msgspec.json.encode(properties).decode(),
        **fields,
    }


def identified(
    user_id: str = "ann", at: datetime = NOON, anonymous_id: str | None = None, **traits: Any
) -> dict[str, Any]:
    """Somebody said who they are."""
    known = {"email": f"{user_id}@example.com", "name": user_id.title(), "consent": True}
    proven = traits.pop("proven", None)
    said = {**known, **traits}
    return row("user_identified", at, user_id=user_id, anonymous_id=anonymous_id, properties=said, proven=proven)


def order(order_id: str = "order-1", at: datetime = NOON, **fields: Any) -> dict[str, Any]:
    """Somebody bought."""
    return row(
        "order_completed", at, order_id=order_id, **{"user_id": "ann", "amount": 4_999, "currency": "USD", **fields}
    )


def records(rows: Sequence[dict[str, Any]], partition: int | None = None) -> list[Record]:
    """Rows as records of the enriched topic, each in its partition or all in the given one."""
    groups: dict[int, list[dict[str, Any]]] = {}
    for each in rows:
        key = f"{each['store_id']}/{each.get('cart_id') or each.get('user_id') or ''}"
        groups.setdefault(partition_of(key, 8) if partition is None else partition, []).append(each)
    return [
        Record("cart-events-enriched", place, number, encode(table(group)), {})
        for number, (place, group) in enumerate(sorted(groups.items()))
    ]


def table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ENRICHED)


@dataclass
class World:
    """The service's parts, and what it published."""

    deps: Deps
    parts: Parts
    clock: ManualClock
    read: dict[str, int] = field(default_factory=dict)

    async def happen(self, *rows: dict[str, Any]) -> None:
        """Events arrive."""
        await self.parts.shoppers.on_events(decoded(records(rows), ENRICHED))

    async def tick(self, at: datetime) -> None:
        """The store's event time reaches a moment in every partition."""
        for partition in range(8):
            await self.parts.shoppers.on_events(decoded(records([row("clock", at)], partition), ENRICHED))

    async def score(self, *carts: CartScored) -> None:
        """Predictions arrive."""
        await self.parts.decisions.on_carts_scored(carts)

    async def deliver(self) -> int:
        """Everything that is due is dealt with."""
        total = 0
        while count := await self.parts.courier.deliver_due():
            total += count
        return total

    async def told(self) -> list[InterventionEvent]:
        """Everything ever published about interventions, oldest first."""
        await self._announced()
        return await self._all(INTERVENTION_EVENTS)

    async def credited(self) -> list[ConversionRecorded]:
        await self._announced()
        return await self._all(CONVERSION_EVENTS)

    async def kinds(self) -> list[str]:
        return [event.kind for event in await self.told()]

    def configure(self, settings: StoreSettings, store_id: str = SHOP) -> None:
        self.deps.stores._known[store_id] = (float("inf"), settings)

    async def _announced(self) -> None:
        while await self.parts.announcer.publish_waiting():
            pass

    async def _all(self, topic: Topic[Any]) -> list[Any]:
        streams = [f"log:s:{topic.name}:{partition}" for partition in range(self.deps.log.partitions)]
        found: list[tuple[bytes, Any]] = []
        for stream in streams:
            entries: Any = await self.deps.valkey.execute_command("XRANGE", stream, "-", "+")
            found += [(entry, msgspec.json.decode(fields[b"v"], type=topic.kind)) for entry, fields in entries]
        return [message for _, message in sorted(found, key=lambda pair: [int(part) for part in pair[0].split(b"-")])]


def dependencies(postgres_url: str, valkey_url: str, clock: ManualClock) -> Deps:
    """What a process of the service is given."""
    log = ValkeyLog(valkey_url, 8)
    peers = Peers({}, TokenSource(lambda: "", 60))
    return Deps(
        member="interventions-0", postgres_url=postgres_url, warehouse_url="", valkey=connect(valkey_url), log=log,
        publish=Publisher(log), clock=clock, peers=peers, stores=StoreDirectory(peers),
        signer=Signer(SEED, clock, timedelta(minutes=5)), public_url="http://recoup.test", data="",
    )  # fmt: skip


@asynccontextmanager
async def opened(
    postgres_url: str, valkey_url: str, settings: StoreSettings = OPEN, own: Settings = ALONE
) -> AsyncGenerator[World]:
    """One process of the service, at noon."""
    clock = ManualClock(NOON)
    deps = dependencies(postgres_url, valkey_url, clock)
    await deps.stores.on_configured([StoreConfigured(store_id=SHOP, version=1, settings=settings)])
    world = World(deps, assemble(deps, own), clock)
    world.configure(settings)
    try:
        yield world
    finally:
        await world.parts.postgres.close()
        await deps.valkey.aclose()
        await deps.log.close()
        await deps.peers.close()


async def prepared(postgres_url: str, valkey_url: str) -> None:
    """Tables, and a Valkey without a past."""
    await migrate(postgres_url, ["interventions"])
    valkey = connect(valkey_url)
    await valkey.flushdb()
    await valkey.aclose()
