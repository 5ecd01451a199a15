"""The screen of API keys before a running Recoup: made with scopes and origins, shown once, rotated, revoked."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import Installation, signed_in

pytestmark = [pytest.mark.browser, pytest.mark.flow, pytest.mark.timeout(300)]
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def installation(shared_installation: Installation) -> Installation:
    return shared_installation


@pytest.fixture(scope="module")
def console(browser: Browser, installation: Installation, complaints: list[str]) -> Iterator[Page]:
    with signed_in(browser, installation, complaints, PATIENCE_MS) as page:
        yield page


def status(installation: Installation, key: str, **headers: str) -> int:
    """What the settings' route answers a key."""
    request = urllib.request.Request(installation.url + "/api/config", headers={"X-Api-Key": key, **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def shown_key(page: Page) -> str:
    """The key that is shown once; goes on to what is shown of it later."""
    made = page.get_by_role("region", name="The new key, this once")
    key = made.get_by_label("Key", exact=True).input_value()
    assert re.fullmatch("rk_(live|pub)_[0-9A-Za-z]{49}", key)
    made.get_by_role("link", name="I have kept it").click()
    expect(made).to_have_count(0)
    return key


def test_a_key_is_made_with_fewer_scopes_rotated_and_revoked(console: Page, installation, tmp_path: Path):
    console.get_by_role("navigation", name="Screens").get_by_role("link", name="API keys").click()
    form = console.get_by_role("region", name="New key")
    expect(form.get_by_label("settings:write")).to_be_checked(timeout=PATIENCE_MS)
    form.get_by_label("settings:write").uncheck()
    form.get_by_label("Name").fill("warehouse job")
    form.get_by_label("Requests a minute").fill("700")
    form.get_by_role("button", name="Make the key").click()
    old = shown_key(console)
    assert status(installation, old) == 200

    detail = console.get_by_role("region", name="warehouse job")
    expect(detail).to_contain_text("700")
    expect(detail).to_contain_text("settings:read")
    expect(detail).not_to_contain_text("settings:write")
    console.screenshot(path=tmp_path / "key.png", full_page=True)

    detail.get_by_role("button", name="Rotate warehouse job").click()
    expect(detail.get_by_role("button", name="Rotate warehouse job")).to_have_text("Really? Click again")
    detail.get_by_role("button", name="Rotate warehouse job").click()
    new = shown_key(console)
    assert (status(installation, old), status(installation, new)) == (200, 200)

    detail.get_by_role("button", name="Revoke warehouse job").click()
    expect(detail.get_by_role("button", name="Revoke warehouse job")).to_have_text("Really? Click again")
    detail.get_by_role("button", name="Revoke warehouse job").click()
    expect(detail).to_contain_text("Revoked", timeout=PATIENCE_MS)
    assert status(installation, new) == 401


def test_a_page_key_is_bound_to_its_pages(console: Page, installation):
    console.goto(f"{installation.url}/#/keys")
    form = console.get_by_role("region", name="New key")
    form.get_by_label("Kind").select_option("Publishable")
    form.get_by_label("Name").fill("shop pages")
    form.get_by_label(re.compile("Pages that may use it")).fill("shop.example")
    form.get_by_role("button", name="Make the key").click()
    expect(form.get_by_role("alert")).to_contain_text("is no origin", timeout=PATIENCE_MS)
    form.get_by_label(re.compile("Pages that may use it")).fill("https://shop.example")
    form.get_by_role("button", name="Make the key").click()
    shown_key(console)
    detail = console.get_by_role("region", name="shop pages")
    expect(detail).to_contain_text("https://shop.example")
    expect(detail).to_contain_text("never")
    expect(console.get_by_role("navigation", name="API keys").get_by_text("shop pages")).to_be_visible()


def test_what_was_done_is_in_the_audit_log_and_can_be_taken_along(console: Page, installation: Installation):
    installation.send("PUT", "/api/preferences/ada", {"opted_out": True})
    console.get_by_role("navigation", name="Screens").get_by_role("link", name="Audit log").click()
    expect(console.get_by_role("heading", level=1, name="Audit log")).to_be_visible()
    changes = console.get_by_role("region", name="Changes").get_by_role("row")
    expect(changes.filter(has_text="PUT /preferences/").first).to_be_visible(timeout=PATIENCE_MS)
    expect(changes.filter(has_text="Key made").filter(has_text=installation.admin_email).first).to_be_visible()
    expect(console.get_by_text(re.compile("^Chain of [0-9]+ holds$"))).to_be_visible(timeout=PATIENCE_MS)

    console.get_by_label("Action").fill("key_made")
    console.get_by_label("Action").press("Enter")
    expect(changes.filter(has_text="PUT /preferences/")).to_have_count(0)
    with console.expect_download() as taken:
        console.get_by_role("button", name="Export").click()
    lines = [json.loads(line) for line in Path(taken.value.path()).read_text().splitlines()]
    assert {line["action"] for line in lines} == {"key_made"}
