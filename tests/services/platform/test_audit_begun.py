"""What another service began to change stands in the audit trail, whatever becomes of that service."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from recoup.kit.peers import IDENTITY_HEADER
from recoup.kit.ports import free_port
from recoup.kit.postgres import Postgres
from recoup.kit.runner import Runner
from recoup.messages.access import Permission, Principal
from recoup.services.platform.audit.jobs import Begun
from recoup.services.platform.audit.store import AuditLog

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 60
AT_ONCE = timedelta(0)
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Sister:
    """The other process, and ways to look at what the platform makes of it."""

    platform: Any
    process: asyncio.subprocess.Process
    url: str
    audit: AuditLog

    async def asked(self, how: str) -> tuple[str, int | None]:
        """The id of a request that changes something, and its status if it was answered."""
        request_id = str(uuid4())
        who = Principal(subject="ada", kind="person", stores={self.platform.first.store_id: [Permission.MODELS_WRITE]})
        headers = {IDENTITY_HEADER: self.platform.deps.signer.sign(who), "X-Request-Id": request_id}
        try:
            async with self.platform.http.post(f"{self.url}/things/{how}", headers=headers) as answer:
                return request_id, answer.status
        except aiohttp.ClientError:
            return request_id, None

    async def lines(self, request_id: str) -> list[dict[str, Any]]:
        path = f"/api/audit-logs?request_id={request_id}"
        return (await self.platform.ask("GET", path, key=self.platform.first.secret_key))[2]["items"]

    async def line(self, request_id: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := await self.lines(request_id)):
                await asyncio.sleep(0.02)
        (line,) = found
        return line


@pytest_asyncio.fixture(loop_scope="module")
async def sister(platform, valkey_url: str) -> AsyncIterator[Sister]:
    port, deps = free_port(), platform.deps
    connection = await asyncpg.connect(deps.postgres_url)
    await connection.execute("create table if not exists platform.things (how text not null)")
    await connection.close()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.services.platform.dying", deps.postgres_url, valkey_url,
        deps.signer.seed.reveal(), str(port), cwd=ROOT,
    )  # fmt: skip
    (consumer,) = platform.service.consumes
    listening = asyncio.create_task(Runner(deps.log, "platform", "platform-0", consumer).run())
    db = Postgres(deps.postgres_url, "platform")
    try:
        await answering(platform, f"http://127.0.0.1:{port}")
        yield Sister(platform, process, f"http://127.0.0.1:{port}", AuditLog(db))
    finally:
        listening.cancel()
        await db.close()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answering(platform, url: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                async with platform.http.get(f"{url}/health") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def test_a_change_whose_service_is_killed_before_it_tells_stands_there_with_an_unknown_outcome(sister):
    made, status = await sister.asked("well")
    assert status == 201
    assert (await sister.line(made))["detail"] == {"service": "ai", "permission": "models:write", "status": 201}

    refused, status = await sister.asked("refused")
    assert status == 409
    failed, status = await sister.asked("failed")
    assert status == 500
    line = await sister.line(failed)
    assert (line["detail"]["outcome"], line["detail"]["status"]) == ("unknown", 500)
    # Everything before the failed one was heard, too: nothing waits for an outcome.
    assert await sister.audit.close(AT_ONCE) == 0
    assert await sister.lines(refused) == []

    killed, status = await sister.asked("killed")
    assert status is None
    assert await sister.process.wait() == -signal.SIGKILL
    watching = asyncio.create_task(Begun(sister.audit, timedelta(milliseconds=20)).watch())
    line = await sister.line(killed)
    watching.cancel()
    assert (line["actor"], line["action"], line["subject"]) == ("ada", "POST /things/{how}", "/things/killed")
    assert line["detail"] == {"service": "ai", "permission": "models:write", "outcome": "unknown"}
    things = await sister.audit.db.rows(str, "select how from things")
    assert things == ["well", "failed", "killed"]

    path = "/api/audit-logs/verification"
    _, _, verdict = await sister.platform.ask("GET", path, key=sister.platform.first.secret_key)
    assert verdict["intact"], verdict
