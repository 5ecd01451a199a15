"""The console before a running Recoup: logging in, figures that change, a cart's story, phones, keyboards."""

import email
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.policy import default
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.kit.authenticator import totp_code

from recoup.kit.config import Secret

pytestmark = [pytest.mark.browser, pytest.mark.flow, pytest.mark.timeout(300)]

SCREENS = ("overview", "carts", "outbox", "system")
PATH_MS = 60_000
"""Enough for an event to become a decision on a busy machine."""
MUG = {"product_id": "mug-1", "name": "Enamel mug", "quantity": 2, "price": 1950}


def event(kind: str, cart: str, ago: timedelta, **more: object) -> dict[str, object]:
    return {
        "event_id": str(uuid4()),
        "type": kind,
        "occurred_at": (datetime.now(UTC) - ago).isoformat(),
        "cart_id": cart,
        "user_id": f"shopper-of-{cart}",
        "session_id": f"session-{cart}",
        "currency": "USD",
        **more,
    }


def added(cart: str, ago: timedelta) -> dict[str, object]:
    return event("product_added", cart, ago, items=[MUG])


def identified(cart: str, ago: timedelta) -> dict[str, object]:
    known = {"email": f"{cart}@example.com", "consent": True}
    return event("user_identified", cart, ago, properties=known)


HOUR = timedelta(hours=1)
STORY = [
    identified("left-behind", 2.2 * HOUR),
    added("left-behind", 2 * HOUR),
    added("paid-for", 3 * HOUR),
    event("order_completed", "paid-for", 2.9 * HOUR, order_id="order-1", items=[MUG], amount=3900),
    added("being-filled", timedelta(minutes=1)),
]

