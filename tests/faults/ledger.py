"""An outside ledger: what a shop was told is safe, held against what a house that was maltreated has in the end.

The ledger holds every event id that was acknowledged. Afterwards each is in `events_processed` exactly once, whatever
was killed, and each abandoned cart was noticed and decided once. A client that was not answered sends the same events
again, as ours do.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import httpx
import msgspec
from bench.lib.house import House, another

from recoup.kit.children import State
from recoup.kit.embedded import Valkey
from recoup.kit.log.port import Log, Outgoing
from recoup.kit.supervisor import read_statuses
from recoup.kit.valkey import Valkey as Client
from recoup.kit.valkey import connect, settled
from recoup.kit.warehouse import Warehouse
from recoup.messages.keys import PIPELINE_STATUS
from recoup.messages.topics import EVENTS_ENRICHED, EVENTS_RAW

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
BATCH = 100
PAUSE_SECONDS = 0.1
CALM_SECONDS = 0.7
"""Between two blows."""
# What counts here is whether everything comes, not when: on Kafka a reader whose broker and process were killed may
# have to wait for sessions and transactions to run out before it goes on.
PATIENCE_SECONDS = 240
SWOLLEN_CLIENTS, SWOLLEN_BATCHES = 20, 3
NO_RECORD = (b"", b"no arrow", b"\xff\xff\xff\xff\x08\0\0\0 neither")
AWAY_SECONDS = float(os.environ.pop("RECOUP_AWAY_SECONDS", "7"))
"""How long a warehouse stands still at least: longer than a reader's session on Kafka lasts.

Taken out of the environment: a house inherits that, and takes no setting it does not know.
"""
# Raw: the stream and the warehouse. Enriched: ai, interventions, monitoring and the warehouse.
PARKED = len(NO_RECORD) * 6
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

    def batch(self, minutes: int = 40) -> list[dict[str, object]]:
        """Each visitor fills a cart and looks at a page; every second one buys. So long after the batch before."""
        self.minute += minutes
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
        async with asyncio.timeout(PATIENCE_SECONDS):
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

    async def swell(self) -> None:
        """Ten times the load for a moment: twenty clients at once, each as fast as it is answered."""

        async def client() -> None:
            for _ in range(SWOLLEN_BATCHES):
                await self.send(self.batch(minutes=0))

        await asyncio.gather(*(client() for _ in range(SWOLLEN_CLIENTS)))

    async def use_event_clock(self) -> None:
        await self.configure(clock="event", threshold=0.0, holdout=0.0)

    async def configure(self, **changes: object) -> None:
        """Changes settings of the store."""
        headers = {"X-Api-Key": self.house.keys.secret_key}
        async with self.session.get("/api/config", headers=headers) as answer:
            settings, etag = await answer.json(), answer.headers["ETag"]
        settings = settings.get("settings", settings) | changes
        async with self.session.put("/api/config", json=settings, headers={**headers, "If-Match": etag}) as answer:
            assert answer.status == 200, await answer.text()


class Share(msgspec.Struct):
    """What a processor says that it reads."""

    partitions: list[int]


Blow = Callable[[Shop], Awaitable[None]]
"""Something bad that happens to a shop's running house, until that runs again."""


def pid_of(folder: Path, name: str) -> int | None:
    (status,) = [status for status in read_statuses(folder) if status.name == name]
    return status.pid if status.state is State.READY else None


async def ready(folder: Path, name: str) -> int:
    """A part's process, once it is ready; the door of a house may be open before those behind it are."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (pid := pid_of(folder, name)) is None:
            await asyncio.sleep(0.1)
    return pid


async def kill(running: House, name: str) -> None:
    """Kills a part without warning, and waits until the supervisor has a new one ready."""
    pid = await ready(running.folder, name)
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while pid_of(running.folder, name) in {None, pid}:
            await asyncio.sleep(0.1)


def killing(*names: str) -> Blow:
    """The blow that kills these parts, all at once."""

    async def blow(shop: Shop) -> None:
        await asyncio.gather(*(kill(shop.house, name) for name in names))

    return blow


def stalling(name: str, seconds: float) -> Blow:
    """The blow that makes a part stand still for so long, with all that it holds."""

    async def blow(shop: Shop) -> None:
        pid = await ready(shop.house.folder, name)
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    return blow


async def lose_a_second_processor(shop: Shop) -> None:
    """It joins, is given its share, and is killed without warning; nobody starts it again."""
    async with connect(Valkey(shop.house.folder / "valkey").url) as valkey:
        with another(shop.house, "processor", "1"):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await _shared_by_two(valkey):
                    await asyncio.sleep(0.1)
            os.kill(shop.house.beside["processor-1"], signal.SIGKILL)


async def _shared_by_two(valkey: Client) -> bool:
    """As they say themselves: the public API asks the log about every group first."""
    said = [await settled(valkey.get(key)) async for key in valkey.scan_iter(PIPELINE_STATUS.key(member="*"))]
    shares = [set(one.partitions) for one in (msgspec.json.decode(text, type=Share) for text in said if text)]
    return sum(map(bool, shares)) == 2 and shares[0].isdisjoint(shares[1])


async def poison(log: Log, shop: Shop) -> None:
    """Records that are none on the topics everybody reads, between events of the shop's."""
    for value in NO_RECORD:
        await shop.send(shop.batch())
        for topic in (EVENTS_RAW, EVENTS_ENRICHED):
            await log.append(topic.name, [Outgoing(0, value)])
    await shop.send(shop.batch())


