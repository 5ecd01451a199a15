"""The supervisor with real processes: order, restarts, stopping, and what is left when it is killed itself."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Any

import asyncpg
import msgspec
import psutil
import pytest
from redis.asyncio import from_url

from recoup.kit import embedded
from recoup.kit.children import Child, Policy, State, Status
from recoup.kit.clock import SystemClock
from recoup.kit.embedded import Postgres, Valkey
from recoup.kit.errors import Conflict, Unavailable
from recoup.kit.supervisor import Supervisor, read_statuses

QUICK = Policy(first_pause=0.02, longest_pause=0.1, probe_every=0.01, stop_within=5)


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


Probe = Callable[[], Awaitable[bool]]


class Log:
    """What the supervisor told us, as `name state` lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.details: list[str] = []

    def __call__(self, name: str, state: State, detail: str) -> None:
        self.lines.append(f"{name} {state}")
        self.details.append(detail)


async def at_once() -> bool:
    return True


async def never() -> bool:
    return False


def shell(script: str, name: str = "child", *, ready: Probe = at_once, **rest: Any) -> Child:
    return Child(name=name, argv=("/bin/sh", "-c", script), ready=ready, **rest)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def supervised(*children: Child, folder: Path, log: Log | None = None, policy: Policy = QUICK):
    supervisor = Supervisor(children, folder=folder, clock=SystemClock(), on_event=log or Log(), policy=policy)
    running = asyncio.create_task(supervisor.run())
    try:
        yield supervisor
    finally:
        supervisor.stop()
        await running


def one(supervisor: Supervisor, name: str = "child") -> Status:
    [status] = [status for status in supervisor.statuses if status.name == name]
    return status


async def test_a_child_starts_when_those_it_comes_after_are_ready_and_stops_before_them(folder):
    log = Log()
    engine, service = shell("exec sleep 60", "engine"), shell("exec sleep 60", "service", after=["engine"])
    async with supervised(service, engine, folder=folder, log=log) as supervisor:
        await supervisor.all_ready()
    order = [line for line in log.lines if line.split()[1] in {"starting", "ready", "stopped"}]
    assert order == [
        "engine starting",
        "engine ready",
        "service starting",
        "service ready",
        "service stopped",
        "engine stopped",
    ]


def test_children_that_wait_for_each_other_are_refused(folder):
    with pytest.raises(ValueError, match="cycle"):
        Supervisor(
            [shell("", "a", after=["b"]), shell("", "b", after=["a"])],
            folder=folder,
            clock=SystemClock(),
            on_event=Log(),
        )


async def test_a_killed_child_is_started_again_and_counted(folder):
    async with supervised(shell("exec sleep 60"), folder=folder) as supervisor:
        await supervisor.all_ready()
        first = one(supervisor).pid
        assert first is not None
        psutil.Process(first).kill()
        await until(lambda: one(supervisor).restarts == 1 and one(supervisor).state is State.READY)
        assert one(supervisor).pid != first
        assert one(supervisor).last_exit == -SIGKILL


async def test_a_child_that_keeps_ending_is_started_after_ever_longer_pauses(folder):
    log = Log()
    async with supervised(shell("echo no luck; exit 3", ready=never), folder=folder, log=log) as supervisor:
        await until(lambda: one(supervisor).restarts >= 4)
    pauses = [detail for detail in log.details if "starting again" in detail]
    assert pauses[0] == "ended with 3: no luck; starting again in 0.02 s"
    assert [pause.split()[-2] for pause in pauses[:4]] == ["0.02", "0.04", "0.08", "0.1"]


async def test_a_child_that_does_not_get_ready_in_time_is_killed_and_started_again(folder):
    policy = msgspec.structs.replace(QUICK, start_within=0.1)
    log = Log()
    async with supervised(shell("exec sleep 60", ready=never), folder=folder, policy=policy, log=log) as supervisor:
        await until(lambda: one(supervisor).restarts >= 1)
    assert "not ready within 0.1 s; starting again in 0.02 s" in log.details


async def test_a_child_whose_preparation_fails_says_why(folder):
    async def prepare() -> None:
        raise Unavailable("no room")

    log = Log()
    async with supervised(shell("exit", prepare=prepare), folder=folder, log=log) as supervisor:
        await until(lambda: one(supervisor).restarts >= 1)
    assert "cannot start: no room; starting again in 0.02 s" in log.details


async def test_a_program_that_does_not_exist_is_said_by_name(folder):
    log = Log()
    child = Child(name="child", argv=("/no/such/program",), ready=never)
    async with supervised(child, folder=folder, log=log) as supervisor:
        await until(lambda: one(supervisor).restarts >= 1)
    assert any("cannot start /no/such/program" in detail for detail in log.details)