NEVER_SILENT = {"threshold": 0, "holdout": 0, "quiet_from": "00:00", "quiet_until": "00:00"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Where screenshots go, for whoever wants to look."""
    return tmp_path_factory.mktemp("console")


@pytest.fixture(scope="module")
def visitor(browser: Browser, installation) -> Iterator[BrowserContext]:
    """A browser in which the administrator is logged in, after the story has been sent and has taken effect."""
    with browser.new_context(
        viewport={"width": 1440, "height": 900}, reduced_motion="reduce", locale="en-US"
    ) as context:
        context.set_default_timeout(PATH_MS)
        yield context


@pytest.fixture(scope="module")
def complaints() -> list[str]:
    return []


@pytest.fixture(scope="module")
def console(visitor: BrowserContext, installation, complaints: list[str]) -> Page:
    """The console's one page, logged in; what the browser complains about is collected."""
    page = visitor.new_page()
    page.goto(installation.url)
    page.get_by_label("E-mail").fill(installation.admin_email)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    # The refused sign-in above is a 401, which a browser logs; from here on there is nothing to complain about.
    page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.get_by_label("Password").fill(installation.admin_password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    return page


def open_screen(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Screens").get_by_role("link", name=re.compile(name, re.IGNORECASE)).click()
    expect(page.get_by_role("heading", level=1, name=re.compile(name, re.IGNORECASE))).to_be_visible()


def test_an_empty_shop_is_told_what_to_do_next(console: Page):
    expect(console.get_by_text("No events yet")).to_be_visible()


def test_figures_change_by_themselves(console: Page, installation, pictures: Path):
    installation.send("PUT", "/api/config", NEVER_SILENT)
    installation.send("POST", "/api/events/batch", STORY)
    funnel = console.get_by_role("region", name="From cart to order")
    expect(step(funnel, "Carts")).to_have_text("3", timeout=PATH_MS)
    expect(step(funnel, "Abandoned")).to_have_text("1", timeout=PATH_MS)
    expect(console.get_by_role("region", name="Orders")).to_contain_text("$39.00")
    console.screenshot(path=pictures / "overview.png")


def step(funnel, name: str):
    return funnel.get_by_role("listitem").filter(has_text=name).locator(".funnel-value")


def test_the_board_has_each_cart_in_the_column_of_its_stage(console: Page, pictures: Path):
    open_screen(console, "Carts")
    for stage, cart in (("Open", "being-filled"), ("Converted", "paid-for")):
        column = console.get_by_role("region", name=re.compile(f"^{stage}"))
        expect(column.get_by_title(cart)).to_be_visible(timeout=PATH_MS)
    console.screenshot(path=pictures / "carts.png")


def test_a_cart_tells_its_story_with_every_rule(console: Page, pictures: Path):
    open_screen(console, "Carts")
    console.get_by_title("left-behind").click()
    story = console.get_by_role("region", name="What happened, and why")
    for moment in ("Product added", "Cart abandoned", "likely to buy"):
        expect(story.get_by_text(moment).first).to_be_visible(timeout=PATH_MS)
    rules = story.get_by_role("list", name="Answers of the rules").get_by_role("listitem")
    expect(rules.first).to_be_visible(timeout=PATH_MS)
    assert rules.count() >= 7
    assert all(re.search(r"(Passed|Stopped):", rule) for rule in rules.all_inner_texts())
    console.screenshot(path=pictures / "cart.png", full_page=True)


def test_the_outbox_shows_the_message_as_its_reader_sees_it(console: Page, pictures: Path):
    open_screen(console, "Outbox")
    letter = (
        console.get_by_role("navigation", name="E-mails").get_by_role("link").filter(has_text="left-behind@example.com")
    )
    letter.click(timeout=PATH_MS)
    shown = console.frame_locator("iframe")
    expect(shown.locator("body")).to_contain_text("Enamel mug")
    assert shown.locator("a[href], img, script").count() == 0
    console.screenshot(path=pictures / "outbox.png")


def test_the_board_is_filtered_as_one_types_and_keeps_the_focus(console: Page):
    open_screen(console, "Carts")
    field = console.get_by_label("Filter by cart, shopper or product")
    field.press_sequentially("paid-f")
    expect(console.locator(".card")).to_have_count(1)
    console.wait_for_timeout(3_500)  # a reading of all columns
    expect(field).to_be_focused()
    expect(field).to_have_value("paid-f")


def test_every_process_is_listed_and_a_job_can_be_run(console: Page, pictures: Path):
    open_screen(console, "System")
    services = console.get_by_role("region", name="Services").first
    for name in ("Platform", "Pipeline", "Processor", "AI", "Interventions", "Intelligence", "Monitoring", "Scheduler"):
        expect(services.get_by_role("row").filter(has_text=name).first).to_contain_text("Ready", timeout=PATH_MS)
    job = console.get_by_role("region", name="Jobs").get_by_role("listitem").first
    job.get_by_role("button").click()
    expect(job).to_contain_text(re.compile("Queued|Running|Succeeded|Failed"))
    console.screenshot(path=pictures / "system.png", full_page=True)


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1024])
def test_no_screen_scrolls_sideways(console: Page, pictures: Path, width: int, colours):
    console.set_viewport_size({"width": width, "height": 780})
    console.emulate_media(color_scheme=colours)
    for screen in SCREENS:
        open_screen(console, screen)
        console.wait_for_timeout(500)
        room = console.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        console.screenshot(path=pictures / f"{screen}-{width}-{colours}.png")
        assert room <= 0, f"{screen} is {room} pixels too wide"
    console.set_viewport_size({"width": 1440, "height": 900})
    console.emulate_media(color_scheme="light")


def test_every_control_has_a_name_and_every_screen_one_heading_and_one_main(console: Page):
    for screen in SCREENS:
        open_screen(console, screen)
        console.wait_for_timeout(500)
        assert console.evaluate(NAMELESS) == []
        assert console.locator("h1").count() == 1
        assert console.get_by_role("main").count() == 1
        assert console.evaluate("document.documentElement.lang") == "en"


NAMELESS = """() => [...document.querySelectorAll("a, button, input, select, iframe, [role=img], [role=meter]")]
    .filter((node) => !(node.getAttribute("aria-label") || node.title || node.textContent.trim()))
    .filter((node) => !node.labels?.length)
    .map((node) => node.outerHTML)"""


def test_the_keyboard_reaches_content_and_screens(console: Page):
    open_screen(console, "Overview")
    console.reload()
    expect(console.get_by_role("heading", level=1)).to_be_visible()
    console.keyboard.press("Tab")
    expect(console.get_by_role("link", name="Skip to content")).to_be_focused()
    console.keyboard.press("Enter")
    expect(console.get_by_role("main")).to_be_focused()


def test_colours_can_be_chosen_and_are_remembered(console: Page):
    button = console.get_by_role("button", name=re.compile("Colours"))
    for expected in ("light", "dark"):
        button.click()
        expect(console.locator("html")).to_have_attribute("data-theme", expected)
    console.reload()
    expect(console.locator("html")).to_have_attribute("data-theme", "dark")
    button.click()
    expect(console.locator("html")).not_to_have_attribute("data-theme", re.compile(".*"))


def test_the_browser_has_nothing_to_complain_about(complaints: list[str]):
    assert complaints == []


def test_logging_out_leaves_nothing_behind(console: Page):
    console.get_by_role("button", name="Log out").click()
    expect(console.get_by_role("heading", name="Log in")).to_be_visible()
    assert console.evaluate("sessionStorage.length") == 0


def test_somebody_invited_comes_in_by_keyboard_and_later_with_a_code(page: Page, installation):
    address, password = "ada@example.com", "sparrow-lantern-74-quay"
    first_person(installation).send("POST", "/api/invitations", {"email": address, "role": "analyst"})
    page.goto(linked(installation, "invitation", address))
    expect(page.get_by_label("New password")).to_be_focused()
    page.keyboard.type("password1234")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("among the first that anybody would try")
    expect(page.get_by_label("New password")).to_be_focused()
    page.keyboard.type(password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="You belong to")).to_be_visible()
    log_in_by_keyboard(page, address, password)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()

    page.get_by_role("link", name=address).press("Enter")
    factor = page.get_by_role("region", name="Second factor")
    factor.get_by_label("Your password").fill(password)
    factor.get_by_label("Your password").press("Enter")
    secret = Secret(factor.locator("dd code").text_content() or "")
    factor.get_by_label("Code").fill(totp_code(secret, datetime.now(UTC)))
    factor.get_by_label("Code").press("Enter")
    expect(factor.get_by_role("listitem")).to_have_count(10)
    factor.get_by_role("button", name="I have kept them").press("Enter")
    expect(factor.get_by_text("In force")).to_be_visible()
    expect(page.get_by_role("region", name="Where you are signed in")).to_contain_text("This one")
    page.get_by_role("button", name="Log out").click()
    log_in_by_keyboard(page, address, password)
    expect(page.get_by_label("Code")).to_be_focused()
    page.keyboard.type(totp_code(secret, datetime.now(UTC) + timedelta(seconds=30)))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()


