"""What holds at every door of a whole platform: ids of any form, POSTs sent again, proof of who a page is for.

Through the gateway, as a shop would ask.
"""

import asyncio
import email
import hmac
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.policy import default
from hashlib import sha256
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import msgspec
import pytest
import websockets
from bench.lib.house import House
from tests.api.changing import ASKS, CHANGED, LONG, MADE, Attempts, operations
from tests.api.conftest import sign_in
from tests.api.test_tenant_isolation import _houses

from recoup.kit.http import INTERNAL, PUBLIC
from recoup.kit.idempotency import ITSELF
from recoup.kit.wire import message_class

pytestmark = pytest.mark.api
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
PATIENCE_SECONDS = 60
AWKWARD = ("2026/7", "/", "a//b/", "a/../b", "50%", "%2F", "a?b=c&d", "x y+z", "käse#🧀", "..a")
KNOWN = [f"known-{number}" for number in range(6)]


@pytest.fixture(scope="module")
def door(running: House) -> Iterator[httpx.Client]:
    """The first store's own server, with the shop's past of one day."""
    with httpx.Client(
        base_url=f"http://127.0.0.1:{running.port}", headers={"X-Api-Key": running.keys.secret_key}, timeout=60
    ) as client:
        settings = client.get("/api/config").json()
        assert client.put("/api/config", json={**settings, "clock": "event"}).status_code == 200
        until(lambda: client.post("/api/events", json=clock(-1)).status_code == 202)
        past = [*(event(cart_id, f"visitor of {cart_id}"[:128]) for cart_id in AWKWARD)]
        for person in KNOWN:
            marketing = {"email": f"{person}@example.com", "consent": True}
            past += [event(None, person, "user_identified", properties=marketing), event(f"cart of {person}", person)]
        assert client.post("/api/events/batch", json=past).json()["accepted"] == len(past)
        assert client.post("/api/events", json=clock(2)).status_code == 202
        until(lambda: len(client.get("/api/interventions").json()["items"]) >= len(past) - len(KNOWN))
        until(lambda: len(client.get("/api/carts").json()["items"]) == len(past) - len(KNOWN))
        yield client


@pytest.fixture(scope="module")
def owner(running: House) -> Iterator[httpx.Client]:
    """The person of the first start, asking about the store."""
    with httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=60) as client:
        sign_in(running, client)
        client.params = {"store_id": running.keys.store_id}
        yield client


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def clock(hours: float) -> dict[str, Any]:
    at = NOON + timedelta(hours=hours)
    return {"event_id": str(uuid4()), "type": "clock", "occurred_at": at.isoformat(), "session_id": "clock"}


