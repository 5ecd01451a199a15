"""A proxy behind a real socket, and services behind it that do what a test says, byte by byte."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from recoup.kit.balancing import Balancer
from recoup.kit.errors import Failure
from recoup.kit.peers import Peers, TokenSource
from recoup.kit.ports import free_port
from recoup.kit.problems import problem, send_problem
from recoup.kit.proxy import Held, Onward, Proxy
from recoup.kit.upload import ProxyLimits

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(app, **options) -> AsyncGenerator[str]:
    """The application behind a real socket, as our processes serve it."""
    port = free_port()
    server = Server(
        app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False,
        http1_settings=HTTP1Settings(header_read_timeout=1_000), **options,
    )  # fmt: skip
    serving = asyncio.ensure_future(server.serve())
    await until_open(port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        await asyncio.wait([serving], timeout=5)


async def until_open(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            return


@dataclass
class Instance:
    """An instance of a service as bytes: counts what reaches it and behaves as told."""

    name: str
    behaviour: Behaviour | None = None
    port: int = field(default_factory=free_port)
    heads: list[bytes] = field(default_factory=list)
    server: asyncio.Server | None = None
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """As if the process had been killed."""
        assert self.server is not None
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                if self.behaviour is not None:
                    await self.behaviour(reader, writer)
                else:
                    await self.answer(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reads a body of the declared length and says its own name."""
        length = next(
            (int(line[15:]) for line in self.heads[-1].lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        await reader.readexactly(length)
        writer.write(said(200, self.name.encode()))
        await writer.drain()


def said(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass
class Front:
    """A proxy to one service, `ai`, and a client in front of it."""

    url: str
    http: aiohttp.ClientSession
    balancer: Balancer
    peers: Peers

    async def ask(self, method: str = "GET", path: str = "/x", **options) -> tuple[int, bytes]:
        async with self.http.request(method, self.url + path, **options) as answer:
            return answer.status, await answer.read()


@asynccontextmanager
async def fronted(
    balancer: Balancer,
    limits: ProxyLimits | None = None,
    *,
    repeatable: frozenset[str] = frozenset({"GET", "PUT"}),
    held: Held | None = None,
) -> AsyncGenerator[Front]:
    """The proxy, as the gateway uses it: below everything else."""
    async with AsyncExitStack() as stack:
        peers = Peers(balancer, TokenSource(str, 60))
        stack.push_async_callback(peers.close)
        limits = limits or ProxyLimits(body_bytes=300_000, frame_bytes=1_000_000)
        proxy = Proxy(peers.session, balancer, limits, lambda: 0.5, peers.ssl)

        async def app(scope, receive, send):
            onward = Onward("ai", scope["raw_path"].decode(), {}, frozenset(), scope.get("method") in repeatable)
            if scope["type"] == "websocket":
                await receive()
                return await proxy.connect(scope, receive, send, onward, held)
            try:
                await proxy.forward(scope, receive, send, onward)
            except Failure as error:
                await send_problem(send, problem(error, ""))

        url = await stack.enter_async_context(listening(app))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Front(url, http, balancer, peers)
