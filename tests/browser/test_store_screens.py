"""The screens about the store before a running Recoup: settings with their history, feature flags, the team."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import Installation, signed_in
from tests.browser.test_console import NAMELESS

pytestmark = [pytest.mark.browser, pytest.mark.flow, pytest.mark.timeout(300)]
PATH_MS = 60_000


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Where screenshots go, for whoever wants to look."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def installation(shared_installation: Installation) -> Installation:
    return shared_installation


@pytest.fixture(scope="module")
def console(browser: Browser, installation: Installation, complaints: list[str]) -> Iterator[Page]:
    with signed_in(browser, installation, complaints, PATH_MS) as page:
        yield page


def open_screen(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Screens").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible(timeout=PATH_MS)


def test_a_setting_is_changed_and_taken_back_from_the_history(console: Page, pictures: Path):
    open_screen(console, "Settings")
    idle = console.get_by_label("Idle minutes")
    expect(idle).to_have_value("30", timeout=PATH_MS)
    expect(console.get_by_text("Unit: minutes. Default: 30.")).to_be_visible()
    idle.press("End")
    idle.press("Backspace")
    idle.press("5")  # "35", typed: a field keeps its place while the screen is drawn anew
    expect(idle).to_be_focused()
    expect(idle).to_have_value("35")
    idle.fill("45")
    console.get_by_role("button", name="Save 1 change").click()
    history = console.get_by_role("list", name="Versions")
    expect(history).to_contain_text("Idle minutes: 30 → 45", timeout=PATH_MS)
    console.screenshot(path=pictures / "settings.png", full_page=True)
    restore = console.get_by_role("button", name="Restore version 1")
    restore.click()
    expect(restore).to_contain_text("Really?")
    restore.click()
    expect(history).to_contain_text("Idle minutes: 45 → 30", timeout=PATH_MS)
    expect(idle).to_have_value("30", timeout=PATH_MS)


def test_a_flag_is_made_turned_on_tried_and_taken_back(console: Page, pictures: Path):
    open_screen(console, "Flags")
    expect(console.get_by_text("contact.email", exact=True)).to_be_visible(timeout=PATH_MS)
    console.get_by_label("Key").fill("new-banner")
    console.get_by_role("button", name="Make the flag").click()
    expect(console.get_by_role("heading", name="new-banner")).to_be_visible(timeout=PATH_MS)
    console.get_by_role("button", name="Turn on").click()
    expect(console.get_by_role("button", name="Turn off")).to_be_enabled(timeout=PATH_MS)
    console.get_by_role("button", name="Try", exact=True).click()
    tried = console.get_by_role("region", name="Try it on a person")
    expect(tried).to_contain_text("because everybody is served this", timeout=PATH_MS)
    expect(console.get_by_role("region", name="History")).to_contain_text(re.compile("Enabled"), timeout=PATH_MS)
    restore = console.get_by_role("button", name="Restore version 1")
    restore.click()
    expect(restore).to_contain_text("Really?")
    console.screenshot(path=pictures / "flags.png", full_page=True)
    restore.click()
    expect(console.get_by_role("button", name="Turn on")).to_be_enabled(timeout=PATH_MS)
    expect(console.get_by_role("region", name="History")).to_contain_text("Version 3", timeout=PATH_MS)


FOCUS_SHOWS = """() => {
    const style = getComputedStyle(document.activeElement);
    return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
}"""


def test_somebody_is_invited_by_keyboard_alone_and_the_invitation_taken_back(console: Page, pictures: Path):
    open_screen(console, "Team")
    expect(console.get_by_role("region", name="Members").first).to_contain_text("you", timeout=PATH_MS)
    expect(console.get_by_text("Nobody is invited")).to_be_visible(timeout=PATH_MS)
    console.get_by_label("E-mail").focus()
    console.keyboard.type("ada@example.org")
    assert console.evaluate(FOCUS_SHOWS)
    console.keyboard.press("Tab")
    expect(console.get_by_role("combobox", name="Role")).to_be_focused()
    assert console.evaluate(FOCUS_SHOWS)
    console.keyboard.type("Analyst")
    expect(console.get_by_role("combobox", name="Role")).to_have_value("analyst")
    expect(console.get_by_role("button", name="Send the invitation")).to_be_enabled()
    console.keyboard.press("Tab")
    expect(console.get_by_role("button", name="Send the invitation")).to_be_focused()
    assert console.evaluate(FOCUS_SHOWS)
    console.keyboard.press("Enter")
    waiting = console.get_by_role("region", name="Invitations that wait").get_by_role("row")
    expect(waiting.filter(has_text="ada@example.org")).to_contain_text("Analyst", timeout=PATH_MS)
    console.screenshot(path=pictures / "team.png", full_page=True)
    back = console.get_by_role("button", name="Take back the invitation of ada@example.org")
    back.focus()
    console.keyboard.press("Enter")
    expect(back).to_have_text("Really? Click again")
    console.keyboard.press("Enter")
    expect(console.get_by_text("Nobody is invited")).to_be_visible(timeout=PATH_MS)


SCREENS = (
    ("settings", "Settings", "Idle minutes"),
    ("flags/new-banner", "Flags", "Definition"),
    ("team", "Team", "E-mail"),
    ("keys", "API keys", "Name"),
    ("audit", "Audit log", "Action"),
    ("account", "Your account", "New password"),
)


@pytest.mark.parametrize("width", [360, 1024])
def test_no_screen_scrolls_sideways_and_every_control_has_a_name(console: Page, pictures: Path, width: int):
    console.set_viewport_size({"width": width, "height": 780})
    for path, name, part in SCREENS:
        console.goto(re.sub("#.*", f"#/{path}", console.url))
        expect(console.get_by_role("heading", level=1, name=name)).to_be_visible(timeout=PATH_MS)
        expect(console.get_by_label(part)).to_be_visible(timeout=PATH_MS)
        room = console.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        console.screenshot(path=pictures / f"{name}-{width}.png", full_page=True)
        assert room <= 0, f"{name} is {room} pixels too wide"
        assert console.evaluate(NAMELESS) == []
        assert console.locator("h1").count() == 1
    console.set_viewport_size({"width": 1440, "height": 900})


def test_a_flag_is_deleted_after_being_asked_twice(console: Page):
    open_screen(console, "Flags")
    console.get_by_role("navigation", name="Flags").get_by_role("link", name="new-banner").click()
    console.get_by_role("button", name="Delete").click()
    console.get_by_role("button", name="Really? Click again").click()
    expect(console.get_by_text("No flag yet")).to_be_visible(timeout=PATH_MS)


def test_the_browser_has_nothing_to_complain_about(complaints: list[str]):
    assert complaints == []
