"""JSON bodies: said to be JSON, and bounded in depth and number before anything is made of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Router, post
from litestar.params import JSONBody
from litestar.testing import AsyncTestClient

from recoup.kit.bodies import demand_shape, is_plain
from recoup.kit.errors import Invalid
from recoup.kit.http import PUBLIC, HttpSettings, create_app
from recoup.kit.service import Service

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def depth(document) -> int:
    inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def members(document) -> int:
    inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return len(inner) + sum(map(members, inner))


@given(DOCUMENTS, st.integers(0, 5), st.integers(0, 12))
def test_a_document_passes_exactly_if_it_is_within_both_limits(document, deepest, most):
    fits = depth(document) <= deepest and members(document) <= most
    try:
        demand_shape(document, deepest, most)
    except Invalid:
        assert not fits
    else:
        assert fits
    if is_plain(json.dumps(document).encode(), deepest, most):
        assert fits


@post("/things", opt={"permission": PUBLIC})
async def take(data: JSONBody[dict[str, object]]) -> dict[str, int]:
    return {"members": len(data)}


@pytest.fixture
async def client():
    service = Service(name="some", routers=(Router("/", route_handlers=[take]),))
    app = create_app(service, HttpSettings(json_depth=4, json_members=20), lambda _: pytest.fail("nobody asks"))
    async with AsyncTestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 201), ("Application/JSON; charset=utf-8", 201), ("application/vnd.some.v1+json", 201),
        ("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("multipart/form-data; boundary=x", 415),
        ("text/html+json", 415), ("", 415),
    ],
)  # fmt: skip
async def test_a_body_is_json_only_if_it_says_so(client, content_type, status):
    answer = await client.post("/things", content=b'{"a": 1}', headers={"Content-Type": content_type})
    assert answer.status_code == status
    assert status == 201 or answer.json()["code"] == "content_type"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"a": [[[1]]]}', None),
        (b'{"a": [[[[1]]]]}', "json_too_deep"),
        (b'{"a": "[[[[[[[[[[[[[[[[[[[[[[,,,,,,,,,,,,,,,,,,,,,,"}', None),
        (b'{"a": [' + b",".join([b"1"] * 19) + b"]}", None),
        (b'{"a": [' + b",".join([b"1"] * 20) + b"]}", "json_too_many"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "malformed"),
    ],
    ids=["as deep as may be", "too deep", "signs in a text", "as many as may be", "too many", "endless"],
)
async def test_a_body_within_its_limits_is_read_and_any_other_is_not(client, body, code):
    answer = await client.post("/things", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code == 201) is (code is None)
    assert answer.json().get("code") == code
