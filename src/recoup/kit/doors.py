"""Where a process listens: its port, with TLS or without, and a second door for our own services.

With mutual TLS, connections are ended by Python's own TLS, which can show us the other side's certificate (the HTTP
server can't), and passed on to the HTTP server over a socket that only this process's user can open.
"""

import asyncio
import resource
import tempfile
from collections.abc import AsyncGenerator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from ssl import SSLContext
from typing import Any, Literal

from granian.constants import Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server
from msgspec import Struct

from recoup.kit.errors import Invalid
from recoup.kit.idle import IdleConnections
from recoup.kit.spiffe import Identity
from recoup.kit.telemetry import logger

log = logger(__name__)
DRAIN_SECONDS = 8.0
MOST_DESCRIPTORS = 65_536
_CHUNK = 65_536
App = Any


class Tls(Struct, frozen=True, kw_only=True):
    """The public port's certificate, in PEM; none means plain HTTP."""

    certificate: str = ""
    key: str = ""
    minimum: Literal["1.2", "1.3"] = "1.2"


class Doors(Struct, frozen=True, kw_only=True):
    """How a process listens."""

    host: str
    port: int
    inner_port: int = 0
    """A second door for our own services; 0 for none."""
    header_seconds: float = 30.0
    tls: Tls = Tls()
    identity: Identity | None = None
    callers: Collection[str] = ()
    """Who may come in by mutual TLS."""


@asynccontextmanager
async def opened(app: App, doors: Doors) -> AsyncGenerator["asyncio.Future[None]"]:
    """Listens until it is left, then drains. What it gives is done if a server ends by itself."""
    async with AsyncExitStack() as stack:
        inner = doors.inner_port or (doors.port if doors.identity is not None else 0)
        serving: list[asyncio.Future[None]] = []
        _allow_connections()
        if doors.inner_port or doors.identity is None:
            watched = IdleConnections(app, doors.port, doors.header_seconds)
            serving.append(await stack.enter_async_context(_served(watched, doors, _public(doors))))
            stack.callback(asyncio.ensure_future(watched.watch()).cancel)
        if inner and doors.identity is None:
            serving.append(
                await stack.enter_async_context(_served(app, doors, {"address": "127.0.0.1", "port": inner}))
            )
        if inner and doors.identity is not None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="recoup-"))  # 0700
            path = Path(folder) / "http"
            serving.append(await stack.enter_async_context(_served(app, doors, {"uds": path})))
            context = doors.identity.server(doors.callers)
            await stack.enter_async_context(_relayed(doors.host, inner, context, path))
        yield asyncio.ensure_future(_first(serving))


def _allow_connections() -> None:
    """As many as the system lets us have: what a shell grants by default, 1,024, is a shop's busy minute."""
    _, hardest = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hardest == resource.RLIM_INFINITY else min(hardest, MOST_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hardest))


def _public(doors: Doors) -> dict[str, Any]:
    where: dict[str, Any] = {"address": doors.host, "port": doors.port}
    if not doors.tls.certificate:
        return where
    certificate, key = Path(doors.tls.certificate), Path(doors.tls.key)
    if not certificate.is_file() or not key.is_file():
        raise Invalid("tls.certificate and tls.key must both be files")
    minimum = SSLProtocols.tls12 if doors.tls.minimum == "1.2" else SSLProtocols.tls13
    return {**where, "ssl_cert": certificate, "ssl_key": key, "ssl_protocol_min": minimum}


@asynccontextmanager
async def _served(app: App, doors: Doors, where: dict[str, Any]) -> AsyncGenerator["asyncio.Future[None]"]:
    server = Server(
        app, interface=Interfaces.ASGINL, log_enabled=False, websockets=True, backlog=1024,
        http1_settings=HTTP1Settings(header_read_timeout=round(doors.header_seconds * 1000)), **where,
    )  # fmt: skip
    serving = asyncio.ensure_future(server.serve())
    try:
        yield serving
    finally:
        server.stop()
        await asyncio.wait([serving], timeout=DRAIN_SECONDS)


@asynccontextmanager
async def _relayed(host: str, port: int, context: SSLContext, target: Path) -> AsyncGenerator[None]:
    """Passes bytes of connections that proved themselves on to a socket of ours, neither side faster than the other."""
    passing: set[asyncio.Task[None]] = set()

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_pass(reader, writer, target))
        passing.add(task)
        task.add_done_callback(passing.discard)
        await asyncio.wait([task])

    server = await asyncio.start_server(passed, host, port, ssl=context, limit=_CHUNK, backlog=1024)
    try:
        yield
    finally:
        server.close()
        for task in list(passing):
            task.cancel()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Path) -> None:
    try:
        there_reader, there = await asyncio.open_unix_connection(target, limit=_CHUNK)
    except OSError as error:
        log.warning("a connection was not passed on", why=str(error))
        writer.close()
        return
    ways = [asyncio.ensure_future(_pump(reader, there)), asyncio.ensure_future(_pump(there_reader, writer))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        writer.close()
        there.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    except OSError:
        return  # one side has gone; the other is told by being closed


async def _first(serving: list["asyncio.Future[None]"]) -> None:
    await asyncio.wait(serving, return_when=asyncio.FIRST_COMPLETED)
