"""Whatever is sent, the answer names what is wrong; it is never our mistake."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRITING = [
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/refresh"),
    ("POST", "/api/auth/logout"),
    ("POST", "/api/stores"),
    ("PATCH", "/api/stores/x"),
    ("PUT", "/api/config"),
    ("POST", "/api/api-keys"),
    ("DELETE", "/api/api-keys/x"),
    ("POST", "/api/users"),
    ("PATCH", "/api/users/01a204d6-8d31-716d-a832-17d62efd3b0b"),
]
BODIES = {
    "none": b"",
    "broken": b'{"name": ',
    "null": b"null",
    "list": b"[]",
    "number": b"1e999",
    "utf-8": b'{"name": "\xff\xfe"}',
    "surrogate": rb'{"name": "\ud800"}',
    "nul": rb'{"name": "a\u0000", "kind": "secret_key", "email": "a\u0000@b", "password": "\u0000", "role": "viewer"}',
    "deep": b"[" * 100_000,
    "types": b'{"name": {}, "email": 1, "password": [], "threshold": "x", "refresh_token": 7}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
@pytest.mark.parametrize(("method", "path"), WRITING)
async def test_a_bad_body_is_refused_with_a_problem(platform, method, path, body):
    owner = (await platform.login())["access_token"]
    status, headers, problem = await platform.ask(
        method, f"{path}?store_id={platform.first.store_id}", key=owner, data=body,
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    if (path, body) == ("/api/auth/logout", b"") or (path, body) == ("/api/auth/logout", b"null"):
        assert status == 204
        return
    assert 400 <= status < 500, problem
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["code"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "cursor=x", "store_id=%00", "store_id=", "limit=%FF", "action=x"]
)
@pytest.mark.parametrize("path", ["/api/audit-logs", "/api/api-keys"])
async def test_a_bad_parameter_is_refused_or_ignored(platform, path, query):
    status, _, answer = await platform.ask("GET", f"{path}?{query}", key=platform.first.secret_key)
    assert status in {200, 400, 403}, answer


@pytest.mark.parametrize("etag", ["x", '"x"', "W/", '"9999999999999"', '"-1"', '"٣"', '"1", "2"'])
async def test_a_bad_etag_is_refused(platform, etag):
    status, _, _ = await platform.ask(
        "PUT", "/api/config", key=platform.first.secret_key, json={}, headers={"If-Match": etag}
    )
    assert status in {400, 412}


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api//", "/%00", "/api/%00", "/api/stores/%00", "/api/x%2Fy", "/%ff", "/nowhere"]
)
async def test_a_path_that_is_nowhere_is_not_found(platform, path):
    status, _, answer = await platform.ask("GET", path, key=platform.first.secret_key)
    assert status in {400, 404, 405}, answer
