"""The stock Python clients of Segment and RudderStack, unchanged, pointed at a running house; and browsers' calls."""

import gzip
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from bench.lib.house import House
from rudderstack.analytics import Client as RudderStack
from segment.analytics import Client

pytestmark = pytest.mark.api
PRODUCT = {"product_id": "mug", "name": "Mug", "price": 12.5, "quantity": 2}


def send(running: House, *messages: dict[str, Any], path: str = "/v1/batch", **options: Any) -> httpx.Response:
    """A batch as a client without any library would send it."""
    return httpx.post(
        f"http://127.0.0.1:{running.port}{path}",
        json={"batch": messages},
        auth=(running.keys.secret_key, ""),
        timeout=60,
        **options,
    )


def until(running: House, path: str, seen: Any) -> dict[str, Any]:
    """What the house answers once `seen` is true of it."""
    deadline = time.monotonic() + 60
    headers = {"X-Api-Key": running.keys.secret_key}
    while True:
        answer = httpx.get(f"http://127.0.0.1:{running.port}{path}", headers=headers, timeout=60)
        if answer.status_code == 200 and seen(answer.json()):
            return answer.json()
        assert time.monotonic() < deadline, f"{path} never came to it: {answer.text}"
        time.sleep(0.2)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("base", ["", "/api"])
def test_the_stock_client_fills_and_buys_a_cart_and_it_arrives(running: House, compress: bool, base: str) -> None:
    failures: list[object] = []
    visitor, cart = f"visitor-{uuid4()}", f"cart-{uuid4()}"
    client = Client(
        running.keys.secret_key, host=f"http://127.0.0.1:{running.port}{base}", gzip=compress,
        on_error=lambda error, _: failures.append(error),
    )  # fmt: skip

    client.page(anonymous_id=visitor, name="Home", context={"page": {"url": "https://shop/"}})
    client.track(anonymous_id=visitor, event="Product Added", properties={"cart_id": cart, **PRODUCT})
    client.identify("ada", {"email": "ada@example.com"}, anonymous_id=visitor)
    client.track(
        "ada", "Order Completed", {"order_id": f"o-{cart}", "total": "27.50", "products": [PRODUCT]},
        anonymous_id=visitor,
    )  # fmt: skip
    client.alias(visitor, "ada")
    client.group("ada", "friends")
    client.shutdown()

    assert failures == []
    story = until(running, f"/api/carts/{cart}", lambda found: found["stage"] == "converted")
    assert {"product_added", "order_completed"} <= {event["type"] for event in story["events"]}
    assert story["user_id"] == "ada"
    card = until(
        running, "/api/carts?stage=converted", lambda page: cart in [card["cart_id"] for card in page["items"]]
    )
    (mine,) = [found for found in card["items"] if found["cart_id"] == cart]
    assert mine["order_amount"] == 2_750


def test_the_stock_client_of_rudderstack_fills_and_buys_a_cart_and_it_arrives(running: House) -> None:
    failures: list[object] = []
    visitor, cart = f"visitor-{uuid4()}", f"cart-{uuid4()}"
    client = RudderStack(
        running.keys.secret_key, host=f"http://127.0.0.1:{running.port}",
        on_error=lambda error, _: failures.append(error),
    )  # fmt: skip

    client.track(anonymous_id=visitor, event="Product Added", properties={"cart_id": cart, **PRODUCT})
    client.identify("grace", {"email": "grace@example.com", "consent": True}, anonymous_id=visitor)
    for number in range(25):
        client.track("grace", "Looked", {"seen": str(number) * 25_000}, anonymous_id=visitor)
    bought = {"order_id": f"o-{cart}", "cart_id": cart, "total": "27.50", "products": [PRODUCT]}
    client.track("grace", "Order Completed", bought, anonymous_id=visitor)
    client.shutdown()

    assert failures == []
    story = until(running, f"/api/carts/{cart}", lambda found: found["stage"] == "converted")
    assert {"product_added", "order_completed"} <= {event["type"] for event in story["events"]}
    assert story["user_id"] == "grace"


def test_a_client_of_rudderstack_gives_up_what_is_refused_at_once(running: House) -> None:
    failures: list[Any] = []
    client = RudderStack(
        "rk_live_made_up", host=f"http://127.0.0.1:{running.port}",
        on_error=lambda error, batch: failures.append((error.status, error.code, len(batch))),
    )  # fmt: skip
    client.track("grace", "Looked")
    client.shutdown()
    assert failures == [(401, "key_mistyped", 1)]


