"""What is due is done once, however many schedulers there are and whichever of them dies.

The schedulers are processes; the service whose jobs they run is a real door in the test's own process.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from granian.constants import Interfaces
from granian.server.embed import Server

from recoup.kit.clock import SystemClock
from recoup.kit.config import new_secret
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.migrate import migrate
from recoup.kit.ports import free_port
from recoup.kit.service import Job, Service
from recoup.kit.tokens import Verifier
from recoup.messages.access import Principal

pytestmark = pytest.mark.fault
NAMES = tuple(f"job-{number}" for number in range(6))
SEED = new_secret()


@dataclass
class Work:
    """Jobs that count how often they were begun and do not end before they are let go."""

    names: tuple[str, ...]
    begun: dict[str, int] = field(default_factory=dict)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    def job(self, name: str) -> Job:
        async def run() -> str:
            self.begun[name] = self.begun.get(name, 0) + 1
            await self.let_go.wait()
            return f"{name} is done"

        return Job(name, "0 3 * * *", run, timedelta(minutes=1))


@asynccontextmanager
async def offered(work: Work) -> AsyncGenerator[str]:
    """The jobs behind a real door; its address."""
    service = Service(name="shop", jobs=[work.job(name) for name in work.names])
    app = create_app(service, HttpSettings(), Verifier(SEED, Principal, SystemClock()).verify)
    port = free_port()
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        work.let_go.set()
        server.stop()
        await asyncio.wait([serving], timeout=10)


@dataclass
class Scheduler:
    """One scheduler as a process."""

    process: subprocess.Popen[bytes]
    member: str
    address: str

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@pytest.fixture
async def scheduler_database(database: str) -> str:
    await migrate(database, ["scheduler"])
    return database


@pytest.fixture
def start_scheduler(
    scheduler_database: str, valkey_url: str, tmp_path: Path
) -> Iterator[Callable[[str, str], Scheduler]]:
    started: list[Scheduler] = []

    def start(member: str, shop: str) -> Scheduler:
        port = free_port()
        settings = {
            "RECOUP_INTERNAL_KEY": SEED.reveal(),
            "RECOUP_POSTGRES_URL": scheduler_database,
            "RECOUP_VALKEY_URL": valkey_url,
            "RECOUP_WAREHOUSE_URL": "unused",
            "RECOUP_DATA": str(tmp_path),
            "RECOUP_PORT": str(port),
            "RECOUP_MEMBER": member,
            "RECOUP_PEERS__SHOP": shop,
            "RECOUP_SCHEDULER__TICK_SECONDS": "0.1",
            "RECOUP_SCHEDULER__LEASE_SECONDS": "4",
        }
        with (tmp_path / f"scheduler-{member}.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "recoup", "serve", "scheduler"],
                env=os.environ | settings,
                stdout=output,
                stderr=output,
            )
        started.append(Scheduler(process, f"scheduler-{member}", f"http://127.0.0.1:{port}"))
        return started[-1]

    yield start
    for scheduler in started:
        if scheduler.process.poll() is None:
            scheduler.kill()


@pytest.fixture
async def connection(scheduler_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(scheduler_database)
    yield connection
    await connection.close()


async def until(connection: asyncpg.Connection, sql: str, wanted: int) -> None:
    """Waits until the statement counts what is wanted."""
    async with asyncio.timeout(120):
        while await connection.fetchval(sql) != wanted:
            await asyncio.sleep(0.05)


async def holder(connection: asyncpg.Connection) -> str:
    """A scheduler in the middle of a run."""
    async with asyncio.timeout(120):
        while True:
            found = await connection.fetchval(
                """select executor_id from scheduler_dbos.workflow_status
                   where status = 'PENDING' and executor_id is not null limit 1"""
            )
            if found is not None:
                return found
            await asyncio.sleep(0.05)


async def test_jobs_due_at_once_are_each_done_once_although_a_scheduler_dies_in_the_middle(
    connection: asyncpg.Connection, start_scheduler: Callable[[str, str], Scheduler]
) -> None:
    work = Work(NAMES)
    async with offered(work) as shop:
        schedulers = {one.member: one for one in [start_scheduler(str(number), shop) for number in range(3)]}
        await until(connection, "select count(*) from scheduler.instances", 3)
        await until(connection, "select count(*) from scheduler.jobs", len(NAMES))

        await connection.execute("update scheduler.jobs set next_run = now()")
        await until(connection, "select count(*) from scheduler.runs where state = 'running' and attempts > 0", 6)
        victim = await holder(connection)
        schedulers[victim].kill()
        await until(connection, f"select count(*) from scheduler.instances where member = '{victim}'", 0)
        await until(
            connection,
            "select count(*) from scheduler_dbos.workflow_status "
            f"where status <> 'SUCCESS' and executor_id = '{victim}'",
            0,
        )
        work.let_go.set()
        await until(connection, "select count(*) from scheduler.runs where state = 'succeeded'", len(NAMES))

        assert work.begun == dict.fromkeys(NAMES, 1)
        assert await connection.fetchval("select count(*) from scheduler.runs") == len(NAMES)
        assert await connection.fetchval("select max(attempts) > 1 from scheduler.runs"), "nothing was taken over"


async def test_a_scheduler_that_is_stopped_in_the_middle_goes_on_after_its_next_start(
    connection: asyncpg.Connection, start_scheduler: Callable[[str, str], Scheduler]
) -> None:
    work = Work(("long",))
    async with offered(work) as shop:
        first = start_scheduler("0", shop)
        await until(connection, "select count(*) from scheduler.jobs", 1)
        await connection.execute("update scheduler.jobs set next_run = now()")
        await until(connection, "select count(*) from scheduler.runs where state = 'running' and attempts > 0", 1)

        assert first.stop() == 0
        start_scheduler("0", shop)
        await until(connection, "select count(*) from scheduler.runs where attempts > 1", 1)
        work.let_go.set()
        await until(connection, "select count(*) from scheduler.runs where state = 'succeeded'", 1)

        assert work.begun == {"long": 1}
