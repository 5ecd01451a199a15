"""The Valkey client: one pool a process, binary answers, and failures as `Unavailable`. Knows no key of anyone's."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ResponseError, TimeoutError as RedisTimeoutError

from recoup.kit.errors import Unavailable

__all__ = ["Pipeline", "Valkey", "connect", "settled", "translated"]

Valkey = Redis
T = TypeVar("T")

# Answers of a server that is alive but cannot take writes just now; worth a retry, like a refused connection.
_PASSING = ("MISCONF", "LOADING", "READONLY", "BUSY", "OOM")


def connect(url: str, *, timeout_seconds: float = 10.0) -> Valkey:
    """A client on `url` (redis://host:port/db or unix:///path); opens nothing until it is used."""
    return Redis.from_url(url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds)


async def settled(answer: Awaitable[T] | T) -> T:
    """An answer of the client, whose annotations promise "awaitable or not" for what is always awaitable here."""
    with translated():
        return await cast("Awaitable[T]", answer)


@contextmanager
def translated() -> Iterator[None]:
    """Turns an outage into `Unavailable`; a wrong command stays a bug."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ConnectionError) as error:
        raise Unavailable(f"valkey does not answer: {error}") from error
    except ResponseError as error:
        if str(error).startswith(_PASSING):
            raise Unavailable(f"valkey takes no writes: {error}") from error
        raise
