"""The shopper's socket, on a real server: offered, acknowledged, resumed, shared between two processes."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import websockets
from granian.constants import Interfaces
from granian.server.embed import Server
from tests.services.interventions.world import SEED, SHOP, World, identified, opened, scored

from recoup.kit.http import HttpSettings, create_app
from recoup.kit.tokens import Signer, Verifier
from recoup.messages.access import PUBLISHABLE_KEY, Principal
from recoup.services.interventions.settings import Settings
from recoup.services.interventions.wiring import build


@asynccontextmanager
async def serving(world: World) -> AsyncGenerator[str]:
    """The service on a port, with the loop that relays frames; its WebSocket address."""
    service = build(world.deps, Settings())
    app = create_app(service, HttpSettings(), Verifier(SEED, Principal, world.clock).verify)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False)
    tasks = [asyncio.ensure_future(server.serve())]
    tasks += [asyncio.ensure_future(worker.run()) for worker in service.workers if worker.name == "relay frames"]
    try:
        await asyncio.sleep(0.3)
        yield f"ws://127.0.0.1:{port}/ws/user/"
    finally:
        server.stop()
        tasks[1].cancel()
        await asyncio.wait(tasks, timeout=5)
        for stop in service.on_stop:
            await stop()


def identity(world: World) -> dict[str, str]:
    who = Principal(subject="key", kind="publishable_key", stores={SHOP: sorted(PUBLISHABLE_KEY)})
    return {"X-Recoup-Identity": Signer(SEED, world.clock, timedelta(minutes=5)).sign(who)}


async def received(page: websockets.ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        return json.loads(await page.recv())


async def ended(world: World, kind: str) -> None:
    async with asyncio.timeout(10):
        while kind not in await world.kinds():
            await asyncio.sleep(0.05)


async def test_a_message_reaches_the_open_page_and_is_delivered_once_acknowledged(world: World):
    async with (
        serving(world) as address,
        websockets.connect(address + "visitor", additional_headers=identity(world)) as page,
    ):
        await world.score(scored(user_id=None, anonymous_id="visitor"))
        await world.deliver()
        message = await received(page)
        assert (message["type"], message["payload"]["title"]) == ("intervention", "You left something behind")
        assert message["payload"]["url"] == "https://shop.example/cart?cart=cart-1"
        assert await world.kinds() == ["decided"]
        await page.send(json.dumps({"type": "ack", "message_id": "made up"}))
        await page.send("not json")
        await page.send(json.dumps({"type": "ack", "message_id": message["message_id"]}))
        await ended(world, "delivered")
    assert [event.channel for event in await world.told()] == ["websocket", "websocket"]


async def test_what_was_not_acknowledged_comes_again_after_reconnecting(world: World):
    async with serving(world) as address:
        async with websockets.connect(address + "visitor", additional_headers=identity(world)) as page:
            await world.score(scored(user_id=None, anonymous_id="visitor"))
            await world.deliver()
            first = await received(page)
        async with websockets.connect(address + "visitor", additional_headers=identity(world)) as page:
            assert await received(page) == first
        last = f"visitor?last_id={first['message_id']}"
        async with websockets.connect(address + last, additional_headers=identity(world)):
            await ended(world, "delivered")


async def test_two_servers_share_one_audience(database: str, valkey_url: str, world: World):
    async with (
        serving(world) as address,
        opened(database, valkey_url) as other,
        websockets.connect(address + "visitor", additional_headers=identity(world)) as page,
    ):
        await other.score(scored(user_id=None, anonymous_id="visitor"))
        await other.deliver()
        assert (await received(page))["payload"]["cart_id"] == "cart-1"


async def test_a_silent_page_gets_a_mail_instead(world: World):
    async with (
        serving(world) as address,
        websockets.connect(address + "ann", additional_headers=identity(world)) as page,
    ):
        await world.happen(identified())
        await world.score(scored())
        for seconds in (6, 11, 21, 0):
            await world.deliver()
            world.clock.advance(timedelta(seconds=seconds))
        assert (await received(page))["type"] == "intervention"
    assert [event.channel for event in await world.told() if event.kind == "delivered"] == ["email"]


async def test_a_socket_without_an_identity_is_refused(world: World):
    async with serving(world) as address:
        with pytest.raises(websockets.InvalidStatus, match="403"):
            await websockets.connect(address + "visitor")
