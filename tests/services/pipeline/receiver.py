"""A shop's receiver of webhooks, on a real port: it takes, fails, redirects, sends away, or lets wait, by its path."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Call:
    """What came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`calls` are all that came; those to `/slow` are answered once `released` is set."""

    port: int = 0
    calls: list[Call] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    """The status by path, where it is not 204."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def to(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.path == path]

    async def wait_for(self, path: str, count: int) -> list[Call]:
        async with asyncio.timeout(60), self.arrived:
            await self.arrived.wait_for(lambda: len(self.to(path)) >= count)
        return self.to(path)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.calls.append(Call(request.path, {name.lower(): value for name, value in request.headers.items()}, body))
        async with self.arrived:
            self.arrived.notify_all()
        if request.path == "/slow":
            await self.released.wait()
        if request.path == "/elsewhere":
            raise web.HTTPFound("/ok")
        if request.path == "/endless":
            return await _endless(request)
        return web.Response(status=self.answers.get(request.path, 204))


async def _endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(status=500)
    await answer.prepare(request)
    while True:
        await answer.write(b"no" * 10_000)


@asynccontextmanager
async def receiver() -> AsyncGenerator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made._take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        made.released.set()
        await runner.cleanup()