async def parked(running: House) -> int:
    """How many records have been set aside, once there are as many as readers of the poison."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await asyncio.to_thread(_asked, running, "/api/pipeline/parked")
            if found is not None and int(str(found["open"])) >= PARKED:
                return int(str(found["open"]))
            await asyncio.sleep(0.3)


async def empty(running: House) -> None:
    """Valkey loses its disk: it is killed, and the next one finds nothing."""
    valkey = running.folder / "valkey"
    (valkey / "appendonlydir").rename(valkey / "lost")
    await kill(running, "valkey")


async def events_of(running: House) -> int:
    """How many events the overview counts, as soon as it is answered."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (overview := await asyncio.to_thread(_asked, running, "/api/analytics/overview")) is None:
            await asyncio.sleep(0.3)
    return int(str(overview["events"]))


async def wait_until_counted(running: House, events: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await events_of(running) < events:
            await asyncio.sleep(0.3)


async def wait_until_decided(running: House) -> None:
    """Until interventions have decided and announced everything, and every reader of the log has read it all."""
    calm = 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        while calm < CALM:
            calm = calm + 1 if await asyncio.to_thread(_nothing_left, running) else 0
            await asyncio.sleep(0.5)


def _nothing_left(running: House) -> bool:
    progress = _asked(running, "/api/interventions/progress")
    status = _asked(running, "/api/pipeline/status")
    if progress is None or status is None:
        return False
    waiting = sum(lag["waiting"] for lag in msgspec.convert(status["lag"], list[dict[str, Any]]))
    return progress["outstanding"] == progress["pending"] == waiting == 0


def _asked(running: House, path: str) -> dict[str, object] | None:
    """What it answers; None while a part is still being found again."""
    try:
        return running.get(path)
    except httpx.HTTPStatusError as error:
        if error.response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return None


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


@dataclass(frozen=True)
class Books:
    """How often the house has each event, and each cart as abandoned and as decided."""

    processed: dict[str, int]
    abandoned: dict[str, int]
    decided: dict[str, int]


async def put_under_load(running: House, blows: Sequence[Blow], after: Shop | None = None) -> Shop:
    """Strikes one blow after another while a shop sends; returns once everything has been dealt with.

    `after` is a shop that sent before, whose time and carts go on.
    """
    async with aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session:
        shop = Shop(running, session)
        if after is not None:
            shop.minute, shop.carts = after.minute, after.carts
        await shop.use_event_clock()
        before = await events_of(running)
        load = asyncio.create_task(shop.run())
        for blow in blows:
            await asyncio.sleep(CALM_SECONDS)
            await blow(shop)
        await asyncio.sleep(CALM_SECONDS)
        shop.stop.set()
        await load
        events = len(shop.acknowledged)
        shop.minute += 120
        clock = shop.event("clock", "clock", 0)
        await shop.send([clock])
        shop.acknowledged.discard(str(clock["event_id"]))
        await wait_until_counted(running, before + events)
        await wait_until_decided(running)
        return shop


async def books(folder: Path) -> Books:
    """Read from the warehouse of a house that has stopped."""
    return Books(*[await counted(folder, sql) for sql in (_PROCESSED, _ABANDONED, _DECIDED)])


_PROCESSED = """
select toString(event_id) as value, count() as times from events_processed
where type not in ('clock', 'cart_abandoned', 'cart_recovered', 'cart_expired') and cart_id like 'cart-%'
group by event_id
"""
_ABANDONED = """
select cart_id as value, count() as times from events_processed where type = 'cart_abandoned' and cart_id like 'cart-%'
group by cart_id
"""
_DECIDED = """
select cart_id as value, count() as times from interventions_log final where kind = 'decided' and cart_id like 'cart-%'
group by cart_id
"""