def test_a_forgotten_password_is_replaced_by_keyboard(page: Page, installation):
    address, password = "grace@example.com", "quay-74-lantern-sparrow"
    owner = first_person(installation)
    owner.send("POST", "/api/users", {"email": address, "role": "viewer"})
    token = linked(installation, "invitation", address).rpartition("/")[2]
    owner.send("POST", "/api/auth/invitations/accept", {"token": token, "password": "sparrow-lantern-74-quay"})
    page.goto(installation.url)
    page.get_by_role("link", name="Forgotten your password?").press("Enter")
    expect(page.get_by_role("heading", name="Forgotten password")).to_be_visible()
    expect(page.get_by_label("E-mail")).to_be_focused()
    page.keyboard.type(address)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="a letter is on its way")).to_be_visible()
    page.goto(linked(installation, "reset", address))
    expect(page.get_by_label("New password")).to_be_focused()
    page.keyboard.type(password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Your password is set")).to_be_visible()
    log_in_by_keyboard(page, address, password)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def log_in_by_keyboard(page: Page, address: str, password: str) -> None:
    expect(page.get_by_label("E-mail")).to_be_focused()
    page.keyboard.type(address)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def linked(installation, screen: str, address: str) -> str:
    """The link of the letter to an address, once it is written."""
    end = time.monotonic() + PATH_MS / 1000
    while True:
        for file in (installation.data / "mail").glob("*.eml"):
            letter = email.message_from_bytes(file.read_bytes(), policy=default)
            found = re.search(rf"http\S+/#/{screen}/\S+", letter.get_content())
            if letter["to"] == address and found:
                return found[0]
        assert time.monotonic() < end
        time.sleep(0.1)


class Person:
    """Somebody who asks without a browser."""

    def __init__(self, installation, address: str, password: str) -> None:
        self.installation = installation
        self.token = ""
        self.token = self.send("POST", "/api/auth/login", {"email": address, "password": password})["access_token"]

    def send(self, method: str, path: str, body: object) -> dict[str, str]:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        request = urllib.request.Request(
            self.installation.url + path, json.dumps(body).encode(), headers, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")


def first_person(installation) -> Person:
    return Person(installation, installation.admin_email, installation.admin_password)
