"""`/health/detailed`, and the readiness checks that make the platform ready only when everybody is."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from litestar import get
from litestar.di import NamedDependency
from msgspec import Struct

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Failure
from recoup.kit.http import PUBLIC
from recoup.kit.peers import Peers
from recoup.kit.service import Check

PATIENCE_SECONDS: Final = 1.5
SELF: Final = "platform"


class Condition(Struct, frozen=True, kw_only=True):
    """One service or engine: `ok`, or what is wrong, and how long it took to say."""

    name: str
    status: str
    latency_ms: float


class Detailed(Struct, frozen=True, kw_only=True):
    """`ok` when every part is."""

    status: str
    services: Sequence[Condition]


class EnginesAndPeers:
    """Everything whose health is asked for."""

    def __init__(self, peers: Peers, engines: Sequence[Check]) -> None:
        others = [name for name in peers.addresses if name != SELF]
        self.checks = [*engines, *(Check(name, _asking(peers, name)) for name in others)]


@get("/health/detailed", opt={"permission": PUBLIC})
async def detailed(parts: NamedDependency[EnginesAndPeers]) -> Detailed:
    """Every service and engine with its answering time."""
    conditions = await asyncio.gather(*(_condition(check) for check in parts.checks))
    good = all(condition.status == "ok" for condition in conditions)
    return Detailed(status="ok" if good else "unavailable", services=conditions)


async def _condition(check: Check) -> Condition:
    started = stopwatch()
    status = "ok"
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await check.ping()
    except Failure as failure:
        status = failure.said
    except TimeoutError:
        status = f"no answer within {PATIENCE_SECONDS:g} s"
    return Condition(name=check.name, status=status, latency_ms=round((stopwatch() - started) * 1000, 2))


def _asking(peers: Peers, name: str) -> Callable[[], Awaitable[object]]:
    async def ask() -> object:
        return await peers.get_bytes(name, "/health/ready")

    return ask


HANDLERS = (detailed,)
