"""What a reader set aside is looked at and put back: for that reader alone, once, and nobody sees another's rows."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pyarrow as pa
import pytest
from structlog.testing import capture_logs
from tests.services.pipeline.builders import NOON, SHOP, event, pipeline

from recoup.kit import runner
from recoup.kit.clock import ManualClock
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.log import arrow
from recoup.kit.log.port import Log, Outgoing
from recoup.kit.log.valkey_streams import ValkeyLog
from recoup.kit.migrate import migrate
from recoup.kit.postgres import Postgres
from recoup.kit.process import finish
from recoup.kit.runner import Publisher, Runner
from recoup.kit.service import Consumer, Service, Topic
from recoup.messages.access import SECRET_KEY, Permission, Principal
from recoup.messages.topics import EVENTS_RAW, PARKED_GROUP, RECORDS_PARKED
from recoup.services.pipeline.parked.actions import Returns
from recoup.services.pipeline.parked.api import router
from recoup.services.pipeline.parked.handlers import Handlers
from recoup.services.pipeline.parked.jobs import Upkeep
from recoup.services.pipeline.parked.store import Store
from recoup.services.pipeline.settings import Settings

OTHER_SHOP = "shop-b"
PATIENCE_SECONDS = 60


class Order(msgspec.Struct, frozen=True):
    number: int
    store_id: str = SHOP


@dataclass
class Reader:
    """A group's handler; refuses odd numbers for as long as it is broken."""

    is_broken: bool = True

    def __post_init__(self) -> None:
        self.handled: Counter[int] = Counter()

    async def __call__(self, orders: Sequence[Order]) -> None:
        if self.is_broken and any(order.number % 2 for order in orders):
            raise ValueError("an odd number")
        self.handled.update(order.number for order in orders)


@dataclass
class Shelf:
    """The feature on real engines, and a client of it."""

    log: Log
    store: Store
    clock: ManualClock
    http: httpx.AsyncClient

    async def open(self, count: int, **asked: str) -> list[dict[str, Any]]:
        """The listed records, once there are so many."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(items := (await self.http.get("/pipeline/parked", params=asked)).json()["items"]) != count:
                await asyncio.sleep(0.02)
        return items


@pytest.fixture
async def shelf(valkey_url: str, database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shelf]:
    monkeypatch.setattr(runner, "LONGEST_PAUSE_SECONDS", 0.0)
    log = ValkeyLog(valkey_url, 2)
    with capture_logs():
        async with shelved(log, database) as shelf:
            yield shelf
    await log.close()


@asynccontextmanager
async def shelved(log: Log, database: str) -> AsyncGenerator[Shelf]:
    await migrate(database, ["pipeline"])
    postgres = Postgres(database, "pipeline")
    store, clock = Store(postgres), ManualClock(NOON)
    group = f"{PARKED_GROUP}-{uuid4().hex[:12]}"
    await log.seek(group, RECORDS_PARKED.name, "end")  # other tests park too
    consumer = Consumer(RECORDS_PARKED, on_messages=Handlers(store, clock).on_parked)
    async with running(log, group, consumer), client(store, Returns(store, log, clock)) as http:
        yield Shelf(log, store, clock, http)
    await postgres.close()


@asynccontextmanager
async def running(log: Log, group: str, consumer: Consumer) -> AsyncGenerator[None]:
    task = asyncio.create_task(Runner(log, group, "a", consumer).run())
    try:
        yield
    finally:
        await finish([task])


def client(
    store: Store, returns: Returns, shop: str = SHOP, permissions: frozenset[Permission] = SECRET_KEY
) -> httpx.AsyncClient:
    caller = Principal(subject="ada", kind="secret_key", stores={shop: [*permissions]})
    app: Any = create_app(Service(name="pipeline", routers=[router(store, returns)]), HttpSettings(), lambda _: caller)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://pipeline", headers={"X-Recoup-Identity": "t"}
    )


def orders() -> Topic[Order]:
    return Topic(f"orders-{uuid4().hex[:12]}", Order, key=lambda order: str(order.number))


async def until(log: Log, group: str, topic: str) -> None:
    """Until a group has dealt with everything on a topic."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(lag.waiting for lag in await log.lag(group, topic)):
            await asyncio.sleep(0.02)


async def test_what_was_put_back_takes_effect_once_and_only_where_it_had_not(shelf: Shelf) -> None:
    topic, broken, fine = orders(), Reader(), Reader(is_broken=False)
    async with (
        running(shelf.log, f"{topic.name}-broken", Consumer(topic, on_messages=broken)),
        running(shelf.log, f"{topic.name}-fine", Consumer(topic, on_messages=fine)),
    ):
        await Publisher(shelf.log)(topic, [Order(number) for number in range(4)])
        parked = await shelf.open(2)
        broken.is_broken = False
        answers = await asyncio.gather(
            *(shelf.http.post(f"/pipeline/parked/{one['id']}/put-back") for one in [*parked, *parked])
        )
        await until(shelf.log, f"{topic.name}-broken", topic.name)
        await until(shelf.log, f"{topic.name}-fine", topic.name)

    assert [answer.json()["status"] for answer in answers] == ["put_back"] * 4
    assert broken.handled == fine.handled == Counter(range(4))
    assert await shelf.open(0) == []


