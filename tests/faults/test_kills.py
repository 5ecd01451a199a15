"""Processes are killed without warning under load, one after another; an outside ledger says what must be there.

The ledger holds every event id that was acknowledged. Afterwards each is in `events_processed` exactly once,
whatever was
killed, and each abandoned cart was decided once. A client that was not answered sends the same events again, as ours
do.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import pytest
from bench.lib.house import House, house

from recoup.kit.children import State
from recoup.kit.supervisor import read_statuses
from recoup.kit.warehouse import Warehouse

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
VICTIMS = ("pipeline", "processor", "intelligence", "valkey", "interventions", "ai")
BATCH = 100
PAUSE_SECONDS = 0.1
CALM = 4
"""So many looks in a row must find nothing left to do: a process that was just killed may not have said so yet."""


@dataclass
class Shop:
    """Sends carts on an event clock and keeps the ledger."""

    house: House
    session: aiohttp.ClientSession
    acknowledged: set[str] = field(default_factory=set)
    minute: int = 0
    carts: int = 0
    left: set[str] = field(default_factory=set)
    """Carts with items that nobody bought."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Batches, one after another, until told to stop."""
        while not self.stop.is_set():
            await self.send(self.batch())
            await asyncio.sleep(PAUSE_SECONDS)

    def batch(self) -> list[dict[str, object]]:
        """Each visitor fills a cart and looks at a page; every second one buys. Batches are forty minutes apart."""
        self.minute += 40
        events: list[dict[str, object]] = []
        for number in range(BATCH // 4):
            self.carts += 1
            cart = f"cart-{self.carts}"
            events += [self.event("product_added", cart, 0), self.event("page_viewed", cart, 1)]
            events += [self.event("page_viewed", cart, 2)]
            kind = "order_completed" if number % 2 else "exit_intent"
            events += [self.event(kind, cart, 3)]
            if kind == "exit_intent":
                self.left.add(cart)
        return events

    def event(self, kind: str, cart: str, minute: int) -> dict[str, object]:
        made: dict[str, object] = {
            "event_id": str(uuid4()),
            "type": kind,
            "cart_id": cart,
            "user_id": f"user-{cart}",
            "occurred_at": (START + timedelta(minutes=self.minute + minute)).isoformat(),
        }
        if kind == "product_added":
            made["items"] = [{"product_id": "mug", "quantity": 1, "price": 1_500}]
        if kind == "order_completed":
            made |= {"order_id": f"order-{cart}", "amount": 1_500}
        return made

    async def send(self, events: Sequence[dict[str, object]]) -> None:
        """The same events until they are acknowledged."""
        body = msgspec.json.encode(events)
        headers = {"X-Api-Key": self.house.keys.secret_key, "Content-Type": "application/json"}
        async with asyncio.timeout(90):
            while True:
                try:
                    async with self.session.post("/api/events/batch", data=body, headers=headers) as answer:
                        if answer.status == 202:
                            break
                        assert answer.status in {429, 502, 503, 504}, await answer.text()
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.2)
        self.acknowledged |= {str(event["event_id"]) for event in events}

    async def use_event_clock(self) -> None:
        headers = {"X-Api-Key": self.house.keys.secret_key}
        async with self.session.get("/api/config", headers=headers) as answer:
            settings, etag = await answer.json(), answer.headers["ETag"]
        settings = settings.get("settings", settings) | {"clock": "event", "threshold": 0.0, "holdout": 0.0}
        async with self.session.put("/api/config", json=settings, headers={**headers, "If-Match": etag}) as answer:
            assert answer.status == 200, await answer.text()


def pid_of(folder: Path, name: str) -> int | None:
    (status,) = [status for status in read_statuses(folder) if status.name == name]
    return status.pid if status.state is State.READY else None


async def kill(running: House, name: str) -> None:
    """Kills a part without warning, and waits until the supervisor has a new one ready."""
    async with asyncio.timeout(60):
        while (pid := pid_of(running.folder, name)) is None:
            await asyncio.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
        while pid_of(running.folder, name) in {None, pid}:
            await asyncio.sleep(0.1)


async def wait_until_counted(running: House, events: int) -> None:
    async with asyncio.timeout(90):
        while int(str((await asyncio.to_thread(running.get, "/api/analytics/overview"))["events"])) < events:
            await asyncio.sleep(0.3)


async def wait_until_decided(running: House) -> None:
    """Until interventions have decided and announced everything, and every reader of the log has read it all."""
    calm = 0
    async with asyncio.timeout(120):
        while calm < CALM:
            progress = await asyncio.to_thread(running.get, "/api/interventions/progress")
            status = await asyncio.to_thread(running.get, "/api/pipeline/status")
            waiting = sum(lag["waiting"] for lag in msgspec.convert(status["lag"], list[dict[str, Any]]))
            calm = calm + 1 if progress["outstanding"] == progress["pending"] == waiting == 0 else 0
            await asyncio.sleep(0.5)


class Row(msgspec.Struct):
    """A value and how often it stands there."""

    value: str
    times: int


async def counted(folder: Path, sql: str) -> dict[str, int]:
    """How often each value stands in the warehouse of a house that has stopped."""
    warehouse = Warehouse(f"chdb:///{folder / 'warehouse'}")
    try:
        return {row.value: row.times for row in await warehouse.rows(Row, sql)}
    finally:
        await warehouse.close()


async def put_under_load_and_kill(running: House) -> Shop:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session:
        shop = Shop(running, session)
        await shop.use_event_clock()
        load = asyncio.create_task(shop.run())
        for name in VICTIMS:
            await asyncio.sleep(0.7)
            await kill(running, name)
        await asyncio.sleep(0.7)
        shop.stop.set()
        await load
        events = len(shop.acknowledged)
        shop.minute += 120
        clock = shop.event("clock", "clock", 0)
        await shop.send([clock])
        shop.acknowledged.discard(str(clock["event_id"]))
        await wait_until_counted(running, events)
        await wait_until_decided(running)
        return shop


@pytest.mark.fault
@pytest.mark.timeout(280)
def test_nothing_acknowledged_is_missing_or_doubled_and_each_abandoned_cart_is_decided_once(tmp_path: Path) -> None:
    with house(keep=tmp_path) as running:
        shop = asyncio.run(put_under_load_and_kill(running))

    processed = asyncio.run(counted(tmp_path, _PROCESSED))
    abandoned = asyncio.run(counted(tmp_path, _ABANDONED))
    decided = asyncio.run(counted(tmp_path, _DECIDED))

    assert len(shop.acknowledged) > 5 * BATCH
    assert processed == dict.fromkeys(shop.acknowledged, 1)
    assert abandoned == dict.fromkeys(shop.left, 1)
    assert decided == dict.fromkeys(shop.left, 1)


_PROCESSED = """
select toString(event_id) as value, count() as times from events_processed
where type not in ('clock', 'cart_abandoned', 'cart_recovered', 'cart_expired') group by event_id
"""
_ABANDONED = """
select cart_id as value, count() as times from events_processed where type = 'cart_abandoned' group by cart_id
"""
_DECIDED = """
select cart_id as value, count() as times from interventions_log final where kind = 'decided' group by cart_id
"""
