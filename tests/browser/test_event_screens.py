"""The screens about events before a running Recoup: readiness, live tail, pipeline, letters, schemas, routing."""

import asyncio
import json
import re
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.browser.conftest import Installation, signed_in
from tests.browser.receiver import Receiver
from tests.browser.test_console import NAMELESS

from recoup.kit.log.port import Outgoing
from recoup.kit.log.valkey_streams import ValkeyLog
from recoup.messages.topics import EVENTS_RAW

pytestmark = [pytest.mark.browser, pytest.mark.flow, pytest.mark.timeout(300)]

SCREENS = ("Readiness", "Live events", "Pipeline", "Dead letters", "Schemas", "Routing")
PATH_MS = 60_000
MUG = {"product_id": "mug-1", "quantity": 2, "price": 1950}


def event(kind: str, visitor: str = "ada", **more: object) -> dict[str, object]:
    return {
        "event_id": str(uuid4()), "type": kind, "occurred_at": datetime.now(UTC).isoformat(), "anonymous_id": visitor,
        **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Where screenshots go, for whoever wants to look."""
    return tmp_path_factory.mktemp("events")


@pytest.fixture(scope="module")
def console(browser: Browser, installation: Installation, complaints: list[str]) -> Iterator[Page]:
    with signed_in(browser, installation, complaints, 15_000) as page:
        yield page


@contextmanager
def refused(page: Page, complaints: list[str], status: int) -> Generator[None]:
    """What is refused on purpose is no complaint."""
    with page.expect_console_message(lambda said: f"status of {status}" in said.text, timeout=PATH_MS) as told:
        yield
    complaints.remove(told.value.text)


def open_screen(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Screens").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def check(page: Page, title: str) -> Locator:
    return page.get_by_role("region", name="What the shop sends").get_by_role("listitem").filter(has_text=title)


def test_readiness_says_what_is_missing_until_it_arrives(console: Page, installation, pictures: Path):
    open_screen(console, "Readiness")
    expect(check(console, "Cart changes")).to_contain_text("Missing")
    expect(check(console, "Cart changes")).to_contain_text("Next:")
    installation.send("POST", "/api/events/batch", [event("product_added", cart_id="c1", items=[MUG])])
    expect(check(console, "Cart changes")).to_contain_text("Ready", timeout=PATH_MS)
    expect(check(console, "Orders")).to_contain_text("Missing")
    console.screenshot(path=pictures / "readiness.png", full_page=True)


def test_what_is_wrong_is_shown_with_what_to_do(console: Page, installation):
    open_screen(console, "Readiness")
    broken = event("product_added", cart_id="c2")
    installation.send("POST", "/api/events/batch", [broken, event("page_viewed", currency="usd")])
    wrong = console.get_by_role("region", name="What is wrong with it")
    for title in ("Events that break their schema", "Unknown currency"):
        expect(wrong.get_by_role("listitem").filter(has_text=title)).to_contain_text("Next:", timeout=PATH_MS)


def test_events_show_as_they_arrive_and_only_those_asked_for(console: Page, installation, pictures: Path):
    open_screen(console, "Live events")
    expect(console.locator(".page-head .badge")).to_have_text("Live", timeout=PATH_MS)
    rows = console.get_by_role("list", name="Events").get_by_role("listitem")
    expect(console.get_by_text("Listening")).to_be_visible(timeout=PATH_MS)
    once = event("page_viewed", "grace")
    installation.send("POST", "/api/events/batch", [once, event("exit_intent", "grace")])
    expect(rows).to_have_count(2, timeout=PATH_MS)
    installation.send("POST", "/api/events/batch", [once])
    expect(rows.first).to_contain_text("Sent again", timeout=PATH_MS)
    console.screenshot(path=pictures / "live.png")

    console.get_by_label("Type").select_option("exit_intent")
    expect(console.get_by_text("Nothing that fits yet")).to_be_visible()
    expect(console.locator(".page-head .badge")).to_have_text("Live", timeout=PATH_MS)
    installation.send("POST", "/api/events/batch", [event("page_viewed", "joan"), event("exit_intent", "joan")])
    expect(rows).to_have_count(1, timeout=PATH_MS)
    expect(rows.first).to_contain_text("Exit intent")


def test_the_pipelines_stages_say_how_long_they_take(console: Page, pictures: Path):
    open_screen(console, "Pipeline")
    stages = console.get_by_role("region", name="Stages").get_by_role("row")
    for stage in ("Read", "Deduplicate", "Enrich", "Track carts", "Commit"):
        expect(stages.filter(has_text=re.compile(stage)).first).to_contain_text("ms", timeout=PATH_MS)
    expect(console.get_by_role("region", name="What waits")).to_contain_text("cart-events-raw")
    for process in ("Pipeline 0", "Processor 0"):
        expect(
            console.get_by_role("region", name="Processes").get_by_role("row").filter(has_text=process)
        ).to_be_visible()
    console.screenshot(path=pictures / "pipeline.png", full_page=True)


def test_a_record_that_nobody_can_read_is_looked_at_put_back_and_dismissed(console: Page, installation, pictures: Path):
    open_screen(console, "Pipeline")
    aside = console.get_by_role("region", name="Set aside").first
    expect(aside).to_contain_text("Nothing is set aside")
    append_raw(f"unix://{installation.data}/valkey/run/valkey.sock?db=0", b"no arrow")
    row = aside.get_by_role("row").filter(has_text="Pipeline")
    expect(row).to_contain_text("ArrowInvalid", timeout=PATH_MS)
    expect(aside.get_by_role("list", name="What to do")).to_contain_text("once the cause is mended")

    row.get_by_role("button", name="Look at").click()
    expect(aside.get_by_role("region", name="The record")).to_contain_text("not an Arrow stream")
    console.screenshot(path=pictures / "parked.png", full_page=True)
    row.get_by_role("button", name=re.compile("^Put .* back$")).click()
    again = row.filter(has_text="again, after it was put back")
    expect(again).to_be_visible(timeout=PATH_MS)
    expect(row).to_have_count(1)
    again.get_by_role("button", name="Dismiss").click()
    expect(row).to_have_count(0, timeout=PATH_MS)


def append_raw(url: str, value: bytes) -> None:
    """Puts a record on the log; on a loop of its own, as Playwright has one in this thread."""

    async def append() -> None:
        log = ValkeyLog(url, 1)
        await log.append(EVENTS_RAW.name, [Outgoing(0, value)])
        await log.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, append()).result()


def test_a_dead_letter_is_read_mended_tried_and_sent(console: Page, pictures: Path):
    open_screen(console, "Dead letters")
    letters = console.get_by_role("navigation", name="Letters").get_by_role("link")
    letters.filter(has_text="product_added").first.click(timeout=PATH_MS)
    text = console.get_by_label("Text to be sent")
    expect(text).to_have_value(re.compile('"cart_id": "c2"'))
    console.get_by_role("button", name="Try", exact=True).click()
    expect(console.get_by_role("region", name="Before and after")).to_contain_text("It would be refused")

    mended = text.input_value().replace('"cart_id"', '"items": [{"product_id": "mug-1", "quantity": 1}], "cart_id"', 1)
    text.fill(mended)
    console.get_by_role("button", name="Try", exact=True).click()
    expect(console.get_by_role("region", name="Before and after")).to_contain_text("It would be taken")
    console.screenshot(path=pictures / "letters.png", full_page=True)
    console.get_by_role("button", name="Send", exact=True).click()
    expect(console.get_by_role("region", name="product_added")).to_contain_text("Replayed", timeout=PATH_MS)


def test_a_schema_is_checked_before_it_is_saved_and_says_why_it_does_not_fit(console: Page, pictures: Path):
    open_screen(console, "Schemas")
    console.get_by_label("Name: the event's type").fill("wishlist_added")
    text = console.get_by_label("Text of the schema")
    text.fill('{"type": "object", "properties": {"rank": {"type": "integer"}}, "additionalProperties": false}')
    save = console.get_by_role("button", name="Save as a new version")
    expect(save).to_be_disabled()
    console.get_by_role("button", name="Check").click()
    expect(console.get_by_role("region", name="Result of the check")).to_contain_text("It can be saved")
    save.click()
    expect(console.get_by_role("heading", name="wishlist_added")).to_be_visible(timeout=PATH_MS)

    expect(text).to_have_value(re.compile("integer"))
    text.fill('{"type": "object", "properties": {"rank": {"type": "string"}}, "additionalProperties": false}')
    console.get_by_role("button", name="Check").click()
    result = console.get_by_role("region", name="Result of the check")
    expect(result).to_contain_text("against it")
    expect(result).to_contain_text("rank")
    expect(save).to_be_disabled()
    console.screenshot(path=pictures / "schemas.png", full_page=True)


def test_a_schema_is_taken_out_of_use_after_being_asked_twice(console: Page):
    button = console.get_by_role("button", name="Take version 1 out of use")
    button.click()
    expect(button).to_contain_text("Really?")
    button.click()
    expect(console.get_by_role("list", name="Versions")).to_contain_text("Out of use", timeout=PATH_MS)


def test_a_migration_is_tried_on_an_event_before_it_is_set(console: Page, installation, pictures: Path):
    installation.send("PUT", "/api/schemas/shelf_dusted/settings", {"compatibility": "NONE"})
    for kind in ("string", "integer"):
        schema = json.dumps({"properties": {"shelf": {"type": kind}}, "required": ["shelf"]})
        installation.send("PUT", "/api/schemas/shelf_dusted", {"format": "JSON", "schema": schema})
    open_screen(console, "Schemas")
    console.get_by_role("navigation", name="Registered").get_by_role("link", name="shelf_dusted").click(timeout=PATH_MS)
    policy = console.get_by_role("group", name="When an event breaks its schema")
    policy.get_by_role("button", name="Migrate it").click()
    expect(policy.get_by_role("button", name="Migrate it")).to_have_attribute("aria-pressed", "true", timeout=PATH_MS)

    console.get_by_role("button", name="Add a step").click()
    console.get_by_label("Step 1: what").select_option("convert")
    console.get_by_label("Step 1: place").fill("shelf")
    console.get_by_label("Step 1: type").select_option("integer")
    sample = console.get_by_label("An event to try it on")
    expect(sample).to_have_value(re.compile('"schema_version": 1'))
    result = console.get_by_role("region", name="Result of the dry run")
    for said, becomes, what in (("12", "taken", "As version 2"), ("twelve", "dead letter", "type_mismatch")):
        sample.fill(json.dumps({"schema_version": 1, "properties": {"shelf": said}}))
        console.get_by_role("button", name="Try it").click()
        expect(result).to_contain_text(f"It would be {'a ' * (becomes != 'taken')}{becomes}", timeout=PATH_MS)
        expect(result).to_contain_text(re.compile(what.replace("_", "[ _]"), re.IGNORECASE))
    console.get_by_role("button", name="Save the steps").click()
    expect(console.get_by_role("button", name="Delete the migration from version 1")).to_be_visible(timeout=PATH_MS)
    console.screenshot(path=pictures / "migration.png", full_page=True)


@pytest.fixture(scope="module")
def there() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def test_a_webhook_is_made_and_its_secret_is_shown_once(console: Page, there: Receiver):
    open_screen(console, "Routing")
    console.get_by_role("link", name="New destination").click()
    console.get_by_label("Name").fill("crm")
    console.get_by_label("URL").fill(there.url)
    console.get_by_role("button", name="Make it").click()
    expect(console.get_by_label("Secret", exact=True)).to_have_value(re.compile("whsec_.{40}"), timeout=PATH_MS)
    console.get_by_role("link", name="I have kept it").click()
    expect(console.get_by_role("region", name="crm")).to_contain_text("Ready", timeout=PATH_MS)
    expect(console.get_by_label("Secret", exact=True)).to_have_count(0)


def test_a_rule_is_tried_on_an_event_before_it_is_saved(console: Page, complaints: list[str], pictures: Path):
    console.get_by_role("link", name="New rule").click()
    console.get_by_label("Name").fill("gifts looked at")
    console.get_by_label("Condition 1: value").fill("page_viewed")
    console.get_by_role("button", name="Add a condition").click()
    console.get_by_label("Condition 2: field").fill("properties.gift")
    console.get_by_label("Condition 2: comparison").select_option("exists")
    save = console.get_by_role("button", name="Save")
    expect(save).to_be_disabled()
    console.get_by_role("checkbox", name="crm").check()

    result = console.get_by_role("region", name="Result of the try")
    console.get_by_role("button", name="Try", exact=True).click()
    expect(result).to_contain_text("It would be copied", timeout=PATH_MS)
    console.get_by_text("The event it is tried on").first.click()
    console.get_by_label("The event it is tried on").fill('{"type": "exit_intent", "properties": {"gift": true}}')
    console.get_by_role("button", name="Try", exact=True).click()
    expect(result).to_contain_text("It would not be copied", timeout=PATH_MS)
    expect(result.get_by_role("listitem").filter(has_text="does not fit")).to_have_text(
        re.compile("type is page_viewed")
    )
    console.get_by_label("The event it is tried on").fill('{"typ": "exit_intent"}')
    with refused(console, complaints, 400):
        console.get_by_role("button", name="Try", exact=True).click()
    expect(console.get_by_role("alert")).to_contain_text("event.typ", timeout=PATH_MS)

    save.click()
    rules = console.get_by_role("navigation", name="Rules").get_by_role("link")
    expect(rules).to_contain_text("type is page_viewed and properties.gift is there", timeout=PATH_MS)
    console.screenshot(path=pictures / "rule.png", full_page=True)


def test_a_webhook_that_fails_says_why_and_is_stopped_and_started_again(
    console: Page, installation, there: Receiver, pictures: Path
):
    installation.send("POST", "/api/events/batch", [event("page_viewed", properties={"gift": True})])
    console.get_by_role("navigation", name="Destinations").get_by_role("link", name="crm").click()
    crm = console.get_by_role("region", name="crm")
    expect(crm.get_by_role("list", name="What is wrong")).to_contain_text("answered 500", timeout=PATH_MS)
    delivery = crm.get_by_role("region", name="Deliveries").get_by_role("row").nth(1)
    expect(delivery).to_contain_text("Waiting")
    console.screenshot(path=pictures / "webhook.png", full_page=True)

    crm.get_by_role("button", name="Stop").click()
    expect(crm).to_contain_text("Nothing is called", timeout=PATH_MS)
    there.answers = 204
    crm.get_by_role("button", name="Start again").click()
    expect(delivery).to_contain_text("answered 204", timeout=PATH_MS)
    expect(crm.get_by_role("list", name="What is wrong")).to_have_count(0)
    expect(crm).to_contain_text("Ready")


def test_a_secret_is_replaced_and_what_is_deleted_is_gone_after_being_asked_twice(console: Page, complaints: list[str]):
    renew = console.get_by_role("button", name="New secret for crm")
    renew.click()
    expect(renew).to_contain_text("Really?")
    renew.click()
    expect(console.get_by_label("Secret", exact=True)).to_have_value(re.compile("whsec_"), timeout=PATH_MS)

    drop = console.get_by_role("button", name="Delete crm")
    drop.click()
    expect(drop).to_contain_text("Really?")
    with refused(console, complaints, 409):
        drop.click()
    expect(console.get_by_role("alert")).to_contain_text("gifts looked at", timeout=PATH_MS)

    console.get_by_role("navigation", name="Rules").get_by_role("link", name="gifts").click()
    drop = console.get_by_role("button", name="Delete gifts looked at")
    drop.click()
    expect(drop).to_contain_text("Really?")
    drop.click()
    expect(console.get_by_text("No rule yet")).to_be_visible(timeout=PATH_MS)


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1024])
def test_no_screen_scrolls_sideways_and_every_control_has_a_name(console: Page, pictures: Path, width: int, colours):
    console.set_viewport_size({"width": width, "height": 780})
    console.emulate_media(color_scheme=colours)
    tabs = width < 960
    for screen in SCREENS:
        if tabs:
            console.get_by_role("navigation", name="Screens").get_by_role("link", name="Events").click()
            console.get_by_role("navigation", name="About events").get_by_role("link", name=screen).click()
            expect(console.get_by_role("heading", level=1, name=screen)).to_be_visible()
        else:
            open_screen(console, screen)
        console.wait_for_timeout(500)
        room = console.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        console.screenshot(path=pictures / f"{screen}-{width}-{colours}.png")
        assert room <= 0, f"{screen} is {room} pixels too wide"
        assert console.evaluate(NAMELESS) == []
        assert console.locator("h1").count() == 1
    console.set_viewport_size({"width": 1440, "height": 900})


DEEPER = ("routing/rule/new", "routing/to/new", "schemas/shelf_dusted")
CONTROLS = "a, button, input, select, textarea, summary, iframe, [role=img], [role=meter]"
UNNAMED = f"""() => [...document.querySelectorAll("{CONTROLS}")]
    .filter((node) => !(node.getAttribute("aria-label") || node.title || node.labels?.length))
    .filter((node) => node.matches("input, select, textarea, iframe") || !node.textContent.trim())
    .map((node) => node.outerHTML)"""
TWICE = """() => [...document.querySelectorAll("[id]")].map(({id}) => id)
    .filter((id, at, all) => all.indexOf(id) !== at)"""
OUT_OF_TURN = """() => [...document.querySelectorAll("[tabindex]")].filter((node) => node.tabIndex > 0)
    .map((node) => node.outerHTML)"""


def test_every_screen_names_its_controls_and_repeats_no_id(console: Page):
    console.emulate_media(color_scheme="light")
    links = console.get_by_role("navigation", name="Screens").get_by_role("link").all()
    addresses = [str(link.get_attribute("href")) for link in links] + [f"#/{address}" for address in DEEPER]
    for address in addresses:
        console.evaluate("address => { location.hash = address; }", address)
        expect(console.get_by_role("main").locator("h1")).to_have_count(1)
        expect(console.get_by_role("main").locator(".skeleton")).to_have_count(0, timeout=PATH_MS)
        wrong = {script: console.evaluate(script) for script in (UNNAMED, TWICE, OUT_OF_TURN)}
        assert all(found == [] for found in wrong.values()), (address, wrong)


def test_the_browser_has_nothing_to_complain_about(complaints: list[str]):
    assert complaints == []
