"""Consul's health API, with blocking queries. Registers nothing.

https://developer.hashicorp.com/consul/api-docs/health and /features/blocking. An index that goes back, or is none, is
forgotten, as Consul asks of its clients; answers that come without waiting are not asked for more often than a few
times a second.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import Meta, Struct

from recoup.kit.config import Secret
from recoup.kit.errors import Invalid, Unavailable

_PAUSE_SECONDS = 0.2
_GRACE_SECONDS = 10.0
_LONGEST_INDEX = 20
"""Digits of 64 bits."""


class _Service(Struct, rename="pascal"):
    port: Annotated[int, Meta(ge=1, le=65_535)]
    address: str = ""


class _Node(Struct, rename="pascal"):
    address: str


class _Entry(Struct, rename="pascal"):
    service: _Service
    node: _Node


@dataclass(frozen=True, slots=True)
class Consul:
    """A Consul agent."""

    base: str
    session: Callable[[], aiohttp.ClientSession]
    token: Secret
    wait_seconds: float
    """How long a blocking query waits at most."""
    longest_bytes: int
    """No answer is read further."""

    async def passing(self, name: str) -> AsyncGenerator[Sequence[tuple[str, int]]]:
        """Address and port of each instance whose checks pass, now and after every blocking query, for ever.

        Raises Unavailable where Consul does not answer, Invalid where the answer makes no sense.
        """
        index = 0
        while True:
            body, found = await self._ask(name, index)
            yield _instances(body)
            index = found if found >= index else 0
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _ask(self, name: str, index: int) -> tuple[bytes, int]:
        params = {"passing": "true", "index": str(index), "wait": f"{round(self.wait_seconds * 1000)}ms"}
        headers = {"X-Consul-Token": self.token.reveal()} if self.token else {}
        # Consul adds up to a sixteenth of the wait, so that not everybody comes back at the same time.
        timeout = aiohttp.ClientTimeout(total=self.wait_seconds * 17 / 16 + _GRACE_SECONDS)
        url = f"{self.base}/v1/health/service/{quote(name, safe='')}"
        try:
            async with self.session().get(
                url, params=params if index else {"passing": "true"}, headers=headers, timeout=timeout
            ) as answer:
                body = await _read(answer, self.longest_bytes)
                if answer.status != HTTPStatus.OK:
                    raise Unavailable(f"Consul answered {answer.status}", cause=body[:200])
                return body, _index(answer.headers.get("X-Consul-Index", ""))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable("Consul does not answer", cause=error) from error


async def _read(answer: aiohttp.ClientResponse, longest: int) -> bytes:
    body = bytearray()
    while chunk := await answer.content.readany():
        body += chunk
        if len(body) > longest:
            raise Invalid(f"Consul's answer is longer than {longest} bytes")
    return bytes(body)


def _index(header: str) -> int:
    """The index to wait for; 0, which waits for nothing, where there is none."""
    return int(header) if header.isdecimal() and len(header) <= _LONGEST_INDEX else 0


def _instances(body: bytes) -> Sequence[tuple[str, int]]:
    try:
        entries = msgspec.json.decode(body, type=list[_Entry])
    except (ValueError, RecursionError) as error:  # no JSON, not of this kind, no UTF-8, or nested without end
        raise Invalid(f"Consul's answer makes no sense: {error}") from error
    return [(_host(entry.service.address or entry.node.address), entry.service.port) for entry in entries]


def _host(address: str) -> str:
    try:
        return str(ip_address(address))
    except ValueError:
        if address and all(part.replace("-", "").isalnum() for part in address.split(".")):
            return address
        raise Invalid(f"Consul tells the address {address!r}") from None
