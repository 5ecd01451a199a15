"""The demo shop and recoup.js in a real browser: what a shopper does arrives, and what Recoup says is shown."""

import json
import re
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, WebSocketRoute, expect

pytestmark = [pytest.mark.browser, pytest.mark.flow, pytest.mark.timeout(300)]

PATH_MS = 60_000
"""Enough for an event to become a message on a busy machine."""


@pytest.fixture(scope="module")
def store(installation):
    """A store on event time that lets nobody out."""
    installation.send("PUT", "/api/config", {
        "clock": "event", "threshold": 0, "holdout": 0, "max_per_hour": 9, "max_per_day": 99, "max_per_week": 99,
        "shop_url": f"{installation.url}/shop",
    })  # fmt: skip
    until_known(installation)
    return installation


@pytest.fixture
def shop(context: BrowserContext, store) -> Page:
    page = context.new_page()
    page.goto(f"{store.url}/shop?key={store.publishable_key}")
    return page


def until_known(installation) -> None:
    """The collector takes a clock event once it knows of the new clock."""
    long_ago = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    for _ in range(100):
        clock = {"event_id": str(uuid4()), "type": "clock", "occurred_at": long_ago, "session_id": "clock"}
        try:
            return installation.send("POST", "/api/events", clock)
        except urllib.error.HTTPError:
            time.sleep(0.1)
    raise AssertionError("the store still goes by the clock on the wall")


def ask(store, path: str) -> dict[str, Any]:
    request = urllib.request.Request(store.url + path, headers={"X-Api-Key": store.secret_key})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def until(store, path: str, true) -> dict[str, Any]:
    end = time.monotonic() + PATH_MS / 1000
    while not true(found := ask(store, path)):
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


def leave_a_cart(page: Page) -> Locator:
    """Puts a lamp into the cart, lets the shop's time pass, and waits for what Recoup has to say."""
    page.get_by_role("link", name="Reading lamp").click()
    page.get_by_role("button", name="Add to cart").click()
    expect(page.get_by_text("It is in your cart.")).to_be_visible()
    page.get_by_text("Backstage").click()
    page.get_by_role("button", name="Let 35 minutes pass").click()
    message = page.locator("[data-recoup=message]").get_by_role("region", name="You left something behind")
    expect(message).to_be_visible(timeout=PATH_MS)
    return message


def test_a_left_cart_is_answered_on_the_page_and_the_answer_leads_back_to_it(shop: Page, store):
    message = leave_a_cart(shop)
    expect(message).to_contain_text("$89.00")

    message.get_by_role("link").click()
    expect(shop.get_by_role("heading", name="Your cart")).to_be_visible()
    expect(shop.get_by_text("Reading lamp")).to_be_visible()
    (one,) = ask(store, "/api/interventions")["items"]
    found = until(store, f"/api/interventions/{one['id']}", lambda found: "clicked" in json.dumps(found))
    assert "seen" in json.dumps(found)


def test_a_message_can_be_sent_away_by_keyboard(shop: Page, store):
    message = leave_a_cart(shop)
    shop.keyboard.press("Escape")
    expect(message).to_have_count(0)


def test_somebody_who_has_signed_in_is_told_on_the_page_that_their_shop_vouches_for(shop: Page):
    shop.locator("#sign-in").click()
    shop.get_by_role("dialog").get_by_label("E-mail").fill("signed-in@example.com")
    with shop.expect_websocket(lambda socket: "user_hash=" in socket.url) as opened:
        shop.get_by_role("dialog").get_by_role("button", name="Sign in").click()
    assert "/api/ws/user/web-signed-in%40example.com?" in opened.value.url
    leave_a_cart(shop)


def test_what_happens_offline_arrives_once_the_connection_is_back(shop: Page, context: BrowserContext, store):
    expect(shop.get_by_role("heading", level=1)).to_be_visible()
    before = ask(store, "/api/events/stats")["unique"]
    context.set_offline(True)
    shop.evaluate("for (let i = 0; i < 30; i++) recoup.track('products_searched', {properties: {query: `mug ${i}`}})")
    context.set_offline(False)
    until(store, "/api/events/stats", lambda stats: stats["unique"] >= before + 30)


def test_a_page_whose_line_breaks_before_the_acknowledgement_does_not_send_the_same_again(
    context: BrowserContext, store
):
    lines: list[list[dict[str, Any]]] = []

    def line(page_side: WebSocketRoute) -> None:
        said: list[dict[str, Any]] = []
        lines.append(said)
        server = page_side.connect_to_server()

        def out(message: str | bytes) -> None:
            said.append(json.loads(message))
            server.send(message)

        def home(message: str | bytes) -> None:
            if len(lines) == 1 and json.loads(message)["type"] == "ack":
                page_side.close()
            else:
                page_side.send(message)

        page_side.on_message(out)
        server.on_message(home)

    page = context.new_page()
    page.route_web_socket(re.compile("/api/events/stream"), line)
    page.goto(f"{store.url}/shop?key={store.publishable_key}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    end = time.monotonic() + PATH_MS / 1000
    while len(lines) < 2 or len(lines[1]) < 2:
        assert time.monotonic() < end, lines
        page.evaluate("recoup.track('products_searched')")
        page.wait_for_timeout(200)
    first, second = lines[0], lines[1]
    assert [message["type"] for message in (first[0], second[0])] == ["hello", "hello"]
    assert first[0]["session"] == second[0]["session"]
    sent = [[message["id"] for message in said if "id" in message] for said in (first, second)]
    assert sent[0][0] not in sent[1]


def test_without_consent_nothing_is_kept_and_nothing_leaves(shop: Page, context: BrowserContext):
    expect(shop.get_by_role("heading", level=1)).to_be_visible()
    shop.evaluate("recoup.consent('denied')")
    assert shop.evaluate("recoup.track('page_viewed')") is None
    kept = shop.evaluate("Object.keys(localStorage).filter((name) => name.startsWith('recoup.'))")
    assert kept == []


def test_an_order_is_paid_for_and_the_cart_is_empty(shop: Page, store):
    shop.get_by_role("link", name="Beeswax candle").click()
    shop.get_by_role("button", name="Add to cart").click()
    shop.get_by_role("link", name="Cart").click()
    shop.get_by_role("link", name="Check out").click()
    shop.locator("main").get_by_label("E-mail").fill("someone@example.com")
    shop.get_by_role("button", name="Pay, so to speak").click()
    expect(shop.get_by_role("heading", name="Thank you.")).to_be_visible()
    until(store, "/api/analytics/overview", lambda overview: overview["orders"] == 1)


def test_the_shop_complains_of_nothing(context: BrowserContext, store):
    complaints: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{store.url}/shop?key={store.publishable_key}")
    for name in ("p/mug", "cart", "checkout", "thanks", ""):
        page.goto(f"{store.url}/shop#/{name}")
        expect(page.locator("main > *").first).to_be_visible()
    assert complaints == []
