"""The Valkey client: one pool a process, binary answers, and failures as `Unavailable`. Knows no key of anyone's."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar, cast

from redis.asyncio import Connection, Redis, UnixDomainSocketConnection
from redis.asyncio.client import Pipeline
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.typing import EncodableT

from recoup.kit.errors import Unavailable

__all__ = ["Pipeline", "Valkey", "connect", "ping", "set_many", "settled", "translated", "watched"]

Valkey = Redis
T = TypeVar("T")

# Answers of a server that is alive but cannot take writes just now; worth a retry, like a refused connection.
_PASSING = ("MISCONF", "LOADING", "READONLY", "BUSY", "OOM")


def connect(url: str, *, timeout_seconds: float = 10.0) -> Valkey:
    """A client on `url` (redis://host:port/db or unix:///path); opens nothing until it is used."""
    kind = _UnixConnection if url.startswith("unix:") else _Connection
    client = Redis.from_url(url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds)
    # Given as an argument, the URL's own choice would override it.
    client.connection_pool.connection_class = kind
    return client


async def ping(client: Valkey) -> None:
    """Raises Unavailable unless the server answers."""
    await settled(client.ping())


class _PacksInC:
    """Turns commands into bytes with hiredis: a tenth of the asyncio client's own way for commands of many members."""

    _packer = HiredisRespSerializer()

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        return cast("list[bytes]", self._packer.pack(*args))  # pyright: ignore[reportArgumentType] - its stub is wrong


class _Connection(_PacksInC, Connection):
    # typing.override came with Python 3.12.
    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # pyright: ignore[reportImplicitOverride]
        await _sent(self, partial(super().send_packed_command, *args, **kwargs))


class _UnixConnection(_PacksInC, UnixDomainSocketConnection):
    # typing.override came with Python 3.12.
    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # pyright: ignore[reportImplicitOverride]
        await _sent(self, partial(super().send_packed_command, *args, **kwargs))


async def _sent(connection: Connection | UnixDomainSocketConnection, send: Callable[[], Awaitable[None]]) -> None:
    """Sends under a time limit of ours.

    The client's own is `asyncio.wait_for`, which takes a task for every command, and on Python 3.11 swallows a
    cancellation that arrives as the write ends: a worker that was told to stop would go on.
    """
    if not connection.is_connected:
        await connection.connect()
    limit, connection.socket_timeout = connection.socket_timeout, None
    try:
        async with asyncio.timeout(limit):
            await send()
    except TimeoutError as error:
        raise RedisTimeoutError("Timeout writing to socket") from error
    finally:
        connection.socket_timeout = limit


async def set_many(client: Valkey, pairs: Sequence[tuple[str, bytes]], lifetime: timedelta) -> None:
    """Sets keys, each for the same time, all at once. MSETEX costs the server a third of what a script does."""
    if not pairs:
        return
    words = [word for pair in pairs for word in pair]
    milliseconds = round(lifetime.total_seconds() * 1000)
    try:
        await settled(client.execute_command("MSETEX", len(pairs), *words, "PX", milliseconds))
    except ResponseError as error:
        if "unknown command" not in str(error):
            raise
        keys, values = words[::2], words[1::2]
        await settled(client.eval(_SET_MANY, len(keys), *keys, str(milliseconds), *values))


_SET_MANY = "for at = 1, #KEYS do redis.call('SET', KEYS[at], ARGV[at + 1], 'PX', ARGV[1]) end"
"""For servers before Valkey 9.1 and Redis 8.4."""


async def watched(pipe: Pipeline, keys: Sequence[str]) -> Sequence[bytes | None]:
    """Watches keys for the transaction to come, and reads them, in one trip; the client's own way takes two.

    For a pipeline that was not used yet.
    """
    connection = pipe.connection = cast("Connection", await pipe.connection_pool.get_connection())
    pipe.watching = True
    await connection.send_packed_command(connection.pack_commands([("WATCH", *keys), ("MGET", *keys)]))
    await connection.read_response()
    return cast("Sequence[bytes | None]", await connection.read_response())


async def settled(answer: Awaitable[T] | T) -> T:
    """An answer of the client, whose annotations promise "awaitable or not" for what is always awaitable here."""
    with translated():
        return await cast("Awaitable[T]", answer)


@contextmanager
def translated() -> Generator[None]:
    """Turns an outage into `Unavailable`; a wrong command stays a bug."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ConnectionError) as error:
        raise Unavailable("valkey does not answer", cause=error) from error
    except ResponseError as error:
        if str(error).startswith(_PASSING):
            raise Unavailable("valkey takes no writes", cause=error) from error
        raise
