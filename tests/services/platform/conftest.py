"""A whole platform on real engines behind a real socket, and a peer behind another that says what reached it."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from granian.constants import Interfaces
from granian.server.embed import Server
from yarl import URL

from recoup.kit.balancing import Balancer
from recoup.kit.clock import SystemClock
from recoup.kit.config import Secret, new_secret
from recoup.kit.embedded import Postgres
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.log.open import open_log
from recoup.kit.migrate import migrate
from recoup.kit.passwords import Passwords
from recoup.kit.peers import Peers, TokenSource
from recoup.kit.ports import free_port
from recoup.kit.runner import Publisher
from recoup.kit.service import Service
from recoup.kit.tokens import Signer, Verifier
from recoup.kit.valkey import connect
from recoup.messages.access import Principal, service_principal
from recoup.messages.deps import Deps
from recoup.messages.stores import StoreDirectory
from recoup.services.platform import wiring
from recoup.services.platform.first_run.domain import FirstRun
from recoup.services.platform.settings import Settings

BODY_LIMIT = 300_000
SETTINGS = Settings(body_limit_bytes=BODY_LIMIT)
NAMES = ("pipeline", "ai", "interventions", "intelligence", "monitoring", "scheduler")
App = Callable[..., Awaitable[None]]
# A quarter of a second of a core for each sign-in would be most of what these tests take.
CHEAP = partial(Passwords, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@asynccontextmanager
async def listening(app, port: int | None = None) -> AsyncGenerator[str]:
    """The application behind a real socket."""
    port = port or free_port()
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            break
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        await asyncio.wait([serving], timeout=5)


@dataclass
class Peer:
    """Any service behind the gateway; `app` can be exchanged by a test."""

    url: str
    app: App

    async def __call__(self, scope, receive, send) -> None:
        await self.app(scope, receive, send)


async def echo(scope, receive, send) -> None:
    """Answers with what it was asked; sends back every message of a socket."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "bye":
                return await send({"type": "websocket.close", "code": 4321})
            if message.get("text") == "who":
                message["text"] = json.dumps(_asked(scope))
            await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
        return None
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = json.dumps({**_asked(scope), "method": scope["method"], "size": size}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"x-gone"), (b"x-gone", b"1"), (b"x-kept", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    return await send({"type": "http.response.body", "body": body, "more_body": False})


def _asked(scope) -> dict[str, object]:
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    return {"path": scope["raw_path"].decode(), "query": scope["query_string"].decode(), "headers": headers}


@dataclass
class Platform:
    """A running installation of the platform alone, its first keys, and ways to ask it."""

    url: str
    first: FirstRun
    peer: Peer
    deps: Deps
    service: Service
    http: aiohttp.ClientSession
    verifier: Verifier[Principal]

    async def ask(self, method: str, path: str, *, key: str | None = None, **options) -> tuple[int, Any, Any]:
        """Status, headers and the JSON of the answer."""
        headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **options.pop("headers", {})}
        url = URL(self.url + path, encoded=True)
        if "params" in options:
            url = url.with_query(options.pop("params"))
        async with self.http.request(method, url, headers=headers, **options) as answer:
            text = await answer.text()
            body = json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text
            return answer.status, answer.headers, body

    async def login(self) -> dict[str, Any]:
        proof = {"email": self.first.admin_email, "password": self.first.admin_password}
        status, _, tokens = await self.ask("POST", "/api/auth/login", json=proof)
        assert status == 200, tokens
        return tokens

    async def another_store(self) -> tuple[str, str]:
        """A second store of the same person, and a secret key of it."""
        _, _, store = await self.ask(
            "POST", "/api/stores", key=(await self.login())["access_token"], json={"name": "B"}
        )
        params = {"store_id": store["store_id"]}
        made = {"kind": "secret_key", "name": "other"}
        fresh = (await self.login())["access_token"]
        _, _, key = await self.ask("POST", "/api/api-keys", key=fresh, params=params, json=made)
        return store["store_id"], key["key"]


def make_deps(database: str, valkey_url: str, peers: dict[str, str], data: Path, seed: Secret, url: str) -> Deps:
    clock = SystemClock()
    signer = Signer(seed, clock, timedelta(minutes=5))
    log = open_log(valkey_url, 2, valkey_url)
    sisters = Peers(
        Balancer.of(peers), TokenSource(lambda: signer.sign(service_principal("platform")), 100), timeout_seconds=5
    )
    return Deps(
        member="platform-0", postgres_url=database, warehouse_url="", valkey=connect(valkey_url), log=log,
        publish=Publisher(log), clock=clock, peers=sisters, stores=StoreDirectory(sisters), signer=signer,
        public_url=url, data=str(data),
    )  # fmt: skip


@asynccontextmanager
async def installed(
    database: str, valkey_url: str, data: Path, settings: Settings = SETTINGS
) -> AsyncGenerator[Platform]:
    """The platform on these engines, from its first start on."""
    await migrate(database, ["platform"])
    async with AsyncExitStack() as stack:
        seed = new_secret()
        peer = Peer("", echo)
        peer.url = await stack.enter_async_context(listening(peer))
        port = free_port()
        addresses = {**dict.fromkeys(NAMES, peer.url), "platform": f"http://127.0.0.1:{port}"}
        deps = make_deps(database, valkey_url, addresses, data, seed, f"http://127.0.0.1:{port}")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wiring, "Passwords", CHEAP)
            service = wiring.build(deps, settings)
        for stop in (deps.valkey.aclose, deps.peers.close, deps.log.close, *service.on_stop):
            stack.push_async_callback(stop)
        for start in service.on_start:
            await start()
        verifier = Verifier(seed, Principal, deps.clock)
        url = await stack.enter_async_context(listening(create_app(service, HttpSettings(), verifier.verify), port))
        first = json.loads((data / "first-run.json").read_text())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Platform(url, FirstRun(**first), peer, deps, service, http, verifier)


@pytest.fixture
def deps_of() -> Callable[..., Deps]:
    """Dependencies for a platform that a test starts by itself."""
    return make_deps


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    postgres: Postgres, valkey_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    """One installation for all tests of a module, which therefore leave it as they found it or add to it."""
    name = f"platform_{uuid4().hex}"
    connection = await asyncpg.connect(postgres.url)
    try:
        await connection.execute(f'create database "{name}" strategy file_copy')
        async with installed(postgres.url_of(name), valkey_url, tmp_path_factory.mktemp("data")) as platform:
            yield platform
        await connection.execute(f'drop database "{name}" with (force)')
    finally:
        await connection.close()


@pytest_asyncio.fixture(loop_scope="module")
async def platform(running: Platform) -> Platform:
    running.peer.app = echo
    running.deps.peers.addresses.update(dict.fromkeys(NAMES, running.peer.url))  # pyright: ignore[reportAttributeAccessIssue] - a dict here
    await running.deps.valkey.flushall()
    return running
