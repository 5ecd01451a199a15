"""What browsers are told: which pages may ask, and to be careful with every answer."""

import asyncio

import pytest
import pytest_asyncio

from recoup.services.platform.gateway import domain
from recoup.services.platform.gateway.actions import Edge

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHOP, OTHER = "https://shop.example", "https://other.example"
PATIENCE_SECONDS = 60


async def preflight(platform, origin, path="/api/events/batch"):
    asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    status, headers, _ = await platform.ask("OPTIONS", path, headers=asking)
    assert status == 204
    return headers.get("Access-Control-Allow-Origin")


async def asked(platform, origin, key=None):
    headers = {"X-Api-Key": key or platform.first.publishable_key, **({"Origin": origin} if origin else {})}
    return await platform.ask("POST", "/api/events/batch", headers=headers, json=[])


async def register(platform, *origins):
    key = platform.first.secret_key
    _, _, settings = await platform.ask("GET", "/api/config", key=key)
    wanted = {**settings, "allowed_origins": list(origins)}
    status, _, body = await platform.ask("PUT", "/api/config", key=key, json=wanted)
    return status, body


async def until(true) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await true():
            await asyncio.sleep(0.05)


@pytest_asyncio.fixture(loop_scope="module")
async def registered(platform):
    """The store allows pages of its shop and of hosts below it."""
    platform.deps.stores._known.clear()
    assert (await register(platform, SHOP, "https://*.shop.example"))[0] == 200
    # The directory learns of it by a topic, which nobody reads in these tests.
    platform.deps.stores._known.clear()
    yield platform
    await register(platform)
    platform.deps.stores._known.clear()


async def test_a_store_that_registered_nothing_lets_pages_of_any_site_ask(platform):
    assert await preflight(platform, OTHER) == "*"
    status, headers, _ = await asked(platform, OTHER)
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*")


async def test_only_registered_pages_may_use_a_publishable_key(registered):
    async def has_learned():
        return await preflight(registered, OTHER) is None

    await until(has_learned)
    for origin in (SHOP, "https://www.shop.example"):
        assert await preflight(registered, origin) == origin
        status, headers, _ = await asked(registered, origin)
        assert (status, headers["Access-Control-Allow-Origin"], headers["Vary"]) == (200, origin, "origin")
    for origin in (OTHER, "https://shop.example.evil.example", "http://shop.example", "null"):
        assert await preflight(registered, origin) is None
        status, headers, problem = await asked(registered, origin)
        assert (status, problem["code"]) == (403, "origin_refused")
        assert "Access-Control-Allow-Origin" not in headers


async def test_servers_and_secret_keys_send_no_origin_and_need_none(registered):
    assert (await asked(registered, None))[0] == 200
    assert (await asked(registered, OTHER, registered.first.secret_key))[0] == 200


async def test_a_preflight_asks_no_service(platform):
    async def silent(scope, receive, send):
        raise AssertionError(scope)

    platform.peer.app = silent
    await preflight(platform, SHOP)


@pytest.mark.parametrize(
    "origin", ["shop.example", "https://shop.example/", "https://shop.example/x", "*", "https://*"]
)
async def test_what_is_no_origin_is_not_registered(platform, origin):
    status, _ = await register(platform, origin)
    assert status == 400


PATHS = [
    "/", "/console/main.js", "/shop", "/sdk/recoup.js", "/docs", "/health", "/nowhere", "/api/carts", "/api/config",
    "/api/events/batch", "/api/unsubscribe/x", "/api/track/open/x.gif", "/api/../x",
]  # fmt: skip


@pytest.mark.parametrize("key", [True, False])
@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_tells_browsers_to_be_careful(platform, path, key):
    _, headers, _ = await platform.ask("GET", path, key=platform.first.secret_key if key else None)
    assert headers["X-Content-Type-Options"] == "nosniff"
    if path != "/sdk/recoup.js":
        assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] in {"no-referrer", "same-origin"}
    assert len(headers.getall("Content-Security-Policy")) == 1
    assert "Cache-Control" in headers
    assert "Strict-Transport-Security" not in headers


@pytest.mark.parametrize(("content_type", "style"), [(b"text/html; charset=utf-8", True), (b"text/css", False)])
async def test_a_page_of_words_may_have_its_style_and_nothing_else(content_type, style):
    found = dict(domain.secured([(b"Content-Type", content_type)], is_api=True, is_secure=False))
    policy = found[b"content-security-policy"]
    assert (b"style-src" in policy) is style
    assert b"script-src" not in policy


async def test_over_tls_browsers_are_told_to_stay_with_it():
    assert domain.LASTING_TLS in domain.secured([], is_api=True, is_secure=True)


async def test_what_an_answer_says_itself_stands():
    said = [(b"cache-control", b"max-age=60"), (b"content-security-policy", b"default-src 'self'")]
    assert not {name for name, _ in said} & set(dict(domain.secured(said, is_api=True, is_secure=True)))


async def test_a_database_that_does_not_answer_holds_up_no_request():
    answers = asyncio.Event()

    async def slow():
        await answers.wait()
        return [[SHOP]]

    edge = Edge(slow, is_secure=False)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert dict(await edge.cors(OTHER))[b"access-control-allow-origin"] == b"*"
        answers.set()
        while b"access-control-allow-origin" in dict(await edge.cors(OTHER)):
            await asyncio.sleep(0)