def test_what_cannot_be_an_event_is_among_the_dead_letters_and_its_neighbours_are_not(running: House) -> None:
    before = until(running, "/api/events/stats", lambda _: True)
    answer = send(
        running,
        {"type": "track", "event": "Product Viewed", "anonymousId": "v", "properties": {"product_id": 1}},
        {"type": "track", "event": "Nobody's"},
        {
            "type": "track",
            "event": "Order Completed",
            "anonymousId": "v",
            "properties": {"order_id": 1, "total": 10**15},
        },
        "not even an object",  # pyright: ignore[reportArgumentType] - what somebody might send
    )

    assert (answer.status_code, answer.json()["success"]) == (200, True)
    assert [(found["index"], found["code"]) for found in answer.json()["refused"]] == [
        (1, "no_visitor"), (2, "out_of_range"), (3, "wrong_type")
    ]  # fmt: skip
    after = until(running, "/api/events/stats", lambda found: found["accepted"] == before["accepted"] + 1)
    assert after["refused"]["no_visitor"] == before["refused"].get("no_visitor", 0) + 1


def test_the_browsers_library_puts_its_key_into_the_body(running: House) -> None:
    body = {
        "anonymousId": "page-visitor", "messageId": "ajs-next-1", "timestamp": datetime.now(UTC).isoformat(),
        "writeKey": running.keys.publishable_key, "context": {"library": {"name": "analytics.js"}},
    }  # fmt: skip
    url = f"http://127.0.0.1:{running.port}/v1/p"
    plain = {"Content-Type": "text/plain", "Origin": "https://shop.example"}

    taken = httpx.post(url, content=msgspec.json.encode(body), headers=plain, timeout=60)
    refused = httpx.post(
        url, content=msgspec.json.encode({**body, "writeKey": "rk_pub_wrong"}), headers=plain, timeout=60
    )
    nobody = httpx.post(url, content=b"{}", headers=plain, timeout=60)

    assert (taken.status_code, taken.json()) == (200, {"success": True})
    assert taken.headers["access-control-allow-origin"] == "*"
    assert (refused.status_code, nobody.status_code) == (401, 401)


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (b"{", {}, "malformed_json"),
        (b"[]", {}, "not_an_object"),
        (b'{"batch": 1}', {}, "not_a_batch"),
        (gzip.compress(b'{"batch": [' + b" " * 5_000_000 + b"]}"), {"Content-Encoding": "gzip"}, "too_large"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_400_as_at_segments(running: House, content, headers, code) -> None:
    answer = httpx.post(
        f"http://127.0.0.1:{running.port}/v1/batch", content=content, headers=headers,
        auth=(running.keys.secret_key, ""), timeout=60,
    )  # fmt: skip

    said = answer.json()
    assert (answer.status_code, said["code"], said["message"]) == (400, code, said["detail"])


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/track"])
@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (b'{"batch": [{"type": "track", "event": "Prod', {}, "malformed_json"),
        (b"\xff\x00 no gzip", {"Content-Encoding": "gzip"}, "bad_encoding"),
    ],
)
def test_a_body_that_cannot_be_read_becomes_a_dead_letter(running: House, path, content, headers, code) -> None:
    mark = str(uuid4())
    answer = httpx.post(
        f"http://127.0.0.1:{running.port}{path}", content=content + mark.encode(), headers=headers,
        auth=(running.keys.secret_key, ""), timeout=60,
    )  # fmt: skip
    assert answer.status_code == 400

    found = until(running, f"/api/dlq?code={code}", lambda page: any(mark in one["excerpt"] for one in page["items"]))

    (letter,) = [one for one in found["items"] if mark in one["excerpt"]]
    assert (letter["kind"], letter["stage"]) == ("unreadable", "collect")


def test_what_cannot_be_read_and_names_no_key_outside_is_nobodys_letter(running: House) -> None:
    answer = httpx.post(f"http://127.0.0.1:{running.port}/v1/track", content=b'{"writeKey": "rk_pub_', timeout=60)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


def test_a_key_without_the_permission_or_none_is_refused(running: House) -> None:
    url = f"http://127.0.0.1:{running.port}/v1/track"

    assert httpx.post(url, json={"event": "x"}, auth=("rk_live_made_up", ""), timeout=60).status_code == 401
    assert httpx.post(url, json={"event": "x"}, timeout=60).status_code == 401