def event(cart_id: str | None, person: str, kind: str = "product_added", **fields: object) -> dict[str, Any]:
    filled = {"cart_id": cart_id, "currency": "USD", "items": [{"product_id": "mug", "quantity": 1, "price": 4_900}]}
    return {
        "event_id": str(uuid4()), "type": kind, "occurred_at": NOON.isoformat(), "user_id": person,
        "anonymous_id": f"page {person}"[:128], **(filled if cart_id else {}), **fields,
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/api/carts/{}", "/api/predict/{}", "/api/features/{}"])
@pytest.mark.parametrize("cart_id", AWKWARD)
def test_a_cart_is_found_by_any_id_that_was_taken(door: httpx.Client, path: str, cart_id: str) -> None:
    answer = door.get(path.format(quote(cart_id, safe="")))
    assert answer.status_code == 200, answer.text
    assert answer.json().get("cart_id", cart_id) == cart_id


@pytest.mark.parametrize("user_id", AWKWARD)
def test_wishes_are_kept_under_any_id(door: httpx.Client, user_id: str) -> None:
    path = f"/api/preferences/{quote(user_id, safe='')}"
    assert door.put(path, json={"opted_out": True}).status_code == 200
    assert door.get(path).json()["opted_out"] is True


def test_by_default_somebody_known_is_contacted_about_an_ordinary_cart(door: httpx.Client) -> None:
    decided = door.get("/api/interventions").json()["items"]
    outcomes = {each["person_id"]: each["outcome"] for each in decided if each["person_id"] in KNOWN}
    assert set(outcomes) == set(KNOWN)
    assert set(outcomes.values()) <= {"contact", "held_out"}
    assert "contact" in outcomes.values()


CREATED: dict[str, dict[str, Any]] = {
    "/api/api-keys": {"kind": "publishable_key", "name": "another"},
    "/api/stores": {"name": "Another"},
    "/api/users": {"email": "ada@example.com", "role": "viewer"},
    "/api/jobs/{job}/run": {},
    "/api/anomalies/report": {"subject": "orders", "detail": "I see none"},
}


@pytest.mark.parametrize(("path", "body"), CREATED.items(), ids=CREATED)
def test_a_post_that_makes_something_makes_it_once(owner: httpx.Client, path: str, body: dict[str, Any]) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    path = path.format(job=owner.get("/api/jobs").json()["items"][0]["id"])
    first, again = (owner.post(path, json=body, headers=key) for _ in range(2))
    assert first.status_code in {200, 201, 202}, first.text
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert [answer.headers.get("idempotent-replayed") for answer in (first, again)] == [None, "true"]
    other = owner.post(path, json={**body, "name": "not the same"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_of_all_posts_only_those_that_take_events_know_no_key() -> None:
    exempt: set[str] = set()
    for app, _ in _houses("/nowhere").values():
        for route in app.routes:
            for handler in getattr(route, "route_handlers", ()):
                asks = handler.opt.get("permission") not in {PUBLIC, INTERNAL, None}
                if "POST" in getattr(handler, "http_methods", ()) and asks and handler.opt.get(ITSELF):
                    exempt.add(route.path)
    assert exempt == {"/events", "/events/batch"}


def test_events_in_protobuf_over_http_2_are_answered_in_protobuf(running: House, door: httpx.Client) -> None:
    kinds = [
        message_class("recoup.messages", "events.binpb", f"recoup.events.v1.{name}") for name in ("Event", "Receipt")
    ]
    written, receipt = kinds
    at = round(NOON.timestamp() * 1_000)
    one = written(event_id=uuid4().bytes, type="page_viewed", occurred_at=at, anonymous_id="protobuf")
    forms = {"Content-Type": "application/x-protobuf", "Accept": "application/x-protobuf"}
    with httpx.Client(base_url=door.base_url, headers=door.headers, http1=False, http2=True, timeout=60) as client:
        answer = client.post("/api/events", content=one.SerializeToString(), headers=forms)
        assert (answer.http_version, answer.status_code) == ("HTTP/2", 202)
        assert answer.headers["Content-Type"] == "application/x-protobuf"
        assert receipt.FromString(answer.content).accepted == 1
    mixed = [event(None, "json"), {**event(None, "json"), "type": "teleported"}]
    answer = door.post("/api/events/batch", json=mixed, headers={"Accept": "application/x-protobuf"})
    found = receipt.FromString(answer.content)
    assert (found.accepted, [each.index for each in found.refused]) == (1, [1])


def test_who_a_user_is_only_their_shop_can_say(running: House, door: httpx.Client) -> None:
    key = sha256(running.keys.secret_key.encode()).digest()
    later = (NOON + timedelta(hours=3)).isoformat()

    def said(person: str, email: str, **more: object) -> dict[str, Any]:
        return event(
            None, person, "user_identified", occurred_at=later, properties={"email": email, "consent": True}, **more
        )

    people = ("signed-in", "strangers-word", "false-proof")
    assert door.put("/api/config", json={**door.get("/api/config").json(), "holdout": 0}).status_code == 200
    mine = [said(person, f"{person}@example.com") for person in people]
    assert door.post("/api/events/batch", json=mine).json()["accepted"] == len(mine)
    by_page = [
        said("signed-in", "moved@example.com", user_hash=hmac.new(key, b"signed-in", sha256).hexdigest()),
        said("strangers-word", "stranger@example.com", anonymous_id="stranger"),
        said("false-proof", "stranger@example.com", user_hash=hmac.new(key, b"signed-in", sha256).hexdigest()),
        *(event(f"later cart of {person}", person, occurred_at=later) for person in people),
    ]
    page = {"X-Api-Key": running.keys.publishable_key}
    assert door.post("/api/events/batch", json=by_page, headers=page).json()["accepted"] == len(by_page)
    assert door.post("/api/events", json=clock(9)).status_code == 202

    def addressed() -> set[str]:
        return {mail["to"] for mail in door.get("/api/outbox").json()["items"]}

    wanted = {"moved@example.com", "strangers-word@example.com", "false-proof@example.com"}
    until(lambda: wanted <= addressed())
    assert "stranger@example.com" not in addressed()
    assert door.get("/api/events/stats").json()["warned"] == {"identity_unproven": 1}


SOCKETS = {
    "nobody's word": ("known-0", "", 403),
    "another user's": ("known-0", "known-1", 403),
    "the shop's word": ("known-0", "known-0", 101),
    "the shop's word for an awkward id": ("a/b c", "a/b c", 101),
    "a visitor's random id": (str(uuid4()), "", 101),
}


@pytest.mark.parametrize(("who", "vouched", "status"), SOCKETS.values(), ids=SOCKETS)
def test_a_page_needs_its_shops_word_for_a_user(running: House, who: str, vouched: str, status: int) -> None:
    key = sha256(running.keys.secret_key.encode()).digest()
    word = f"&user_hash={hmac.new(key, vouched.encode(), sha256).hexdigest()}" if vouched else ""
    path = f"/api/ws/user/{quote(who, safe='')}?key={running.keys.publishable_key}{word}"
    assert asyncio.run(_knocked(f"ws://127.0.0.1:{running.port}{path}")) == status


async def _knocked(url: str) -> int:
    try:
        async with websockets.connect(url):
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


def test_every_change_that_somebody_makes_anywhere_is_in_the_audit_trail(running: House, owner: httpx.Client) -> None:
    walked = another_store(running, owner)
    owner.params = {"store_id": walked}
    known = {"job": owner.get("/api/jobs").json()["items"][0]["id"], "user_id": another_member(running, owner)}
    attempts = Attempts(known={"store": walked, **known})
    for operation in (each for each in operations(owner.get("/docs/openapi.json").json()) if each.name not in LONG):
        request_id = str(uuid4())
        answer = owner.request(
            operation.method, operation.url(attempts.known), json=operation.body(), headers={"X-Request-Id": request_id}
        )
        assert answer.status_code < 500 or operation.name in ASKS, answer.text
        if answer.is_success:
            attempts.done[request_id] = operation.name
            if operation.name in MADE:
                attempts.known[MADE[operation.name]] = found_id(answer.json())
        else:
            attempts.refused[operation.name] = answer.text
    # Not every made-up request finds what it wants to change; these do.
    assert {name.split("/")[2] for name in attempts.done.values()} >= CHANGED, attempts.refused

    changes = {request_id for request_id, name in attempts.done.items() if name not in ASKS}
    sign_in(running, owner)  # the store that was just made is not among those of this sign-in
    stores = (walked, attempts.known["made_store"])
    lines: list[dict[str, Any]] = []

    def untold() -> list[str]:
        lines[:] = [line for store_id in stores for line in trail(owner, store_id)]
        return sorted(attempts.done[each] for each in changes - {line["request_id"] for line in lines})

    deadline = time.monotonic() + PATIENCE_SECONDS
    while untold() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert untold() == []
    mine = [line for line in lines if line["request_id"] in attempts.done]
    assert {line["request_id"] for line in mine} == changes
    demand_telling(mine)
    assert owner.get("/api/audit-logs/verification").json()["intact"] is True
    for secret in ("hush-hush", running.keys.secret_key):
        assert secret not in str(lines)


def demand_telling(lines: list[dict[str, Any]]) -> None:
    assert len({line["actor"] for line in lines}) == 1
    assert all(line["action"] and line["subject"] and line["at"] and line["address"] == "127.0.0.1" for line in lines)
    by_the_door = [line["action"] for line in lines if line["detail"].get("service") == "platform"]
    assert by_the_door == [], "the platform writes its lines in the transaction of the change"


def another_store(running: House, owner: httpx.Client) -> str:
    """One to which nothing has happened that could stand in the way of a change."""
    made = owner.post("/api/stores", json={"name": "walked"}).raise_for_status().json()
    sign_in(running, owner)
    return str(made["store_id"])


def another_member(running: House, owner: httpx.Client) -> str:
    """Somebody whom a letter has let into the walked store; their id."""
    address = "linus@example.com"
    owner.post("/api/users", json={"email": address, "role": "viewer"}).raise_for_status()
    deadline = time.monotonic() + PATIENCE_SECONDS
    letters: list[str] = []
    while not letters and time.monotonic() < deadline:
        files = (running.folder / "mail").glob("*.eml")
        written = [email.message_from_bytes(file.read_bytes(), policy=default) for file in files]
        letters = [letter.get_content() for letter in written if letter["to"] == address]
        time.sleep(0.1)
    token = letters[0].partition("/#/invitation/")[2].split()[0]
    proof = {"token": token, "password": "sparrow-lantern-74-quay"}
    owner.post("/api/auth/invitations/accept", json=proof).raise_for_status()
    people = owner.get("/api/users").json()["items"]
    return next(str(person["id"]) for person in people if person["email"] == address)


def trail(owner: httpx.Client, store_id: str) -> list[dict[str, Any]]:
    answer = owner.get("/api/audit-logs/export", params={"store_id": store_id})
    return [msgspec.json.decode(line) for line in answer.content.splitlines()]


def found_id(made: dict[str, Any]) -> str:
    inner = next((value for value in made.values() if isinstance(value, dict) and "id" in value), made)
    return str(made.get("id") or made.get("store_id") or inner["id"])