async def test_a_child_deaf_to_its_stop_signal_is_killed(folder):
    policy = msgspec.structs.replace(QUICK, stop_within=0.3)
    script = "trap '' TERM; touch deaf; while :; do sleep 0.05; done"
    async with supervised(shell(f"cd {folder}; {script}"), folder=folder, policy=policy) as supervisor:
        await until((folder / "deaf").exists)
    assert (one(supervisor).state, one(supervisor).last_exit) == (State.STOPPED, -SIGKILL)


async def test_what_a_child_started_does_not_outlive_it(folder):
    script = f"sleep 60 & echo $! > {folder}/grandchild.new; mv {folder}/grandchild.new {folder}/grandchild; exit 1"
    async with supervised(shell(script), folder=folder):
        await until((folder / "grandchild").exists)
        await until(lambda: not alive(int((folder / "grandchild").read_text())))


async def test_statuses_are_written_for_others_to_read(folder):
    async with supervised(shell("exec sleep 60"), folder=folder) as supervisor:
        await supervisor.all_ready()
        assert read_statuses(folder) == supervisor.statuses
    assert [status.state for status in read_statuses(folder)] == [State.STOPPED]


async def test_output_goes_to_a_file_of_bounded_size(folder):
    policy = msgspec.structs.replace(QUICK, log_bytes=100_000)
    script = f"seq 1 100000; touch {folder}/done; exec sleep 60"
    async with supervised(shell(script), folder=folder, policy=policy):
        await until((folder / "done").exists)
    files = sorted((folder / "logs").iterdir())
    assert [file.name for file in files] == ["child.log", "child.log.1"]
    assert all(file.stat().st_size < 200_000 for file in files)
    assert files[0].read_text().endswith("100000\n")


async def test_a_second_supervisor_in_one_folder_is_refused(folder):
    async with supervised(shell("exec sleep 60"), folder=folder) as supervisor:
        await supervisor.all_ready()
        second = Supervisor([], folder=folder, clock=SystemClock(), on_event=Log())
        with pytest.raises(Conflict, match="another supervisor"):
            await second.run()


async def test_engines_come_back_with_their_data_after_being_killed(folder):
    postgres, valkey = Postgres(folder / "postgres"), Valkey(folder / "valkey")
    children = embedded.child("postgres", postgres), embedded.child("valkey", valkey)
    async with supervised(*children, folder=folder) as supervisor, from_url(valkey.url) as client:
        await supervisor.all_ready()
        await client.set("word", "kept")
        connection = await asyncpg.connect(postgres.url)
        await connection.execute("create table kept (word text); insert into kept values ('kept')")
        for status in supervisor.statuses:
            psutil.Process(status.pid).kill()
        await until(lambda: all(s.restarts == 1 and s.state is State.READY for s in supervisor.statuses))
        assert await client.get("word") == b"kept"
        connection = await asyncpg.connect(postgres.url)
        assert await connection.fetchval("select word from kept") == "kept"
        await connection.close()
    assert [status.last_exit for status in supervisor.statuses] == [0, 0]


KEEP_ENGINES = """
    import asyncio, sys
    from pathlib import Path
    from recoup.kit import embedded
    from recoup.kit.children import Child
    from recoup.kit.clock import SystemClock
    from recoup.kit.supervisor import Supervisor

    folder = Path(sys.argv[1])
    children = [
        embedded.child("postgres", embedded.Postgres(folder / "postgres")),
        embedded.child("valkey", embedded.Valkey(folder / "valkey")),
    ]
    asyncio.run(Supervisor(children, folder=folder, clock=SystemClock(), on_event=lambda *_: None).run())
"""


@asynccontextmanager
async def supervisor_process(folder: Path) -> AsyncGenerator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(KEEP_ENGINES), str(folder)])
    try:
        await until(lambda: all_ready(folder))
        yield process
    finally:
        process.kill()
        process.wait()


def all_ready(folder: Path) -> bool:
    file = folder / "status.json"
    return file.exists() and all(status.state is State.READY for status in read_statuses(folder))


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_no_child_outlives_a_supervisor_that_is_killed(folder):
    async with supervisor_process(folder) as process:
        pids = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        assert len(pids) > 2
        process.kill()
        await until(lambda: not any(alive(pid) for pid in pids))


async def test_sigterm_ends_the_supervisor_and_its_children_in_order(folder):
    async with supervisor_process(folder) as process:
        process.terminate()
        await until(lambda: process.poll() is not None)
    assert process.returncode == 0
    assert [(status.state, status.last_exit) for status in read_statuses(folder)] == [(State.STOPPED, 0)] * 2
