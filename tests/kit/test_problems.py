"""What callers are told when an engine is away: its name, and never where it lives."""

from typing import Any, cast

import httpx
import pytest
from litestar import Router, get

from recoup.kit.errors import Unauthenticated
from recoup.kit.http import PUBLIC, HttpSettings, create_app
from recoup.kit.peers import Peers, TokenSource
from recoup.kit.postgres import Postgres
from recoup.kit.service import Check, Service
from recoup.kit.valkey import connect, settled

NOWHERE = "127.0.0.1:9"


@get("/postgresql", opt={"permission": PUBLIC})
async def relational() -> None:
    await Postgres(f"postgresql://x@{NOWHERE}/x", "x").ping()


@get("/valkey", opt={"permission": PUBLIC})
async def cache() -> None:
    await settled(connect(f"redis://{NOWHERE}/0").ping())


@get("/ai", opt={"permission": PUBLIC})
async def sister() -> None:
    peers = Peers({"ai": f"http://{NOWHERE}"}, TokenSource(lambda: "", 60))
    try:
        await peers.get_bytes("ai", "/models")
    finally:
        await peers.close()


def nobody(_: str) -> Any:
    raise Unauthenticated("nobody is known here")


async def asked(path: str) -> httpx.Response:
    service = Service(
        name="s",
        routers=[Router("/", route_handlers=[relational, cache, sister])],
        checks=(Check("postgresql", Postgres(f"postgresql://x@{NOWHERE}/x", "x").ping),),
    )
    app = create_app(service, HttpSettings(), nobody)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", app)), base_url="http://s") as client:
        return await client.get(path)


@pytest.mark.parametrize("name", ["postgresql", "valkey", "ai"])
async def test_an_outage_is_told_by_name(name: str):
    answer = await asked(f"/{name}")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.json()["detail"] == f"{name} does not answer"


async def test_readiness_names_the_engine():
    answer = await asked("/health/ready")
    assert (answer.status_code, answer.json()["checks"]) == (503, {"postgresql": "postgresql does not answer"})
