"""Closes connections on which no request is under way for too long, whatever they have sent so far.

The HTTP server itself lets go of clients that say the head of an HTTP/1.1 request too slowly. It waits for ever for one
that has not said which protocol it speaks, stops in the middle of a TLS handshake, or keeps an HTTP/2 connection open
without asking; every such connection costs a file descriptor. Which connections there are is asked of Linux; elsewhere
nothing is closed.
"""

import asyncio
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from litestar.types import Receive, Scope, Send

from recoup.kit.clock import stopwatch
from recoup.kit.telemetry import logger

log = logger(__name__)
_TABLES: Final = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
_DESCRIPTORS: Final = Path("/proc/self/fd")
_ESTABLISHED: Final = "01"
App = Any


class _Connection(NamedTuple):
    """One that the system has open at our port. Two clients with one port count as busy when either is."""

    inode: int
    peer_port: str


class IdleConnections:
    """Stands before an application and knows from whose ports requests are under way."""

    def __init__(self, app: App, port: int, seconds: float) -> None:
        self._app = app
        self._port = port
        self._seconds = seconds
        self._busy: dict[str, int] = {}
        self._answered_at: dict[str, float] = {}
        self._seen_at: dict[_Connection, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        peer_port = str(client[1]) if client else ""
        self._busy[peer_port] = self._busy.get(peer_port, 0) + 1
        try:
            await self._app(scope, receive, send)
        finally:
            left = self._busy[peer_port] - 1
            if left:
                self._busy[peer_port] = left
            else:
                del self._busy[peer_port]
                self._answered_at[peer_port] = stopwatch()

    async def watch(self) -> None:
        """For ever."""
        while _TABLES[0].exists():
            await asyncio.sleep(self._seconds / 4)
            found = await asyncio.to_thread(lambda: set(_connections(self._port)))
            overdue = self._overdue(found, stopwatch())
            # Another process may listen at the same port: what is its own is for it to close.
            closed = await asyncio.to_thread(_shut_down, overdue) if overdue else 0
            if closed:
                log.info("idle connections are closed", port=self._port, closed=closed)

    def _overdue(self, found: set[_Connection], now: float) -> set[int]:
        """Inodes of connections that are open, and on which nothing was asked, for longer than may be."""
        self._seen_at = {each: self._seen_at.get(each, now) for each in found}
        ports = {each.peer_port for each in found}
        self._answered_at = {port: at for port, at in self._answered_at.items() if port in ports}
        return {
            each.inode for each, seen_at in self._seen_at.items()
            if each.peer_port not in self._busy
            and now - max(seen_at, self._answered_at.get(each.peer_port, seen_at)) >= self._seconds
        }  # fmt: skip


def _connections(port: int) -> Iterator[_Connection]:
    for table in _TABLES:
        with suppress(OSError), table.open() as lines:
            for line in lines:
                _, local, remote, state, *rest = line.split()
                if state == _ESTABLISHED and int(local.rpartition(":")[2], 16) == port:
                    yield _Connection(int(rest[5]), str(int(remote.rpartition(":")[2], 16)))


def _shut_down(inodes: Iterable[int]) -> int:
    """Ends these connections, as far as they are this process's own; the server then sees them end."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    count = 0
    for link in _DESCRIPTORS.iterdir():
        with suppress(OSError):
            inode = wanted.get(str(link.readlink()))
            if inode is None:
                continue
            # The server may have closed it, and opened another under its number, since we looked.
            with socket.socket(fileno=os.dup(int(link.name))) as connection:
                if os.fstat(connection.fileno()).st_ino == inode:
                    connection.shutdown(socket.SHUT_RDWR)
                    count += 1
    return count
