"""Ids of any shape come through a path: what a client escapes in a segment is what the handler gets."""

from typing import Any, cast
from urllib.parse import quote

import httpx
import pytest
from litestar import Router, get
from litestar.params import FromPath

from recoup.kit.errors import Unauthenticated
from recoup.kit.http import PUBLIC, HttpSettings, create_app
from recoup.kit.service import Service


@get("/carts/{cart_id:str}", opt={"permission": PUBLIC}, sync_to_thread=False)
def one(cart_id: FromPath[str]) -> dict[str, str]:
    return {"cart": cart_id}


@get("/carts/{cart_id:str}/items/{item:str}", opt={"permission": PUBLIC}, sync_to_thread=False)
def two(cart_id: FromPath[str], item: FromPath[str]) -> dict[str, str]:
    return {"cart": cart_id, "item": item}


def nobody(_: str) -> Any:
    raise Unauthenticated("nobody is known here")


async def asked(path: str) -> httpx.Response:
    app = create_app(Service(name="s", routers=[Router("/", route_handlers=[one, two])]), HttpSettings(), nobody)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", app)), base_url="http://s") as client:
        return await client.get(path)


AWKWARD = [
    "a/b",
    "/a",
    "a/",
    "a//b",
    "a/../b",
    "a?b=c",
    "50%",
    "%2F",
    "%252F",
    "a b",
    "a+b",
    "a#b",
    "käse🧀",
    "a;b",
    "'\"<",
]


@pytest.mark.parametrize("cart_id", [*AWKWARD, "x" * 128])
async def test_an_id_comes_through_as_it_is(cart_id: str):
    assert (await asked(f"/carts/{quote(cart_id, safe='')}")).json() == {"cart": cart_id}


async def test_a_boundary_is_where_the_client_put_it():
    assert (await asked("/carts/a%2Fitems%2Fb/items/c%2Fd")).json() == {"cart": "a/items/b", "item": "c/d"}
    assert (await asked("/carts/a/items/b")).json() == {"cart": "a", "item": "b"}


async def test_an_escaped_slash_opens_no_other_route():
    assert (await asked("/carts%2Fa")).status_code == 404
