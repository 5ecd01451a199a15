"""A change of settings or flags reaches another process while both run."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from recoup.messages.access import service_principal

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 60
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def hearer(platform, valkey_url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.services.platform.hearer", platform.url, valkey_url,
        platform.deps.signer.sign(service_principal("ai")), platform.first.store_id,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def heard(hearer: asyncio.subprocess.Process, wanted: str) -> None:
    assert hearer.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while line := await hearer.stdout.readline():
            if line.decode().strip() == wanted:
                return
    pytest.fail("the other process has ended")


async def test_another_process_goes_by_what_was_changed(platform, hearer):
    key = platform.first.secret_key
    await heard(hearer, "0.3 False")
    await platform.ask("PUT", "/api/feature-flags/banner", key=key, json={"enabled": True})
    await heard(hearer, "0.3 True")
    _, _, settings = await platform.ask("GET", "/api/config", key=key)
    await platform.ask("PUT", "/api/config", key=key, json={**settings, "threshold": 0.4})
    await heard(hearer, "0.4 True")
    await platform.ask("DELETE", "/api/feature-flags/banner", key=key)
    await heard(hearer, "0.4 False")
    await platform.ask("POST", "/api/config/restore", key=key, json={"version": 1})
    await heard(hearer, "0.3 False")
