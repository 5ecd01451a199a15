"""Watching events arrive, over a real socket: one's own store's and no other's, some of many, and not for ever."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pyarrow as pa
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError
from granian.constants import Interfaces
from granian.server.embed import Server
from tests.services.pipeline.builders import SHOP, Pipeline, added, event, pipeline
from tests.services.pipeline.test_collect_socket import listening

from recoup.kit.http import HttpSettings, create_app
from recoup.kit.log import arrow
from recoup.kit.peers import IDENTITY_HEADER
from recoup.kit.ports import free_port
from recoup.kit.service import Service
from recoup.kit.valkey import Valkey, connect
from recoup.messages.access import PUBLISHABLE_KEY, Permission, Principal
from recoup.messages.events import DEAD
from recoup.messages.stores import StoreConfigured, StoreSettings
from recoup.messages.topics import EVENTS_DEAD
from recoup.services.pipeline.settings import Settings
from recoup.services.pipeline.tail.api import Tail, router
from recoup.services.pipeline.tail.handlers import Showing, ShowingRefused
from recoup.services.pipeline.tail.store import Watches

NEIGHBOUR = "shop-b"
PEOPLE = {
    "viewer": Principal(subject="ada", kind="person", stores={SHOP: [Permission.EVENTS_READ]}),
    "neighbour": Principal(subject="bob", kind="person", stores={NEIGHBOUR: [Permission.EVENTS_READ]}),
    "page": Principal(subject="key", kind="publishable_key", stores={SHOP: sorted(PUBLISHABLE_KEY)}),
}


@dataclass
class Window:
    """A socket on which somebody watches, and what has been shown on it."""

    ws: ClientWebSocketResponse
    shown: list[dict[str, Any]] = field(default_factory=list)
    matched: int = 0

    async def see(self, matched: int) -> list[dict[str, Any]]:
        """What was shown once so many events have matched."""
        async with asyncio.timeout(60):
            while self.matched < matched:
                frame = await self.ws.receive_json()
                self.matched += frame["matched"]
                self.shown += frame["events"]
        return self.shown


@dataclass
class Place:
    """A pipeline for two shops whose events can be watched."""

    running: Pipeline
    showing: Showing
    valkey: Valkey
    url: str
    http: aiohttp.ClientSession

    @asynccontextmanager
    async def watching(self, who: str = "viewer", **asked: str) -> AsyncGenerator[Window]:
        """Once the processor knows of it."""
        known = len(await self.showing.watches.current(self.running.clock.now()))
        async with self.http.ws_connect(self.url, headers={IDENTITY_HEADER: who}, params=asked) as ws:
            async with asyncio.timeout(60):
                while len(await self.showing.watches.current(self.running.clock.now())) == known:
                    await asyncio.sleep(0.01)
                await self.showing.write()
                assert (await ws.receive_json())["type"] == "alive"
            yield Window(ws)

    async def send(self, *events: dict[str, Any], store: str = SHOP) -> None:
        """Sends events and hands over what was seen of them."""
        until = self.running.processor.pace.events + len(events)
        await self.running.send(*events, store=store)
        async with asyncio.timeout(60):
            while self.running.processor.pace.events < until:
                await asyncio.sleep(0.01)
        await self.showing.write()


@asynccontextmanager
async def place(valkey_url: str, room: int = 100, **settings: Any) -> AsyncGenerator[Place]:
    async with pipeline(valkey_url) as running:
        await running.collector.stores.on_configured(
            [StoreConfigured(store_id=NEIGHBOUR, version=1, settings=StoreSettings())]
        )
        valkey = connect(valkey_url)
        watches = Watches(valkey)
        showing = Showing(watches, running.clock, room)
        running.processor.watchers = [showing]
        tail = router(Tail(watches, running.clock, Settings(**settings)))
        app = create_app(Service(name="pipeline", routers=[tail]), HttpSettings(), PEOPLE.__getitem__)
        port = free_port()
        server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False)
        serving = asyncio.create_task(server.serve())
        try:
            await listening(port)
            async with aiohttp.ClientSession() as http:
                yield Place(running, showing, valkey, f"http://127.0.0.1:{port}/events/tail", http)
        finally:
            server.stop()
            await asyncio.wait([serving], timeout=10)
            await valkey.aclose()


async def test_events_are_shown_with_what_became_of_them(valkey_url) -> None:
    async with place(valkey_url) as here, here.watching() as window:
        once = added(properties={"email": "ada@example.com"})
        await here.send(once, event(type="product_added", cart_id="c"))
        await here.send(once)

        shown = await window.see(3)

    assert [(each["type"], each["outcome"]) for each in shown] == [
        ("product_added", "taken"), ("product_added", "dead"), ("product_added", "duplicate"),
    ]  # fmt: skip
    assert shown[1]["reason"].startswith("schema_violation: items")
    assert "ada@example.com" not in str(shown)


async def test_what_the_collector_refused_is_shown_to_whom_it_concerns(valkey_url) -> None:
    async with (
        place(valkey_url) as here,
        here.watching() as all_of_it,
        here.watching(visitor="ada") as visitor,
        here.watching("neighbour") as theirs,
    ):
        refused = ShowingRefused(here.showing.watches, here.running.clock, 100)
        await refused.write()
        await here.running.send(event(anonymous_id="ada", amount="lots"), event(type="danced", anonymous_id="bob"))
        await here.send(event())
        refused.note(await dead_letters(here.running, 2))
        await refused.write()
        await here.send(event(anonymous_id="of theirs"), store=NEIGHBOUR)

        shown = {each["outcome"]: each for each in await visitor.see(1)}
        assert (shown["dead"]["type"], shown["dead"]["anonymous_id"]) == ("page_viewed", "ada")
        assert shown["dead"]["reason"].startswith("wrong_type: amount")
        assert sorted(each["outcome"] for each in await all_of_it.see(3)) == ["dead", "dead", "taken"]
        assert [each["anonymous_id"] for each in await theirs.see(1)] == ["of theirs"]


async def dead_letters(running: Pipeline, count: int) -> pa.Table:
    """The dead letters there are, once there are so many."""
    await running.log.register("test-dead", [EVENTS_DEAD.name])
    reader = running.log.reader("test-dead", "test", [EVENTS_DEAD.name])
    values: list[bytes] = []
    try:
        async with asyncio.timeout(60):
            while True:
                values += [record.value for record in await reader.read(wait_seconds=0.2, limit=100)]
                if values and len(table := arrow.joined(values, DEAD)[0]) >= count:
                    return table
    finally:
        await reader.close()


async def test_nobody_sees_the_events_of_another_store(valkey_url) -> None:
    async with place(valkey_url) as here, here.watching() as mine, here.watching("neighbour") as theirs:
        await here.send(event(anonymous_id="of mine"))
        await here.send(event(anonymous_id="of theirs"), store=NEIGHBOUR)

        assert [each["anonymous_id"] for each in await mine.see(1)] == ["of mine"]
        assert [each["anonymous_id"] for each in await theirs.see(1)] == ["of theirs"]


@pytest.mark.parametrize(("who", "asked"), [("neighbour", SHOP), ("viewer", NEIGHBOUR), ("page", SHOP)])
async def test_a_store_one_may_not_read_is_not_watched(valkey_url, who: str, asked: str) -> None:
    async with place(valkey_url) as here:
        with pytest.raises(WSServerHandshakeError):
            await here.http.ws_connect(here.url, headers={IDENTITY_HEADER: who}, params={"store_id": asked})
        assert await here.showing.watches.current(here.running.clock.now()) == []


async def test_a_filter_shows_one_type_or_one_visitor_by_any_id(valkey_url) -> None:
    async with (
        place(valkey_url) as here,
        here.watching(type="exit_intent") as exits,
        here.watching(visitor="cart-7") as visitor,
    ):
        await here.send(
            event(type="exit_intent"), added("cart-7"), event(session_id="cart-7"), event(anonymous_id="cart-77")
        )  # fmt: skip

        assert [each["type"] for each in await exits.see(1)] == ["exit_intent"]
        assert len(await visitor.see(2)) == 2


async def test_of_too_many_a_sample_is_shown_and_their_number(valkey_url) -> None:
    async with place(valkey_url, room=10) as here, here.watching() as window:
        await here.send(*(event() for _ in range(300)))

        assert len(await window.see(300)) == 10
        assert window.matched == 300


async def test_it_ends_after_a_while_and_leaves_nothing_behind(valkey_url) -> None:
    async with place(valkey_url, tail_seconds=0.1) as here:
        async with here.http.ws_connect(here.url, headers={IDENTITY_HEADER: "viewer"}) as ws, asyncio.timeout(60):
            while (await ws.receive()).type not in {WSMsgType.CLOSE, WSMsgType.CLOSED}:
                pass
        assert await here.showing.watches.current(here.running.clock.now()) == []
        assert [key async for key in here.valkey.scan_iter(match="tail:*")] == []


async def test_more_than_may_watch_are_asked_to_come_later(valkey_url) -> None:
    async with (
        place(valkey_url, tail_watches=1) as here,
        here.watching(),
        here.http.ws_connect(here.url, headers={IDENTITY_HEADER: "viewer"}) as ws,
    ):
        assert (await ws.receive()).data == 1013


async def test_a_watch_whose_process_died_is_forgotten(valkey_url) -> None:
    async with place(valkey_url) as here, here.watching():
        here.running.clock.advance(timedelta(seconds=16))

        await here.showing.write()

        assert await here.showing.watches.current(here.running.clock.now()) == []
        await here.send({**event(), "event_id": str(uuid4())})