async def test_what_fails_again_is_parked_again_and_says_so(shelf: Shelf) -> None:
    topic, reader = orders(), Reader()
    async with running(shelf.log, topic.name, Consumer(topic, on_messages=reader)):
        await Publisher(shelf.log)(topic, [Order(1)])
        (first,) = await shelf.open(1)
        several = {"ids": [first["id"], str(uuid4())]}
        outcomes = (await shelf.http.post("/pipeline/parked/put-back", json=several)).json()
        await until(shelf.log, topic.name, topic.name)
        (again,) = await shelf.open(1)

    assert [(one["status"], bool(one["why"])) for one in outcomes] == [("put_back", False), (None, True)]
    assert (first["was_put_back"], again["was_put_back"], again["id"] != first["id"]) == (False, True, True)


async def test_a_dismissed_record_leaves_the_list_can_be_put_back_and_is_forgotten_in_the_end(shelf: Shelf) -> None:
    topic = orders()
    async with running(shelf.log, topic.name, Consumer(topic, on_messages=Reader())):
        await Publisher(shelf.log)(topic, [Order(1), Order(3)])
        first, second = await shelf.open(2)
        dismissed = (await shelf.http.delete(f"/pipeline/parked/{first['id']}")).json()
        back = (await shelf.http.post(f"/pipeline/parked/{first['id']}/put-back")).json()
        refused = await shelf.http.delete(f"/pipeline/parked/{first['id']}")
        await until(shelf.log, topic.name, topic.name)
        await shelf.open(2)  # it failed again

    assert (dismissed["status"], dismissed["settled_by"], back["status"]) == ("dismissed", "ada", "put_back")
    assert (refused.status_code, refused.json()["code"]) == (409, "already_put_back")
    settings = Settings()
    shelf.clock.advance(timedelta(days=settings.parked_days + 1))
    assert await Upkeep(shelf.store, shelf.log, shelf.clock, settings).forget() == "forgot 1 parked records"
    assert (await shelf.http.get(f"/pipeline/parked/{second['id']}")).status_code == 200


async def test_nobody_sees_rows_of_another_store_nor_an_error_that_may_quote_them(shelf: Shelf) -> None:
    rows = pa.table({"store_id": [SHOP, OTHER_SHOP], "event_id": [uuid4().bytes] * 2, "cart_id": ["mine", "theirs"]})
    name = f"mixed-{uuid4().hex[:12]}"
    records = [Outgoing(0, arrow.encode(rows)), Outgoing(0, b"neither"), Outgoing(0, b'{"store_id": "shop-b"}')]
    topic = Topic(name, Order, key=lambda _: "")
    await shelf.log.append(name, records)
    async with running(shelf.log, name, Consumer(topic, on_messages=Reader())):
        listed = await shelf.open(2)
    total = (await shelf.http.get("/pipeline/parked")).json()
    by_size = sorted(listed, key=lambda one: one["size"])
    unreadable, mixed = [(await shelf.http.get(f"/pipeline/parked/{one['id']}")).json() for one in by_size]
    async with client(shelf.store, Returns(shelf.store, shelf.log, shelf.clock), OTHER_SHOP) as other:
        theirs = (await other.get("/pipeline/parked")).json()

    assert (total["open"], total["elsewhere"], len(theirs["items"])) == (2, 1, 3)
    assert [row["cart_id"] for row in mixed["rows"]] == ["mine"]
    assert (mixed["own_rows"], mixed["other_rows"], mixed["reason"]) == (1, 1, None)
    assert (unreadable["rows"], unreadable["own_rows"]) == ([], 0)
    assert "JSON" in unreadable["reason"]


async def test_looking_needs_one_permission_and_acting_another(shelf: Shelf) -> None:
    returns, nobody = Returns(shelf.store, shelf.log, shelf.clock), f"/pipeline/parked/{uuid4()}"
    async with client(shelf.store, returns, permissions=frozenset({Permission.DLQ_READ})) as viewer:
        looked = await viewer.get("/pipeline/parked")
        acted = [await viewer.post(f"{nobody}/put-back"), await viewer.delete(nobody)]
    async with client(shelf.store, returns, permissions=frozenset({Permission.EVENTS_READ})) as outsider:
        refused = await outsider.get("/pipeline/parked")

    assert [answer.status_code for answer in (looked, *acted, refused)] == [200, 403, 403, 403]
    assert (await shelf.http.post(f"{nobody}/put-back")).status_code == 404


async def test_the_stream_takes_rows_that_were_put_back_as_new_and_once(valkey_url: str, database: str) -> None:
    """What the processor could not read for a while, say before an upgrade, it takes as if it had just come."""
    async with pipeline(valkey_url) as stream, shelved(stream.log, database) as shelf:
        await stream.log.append(EVENTS_RAW.name, [Outgoing(0, b"unreadable")])
        (parked,) = await shelf.open(1)
        sent = [event(anonymous_id=f"visitor-{number}") for number in range(3)]
        await stream.send(*sent)
        raw = [
            record for record in await stream.log.after(EVENTS_RAW.name, {}, limit=50) if record.value != b"unreadable"
        ]
        # The same bytes again, as a second putting back after a crash would leave them.
        await stream.log.append(
            EVENTS_RAW.name, [Outgoing(one.partition, one.value, {"only-for": "pipeline"}) for one in raw]
        )
        await stream.send(event())

        rows = await stream.enriched(4)
        again = (await shelf.http.post(f"/pipeline/parked/{parked['id']}/put-back")).json()

    assert len(rows) == len({row["event_id"] for row in rows}) == 4
    assert again["status"] == "put_back"
