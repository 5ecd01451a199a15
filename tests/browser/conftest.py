"""Chromium for the console's tests, and a running Recoup for those that want all of it.

Browsers live as long as a test module: the synchronous Playwright keeps an event loop of its own in this thread, and
the asynchronous tests of other modules must find none.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from recoup.kit.ports import free_port

CHROMIUM = Path(os.environ.get("RECOUP_TEST_CHROMIUM", "/usr/bin/chromium"))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
OWN = {
    # Webhooks of the tests' own are on this machine.
    "RECOUP_PIPELINE__ROUTING_PRIVATE_ADDRESSES": "true",
    # The pages must complain of nothing, not of a busy machine either.
    "RECOUP_PLATFORM__CALL_SECONDS": "60",
    "RECOUP_PLATFORM__COLLECT_SECONDS": "60",
}
PATIENCE_SECONDS = 240
# What is expected is waited for, on however slow a machine.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


@dataclass(frozen=True, slots=True)
class Installation:
    """A running Recoup, and what its first run wrote down."""

    url: str
    admin_email: str
    admin_password: str
    store_id: str
    secret_key: str
    publishable_key: str
    data: Path

    def send(self, method: str, path: str, body: object) -> None:
        headers = {"Authorization": f"Bearer {self.secret_key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status in {200, 202}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce", locale="en-US")
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """One for the tests of a module alone."""
    with installed() as made:
        yield made


@pytest.fixture(scope="package")
def shared_installation() -> Iterator[Installation]:
    """One for modules that keep out of each other's way."""
    with installed() as made:
        yield made


@contextmanager
def installed() -> Generator[Installation]:
    """`recoup up` in a folder of its own, ready; told to stop in the end."""
    data = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
    port = free_port()
    with (data / "output").open("wb") as output:
        command = [sys.executable, "-m", "recoup", "up", "--data", str(data / "d"), "--port", str(port)]
        env = {**os.environ, **OWN}
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/health/ready", process, data)
        facts = json.loads((data / "d/first-run.json").read_text())
        names = (name for name in Installation.__slots__ if name != "data")
        yield Installation(data=data / "d", **{name: facts[name] for name in names})
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        finally:
            process.kill()
            shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(scope="module")
def complaints() -> list[str]:
    """What the browser complained about on the pages of a module."""
    return []


@contextmanager
def signed_in(browser: Browser, installation: Installation, complaints: list[str], patience_ms: int) -> Generator[Page]:
    """A page of the console, logged in; what the browser complains about is collected."""
    with browser.new_context(
        viewport={"width": 1440, "height": 900}, reduced_motion="reduce", locale="en-US"
    ) as context:
        context.set_default_timeout(patience_ms)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(installation.url)
        page.get_by_label("E-mail").fill(installation.admin_email)
        page.get_by_label("Password").fill(installation.admin_password)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        yield page


def wait_until_ready(url: str, process: subprocess.Popen[bytes], data: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not answers(url):
        assert process.poll() is None, (data / "output").read_text()
        assert time.monotonic() < end, (data / "output").read_text()
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
