"""The shopper's socket, on a real server: offered, acknowledged, resumed, shared between two processes."""

import asyncio
import hmac
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
import websockets
from granian.constants import Interfaces
from granian.server.embed import Server
from tests.services.interventions.world import SEED, SHOP, World, identified, opened, scored

from recoup.kit.http import HttpSettings, create_app
from recoup.kit.peers import Peers
from recoup.kit.ports import free_port
from recoup.kit.tokens import Signer, Verifier
from recoup.messages.access import PUBLISHABLE_KEY, Principal
from recoup.messages.proofs import ProofAnswer, ProofAsked
from recoup.services.interventions.channels.store import FRAMES
from recoup.services.interventions.settings import Settings
from recoup.services.interventions.wiring import build
from recoup.services.platform.access.domain import proven

VISITOR = "0b9f2a54-6c1d-4d0e-8f57-3a1b2c4d5e6f"
KEY = b"k" * 32


class Sisters:
    """Stands where the platform would: knows one key of the shop, and vouches with its real arithmetic."""

    async def post(self, service: str, path: str, asked: ProofAsked, kind: type[ProofAnswer]) -> ProofAnswer:
        assert (service, path) == ("platform", "/internal/proofs")
        return kind(proven=asked.store_id == SHOP and proven([KEY], asked.user_id, asked.user_hash))


async def listening(world: World) -> int:
    """How many processes hear of frames; a frame that nobody hears of is gone until its page comes again."""
    [(_, count)] = await world.deps.valkey.pubsub_numsub(FRAMES)
    return int(count)


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def serving(world: World) -> AsyncGenerator[str]:
    """The service on a port, with the loop that relays frames; its WebSocket address."""
    service = build(replace(world.deps, peers=cast("Peers", Sisters())), Settings())
    app = create_app(service, HttpSettings(), Verifier(SEED, Principal, world.clock).verify)
    port = free_port()
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False)
    relays = await listening(world)
    tasks = [asyncio.ensure_future(server.serve())]
    tasks += [asyncio.ensure_future(worker.run()) for worker in service.workers if worker.name == "relay frames"]
    try:
        async with asyncio.timeout(60):
            while await listening(world) == relays or not await answers(port):
                await asyncio.sleep(0.02)
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


def user(user_id: str, key: bytes = KEY, more: str = "") -> str:
    """The path of a user whose shop vouches with this key."""
    return f"{user_id}?user_hash={hmac.digest(key, user_id.encode(), 'sha256').hex()}{more}"


async def received(page: websockets.ClientConnection) -> dict[str, Any]:
    """The next message, whatever heartbeats come before it."""
    async with asyncio.timeout(60):
        while (message := json.loads(await page.recv()))["type"] == "heartbeat":
            pass
        return message


async def ended(world: World, kind: str) -> None:
    async with asyncio.timeout(60):
        while kind not in await world.kinds():
            await asyncio.sleep(0.05)


async def test_a_message_reaches_the_open_page_and_is_delivered_once_acknowledged(world: World):
    async with (
        serving(world) as address,
        websockets.connect(address + VISITOR, additional_headers=identity(world)) as page,
    ):
        await world.score(scored(user_id=None, anonymous_id=VISITOR))
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
        async with websockets.connect(address + VISITOR, additional_headers=identity(world)) as page:
            await world.score(scored(user_id=None, anonymous_id=VISITOR))
            await world.deliver()
            first = await received(page)
        async with websockets.connect(address + VISITOR, additional_headers=identity(world)) as page:
            assert await received(page) == first
        last = f"{VISITOR}?last_id={first['message_id']}"
        async with websockets.connect(address + last, additional_headers=identity(world)):
            await ended(world, "delivered")


async def test_two_servers_share_one_audience(database: str, valkey_url: str, world: World):
    async with (
        serving(world) as address,
        opened(database, valkey_url) as other,
        websockets.connect(address + VISITOR, additional_headers=identity(world)) as page,
    ):
        await other.score(scored(user_id=None, anonymous_id=VISITOR))
        await other.deliver()
        assert (await received(page))["payload"]["cart_id"] == "cart-1"


async def test_a_silent_page_gets_a_mail_instead(world: World):
    async with (
        serving(world) as address,
        websockets.connect(address + user("ann"), additional_headers=identity(world)) as page,
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
            await websockets.connect(address + VISITOR)


GUESSED = {
    "a user without a proof": "ann",
    "a visitor's id that can be counted": "visitor-1",
    "another user's proof": user("bob").replace("bob", "ann"),
    "a proof by another key": user("ann", b"x" * 32),
    "no proof at all": "ann?user_hash=",
    "a proof that is none": "ann?user_hash=" + "z" * 64,
    "a visitor beside the user whose id can be counted": user("ann", more="&anonymous_id=visitor-1"),
}


@pytest.mark.parametrize("path", GUESSED.values(), ids=GUESSED)
async def test_a_page_that_proves_nothing_is_refused(world: World, path: str):
    async with serving(world) as address:
        with pytest.raises(websockets.InvalidStatus, match="403"):
            await websockets.connect(address + path, additional_headers=identity(world))


async def test_a_users_message_comes_to_no_page_but_theirs(world: World):
    """Not to a device or an address that events say is theirs: anybody can send those events."""
    others = ("8c5f0c33-6f0f-4a55-a3a5-0b7a3d7c9e10", user("bob"))
    await world.happen(identified("ann", anonymous_id=others[0]), identified("bob", email="ann@example.com"))

    async with serving(world) as address, AsyncExitStack() as stack:

        async def opened(path: str) -> websockets.ClientConnection:
            page = websockets.connect(address + path, additional_headers=identity(world))
            return await stack.enter_async_context(page)

        before = [await opened(path) for path in others]
        ann = await opened(user("ann"))
        await world.score(scored())
        await world.deliver()
        assert (await received(ann))["payload"]["cart_id"] == "cart-1"
        after = [await opened(path) for path in others]
        for page in (*before, *after):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(page.recv(), 0.2)


async def test_a_page_is_asked_as_the_visitor_it_was_and_as_the_user_it_became(world: World):
    both = user("ann", more=f"&anonymous_id={VISITOR}")
    async with (
        serving(world) as address,
        websockets.connect(address + both, additional_headers=identity(world)) as page,
    ):
        await world.score(scored(user_id=None, anonymous_id=VISITOR), scored("cart-2"))
        await world.deliver()
        carts = {(await received(page))["payload"]["cart_id"] for _ in range(2)}
    assert carts == {"cart-1", "cart-2"}
