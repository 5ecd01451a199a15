"""The door: where requests go, what comes in with them, what is kept out."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import aiohttp
import httpx
import pytest
from litestar import Router, get
from tests.services.platform.conftest import echo, listening

from recoup.kit.errors import Invalid
from recoup.kit.http import HttpSettings, create_app
from recoup.services.platform.gateway.domain import networks

pytestmark = pytest.mark.asyncio(loop_scope="module")
BODY_LIMIT = 300_000  # as in conftest


async def own_stamp(platform, key=None) -> str:
    _, _, seen = await platform.ask("GET", "/api/carts", key=key or platform.first.secret_key)
    return seen["headers"]["x-recoup-identity"]


async def test_a_request_reaches_its_service_under_the_services_own_path(platform):
    status, headers, seen = await platform.ask(
        "POST", "/api/events/batch%20x?a=1%262&b", key=platform.first.secret_key, data=b"x" * 250_000
    )
    assert (status, seen["path"], seen["query"], seen["size"]) == (200, "/events/batch%20x", "a=1%262&b", 250_000)
    assert headers["X-Kept"] == "1"
    assert "X-Gone" not in headers


async def test_http_2_outside_is_http_1_1_inside(platform):
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["http_version"])
        await echo(scope, receive, send)

    platform.peer.app = app
    async with httpx.AsyncClient(http1=False, http2=True, base_url=platform.url, timeout=60) as client:
        headers = {"X-Api-Key": platform.first.secret_key}
        answer = await client.post("/api/events", headers=headers, content=b"x" * 200_000)
    assert (answer.http_version, answer.status_code, answer.json()["size"]) == ("HTTP/2", 200, 200_000)
    assert answer.json()["headers"]["x-forwarded-host"] == platform.url.removeprefix("http://")
    assert seen == ["1.1"]


async def test_an_id_with_any_sign_in_it_reaches_its_service_as_it_was_sent(platform):
    path = "/carts/a%2F..%2Fb%3F%25%20k%C3%A4se"
    status, _, seen = await platform.ask("GET", f"/api{path}", key=platform.first.secret_key)
    assert (status, seen["path"]) == (200, path)


async def test_services_are_told_who_asks_and_nobody_can_say_it_himself(platform):
    stronger = await own_stamp(platform)
    _, _, seen = await platform.ask(
        "GET", "/api/carts", key=platform.first.publishable_key, headers={"X-Recoup-Identity": stronger}
    )
    principal = platform.verifier.verify(seen["headers"]["x-recoup-identity"])
    assert principal.kind == "publishable_key"
    assert list(principal.stores) == [platform.first.store_id]
    assert not {"authorization", "x-api-key"} & set(seen["headers"])


async def test_the_same_caller_comes_with_the_same_internal_token(platform):
    assert await own_stamp(platform) == await own_stamp(platform)


@pytest.mark.parametrize("key", [None, "rk_live_nonsense", "rk_live_" + "0" * 49, "v4.public.nonsense", "é", ""])
async def test_without_a_good_key_nothing_passes(platform, key):
    headers = {"X-Api-Key": key} if key is not None else {}
    status, headers, problem = await platform.ask("GET", "/api/carts", headers=headers)
    assert status == 401
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["code"] in {"unauthenticated", "key_invalid", "key_mistyped", "token_invalid"}


@pytest.mark.parametrize("name", ["X-Api-Key", "Authorization"])
async def test_a_key_is_taken_from_either_header(platform, name):
    value = platform.first.secret_key if name == "X-Api-Key" else f"bearer {platform.first.secret_key}"
    status, _, _ = await platform.ask("GET", "/api/carts", headers={name: value})
    assert status == 200


@pytest.mark.parametrize("path", ["/api/track/click/x", "/api/track/open/x.gif", "/api/unsubscribe/x"])
async def test_links_from_a_mail_need_no_identity_and_carry_none(platform, path):
    status, _, seen = await platform.ask("GET", path, headers={"X-Recoup-Identity": await own_stamp(platform)})
    assert status == 200
    assert "x-recoup-identity" not in seen["headers"]


@pytest.mark.parametrize(
    "path", ["/api/internal/stores", "/api/%69nternal/stores", "/api/../internal/stores", "/x/../y"]
)
async def test_what_is_internal_is_nowhere_from_outside(platform, path):
    status, _, _ = await platform.ask("GET", path, key=platform.first.secret_key)
    assert status == 404


async def test_internal_routes_take_our_services_only(platform):
    ours = {"X-Recoup-Identity": platform.deps.peers.identity.token()}
    status, _, stores = await platform.ask("GET", "/internal/stores", headers=ours)
    assert (status, stores[0]["store_id"]) == (200, platform.first.store_id)
    theirs = {"X-Recoup-Identity": await own_stamp(platform)}
    assert (await platform.ask("GET", "/internal/stores", headers=theirs))[0] == 403
    assert (await platform.ask("GET", "/internal/stores", key=platform.first.secret_key))[0] == 401


async def test_a_request_keeps_its_id_and_its_trace(platform):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    _, headers, seen = await platform.ask(
        "GET", "/api/carts", key=platform.first.secret_key, headers={"X-Request-Id": "mine", "traceparent": trace}
    )
    assert headers["X-Request-Id"] == seen["headers"]["x-request-id"] == "mine"
    assert seen["headers"]["traceparent"].split("-")[1] == trace.split("-")[1]


async def test_the_address_of_the_client_is_ours_to_say(platform):
    _, _, seen = await platform.ask(
        "GET", "/api/carts", key=platform.first.secret_key, headers={"X-Forwarded-For": "6.6.6.6", "Forwarded": "x"}
    )
    assert seen["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert seen["headers"]["x-forwarded-host"] == platform.url.removeprefix("http://")
    assert "forwarded" not in seen["headers"]


@pytest.mark.parametrize(
    ("trusted", "believed"),
    [("127.0.0.0/8", ("1.2.3.4", "https", "shop.example")), ("10.0.0.0/8", ("127.0.0.1", "http", None))],
)
async def test_a_proxy_is_believed_only_where_it_is_one_of_ours(platform, trusted, believed):
    said = {
        "X-Forwarded-For": "6.6.6.6, 1.2.3.4, 127.0.0.9", "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example", "X-Api-Key": platform.first.secret_key,
    }  # fmt: skip
    gateway = replace(platform.service.front(None), trusted_proxies=networks(trusted))
    async with listening(gateway) as url, platform.http.get(f"{url}/api/carts", headers=said) as answer:
        seen = (await answer.json())["headers"]
    address, scheme, host = believed
    assert seen["x-forwarded-for"] == address
    assert seen["x-forwarded-proto"] == scheme
    assert seen["x-forwarded-host"] == (host or url.removeprefix("http://"))


async def many(size: int):
    for _ in range(size // 50_000):
        yield b"x" * 50_000


@pytest.mark.parametrize("body", [b"x" * (BODY_LIMIT + 1), None], ids=["declared", "chunked"])
async def test_too_long_a_body_is_refused_before_it_is_passed_on(platform, body):
    status, headers, problem = await platform.ask(
        "POST", "/api/events", key=platform.first.secret_key, data=body if body is not None else many(2_000_000)
    )
    assert (status, problem["code"]) == (413, "too_large")
    assert headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "size", "expected"),
    [("/webhooks/shopify/a-shop", BODY_LIMIT + 1, 200), ("/api/webhooks/woocommerce/a-shop", 2 * BODY_LIMIT, 200),
     ("/webhooks/shopify/a-shop", 2 * BODY_LIMIT + 1, 413), ("/api/webhooks/secrets/shopify", BODY_LIMIT + 1, 413)],
)  # fmt: skip
async def test_deliveries_of_shop_platforms_have_a_limit_of_their_own(platform, path, size, expected):
    gateway = replace(platform.service.front(None), webhook_bytes=2 * BODY_LIMIT)
    key = {"X-Api-Key": platform.first.secret_key}
    async with listening(gateway) as url, platform.http.post(url + path, data=b"x" * size, headers=key) as answer:
        assert answer.status == expected
        assert expected == 413 or (await answer.json())["size"] == size


@pytest.mark.parametrize(
    ("path", "told"),
    [("/api/events/batch", True), ("/api/events?store_id=another", False), ("/api/predict", False)],
)
async def test_the_collector_is_told_of_a_body_that_never_reached_it(platform, path, told):
    seen = []

    async def collector(scope, receive, send):
        seen.append((scope["path"], (await receive())["body"]))
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": seen[-1][1], "more_body": False})

    platform.peer.app = collector
    body = b"x" * (BODY_LIMIT + 1)
    status, _, problem = await platform.ask("POST", path, key=platform.first.publishable_key, data=body)
    assert (status, problem["code"]) == (413, "too_large")
    refused = f'{{"store_id":"{platform.first.store_id}","code":"too_large"}}'.encode()
    assert seen == ([("/events/refusals", refused)] if told else [])


async def test_a_service_that_is_away_is_a_problem_to_try_again(platform):
    platform.deps.peers.addresses["ai"] = "http://127.0.0.1:9"
    status, headers, problem = await platform.ask("GET", "/api/predict/x", key=platform.first.secret_key)
    assert (status, problem["code"], headers["Retry-After"]) == (503, "service_unavailable", "1")
    assert problem["detail"] == "ai does not answer"
    assert headers["X-Request-Id"]


async def test_answers_stream_through_as_they_are_made(platform):
    half = asyncio.Event()

    async def slowly(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await half.wait()
        await send({"type": "http.response.body", "body": b"second", "more_body": False})

    platform.peer.app = slowly
    key = {"X-Api-Key": platform.first.secret_key}
    async with platform.http.get(platform.url + "/api/export/x", headers=key) as answer:
        assert await answer.content.readany() == b"first"
        half.set()
        assert await answer.content.read() == b"second"


async def test_a_client_that_leaves_stops_the_flow(platform):
    sent = 0

    async def endless(scope, receive, send):
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with suppress(Exception):
            for _ in range(3_000):
                await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
                sent += 1

    platform.peer.app = endless
    key = {"X-Api-Key": platform.first.secret_key}
    async with aiohttp.ClientSession() as leaving, leaving.get(platform.url + "/api/export/x", headers=key) as answer:
        await answer.content.readany()
        seen = sent
        await asyncio.sleep(0.3)
        assert sent < 500, "the service was not slowed down by a client that does not read"
    assert seen < 500


async def test_half_an_answer_is_not_passed_off_as_a_whole_one(platform):
    async def breaks(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError

    platform.peer.app = breaks
    key = {"X-Api-Key": platform.first.secret_key}
    with pytest.raises(aiohttp.ClientError):
        async with platform.http.get(platform.url + "/api/export/x", headers=key) as answer:
            await answer.read()


@pytest.mark.parametrize("path", ["/api/events", "/api/events/batch", "/api/track/x"])
async def test_pages_of_any_shop_may_ask_what_browsers_may_ask(platform, path):
    asking = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    status, headers, _ = await platform.ask("OPTIONS", path, headers=asking)
    assert (status, headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert "x-api-key" in headers["Access-Control-Allow-Headers"]
    status, headers, _ = await platform.ask("POST", path, headers={"Origin": "https://shop.example"})
    assert (status, headers["Access-Control-Allow-Origin"]) == (401, "*")


async def test_pages_of_other_sites_may_not_ask_the_rest(platform):
    _, headers, _ = await platform.ask(
        "GET", "/api/carts", key=platform.first.secret_key, headers={"Origin": "https://shop.example"}
    )
    assert "Access-Control-Allow-Origin" not in headers


async def test_own_paths_answer_with_and_without_api(platform):
    for path in ("/config", "/api/config"):
        status, _, _ = await platform.ask("GET", path, key=platform.first.secret_key)
        assert status == 200, path


async def test_a_route_without_a_declared_permission_stops_the_start(platform):
    @get("/open-by-mistake", sync_to_thread=False)
    def mistake() -> str:
        return ""

    service = replace(platform.service, routers=[Router("/", route_handlers=[mistake])])
    with pytest.raises(Invalid, match="open-by-mistake"):
        create_app(service, HttpSettings(), platform.verifier.verify)
