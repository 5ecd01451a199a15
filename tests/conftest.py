"""The real engines for every test that asks: one PostgreSQL, Valkey and Kafka per test process, in a short path.

`postgres_url`, `valkey_url`, `kafka_url` last for the session; `database` is a new, empty database for one test.
PostgreSQL and Valkey sync nothing to disk here: the tests of durability start engines of their own.

Test files are shared out among the test processes in the order in which they stand, which is the longest first. Those
that share a house or a broker go to one process, so that it starts once.
"""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from tests.kafka.broker import broker, kafka_url
from typing_extensions import override
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from recoup.kit.embedded import Engine, Postgres, Valkey
from recoup.kit.launch import wrap

__all__ = ["broker", "kafka_url"]
TOGETHER = {
    "a house": ("tests/api/",),
    "an installation": ("tests/browser/test_keys_screen.py", "tests/browser/test_store_screens.py"),
    "a broker": ("tests/contracts/", *(f"tests/kafka/test_{name}.py" for name in ("bereft", "leaving", "writing"))),
}
"""What these files would have to start anew in another process."""


class Together(LoadFileScheduling):
    """Files one by one, but those at once that share something."""

    @override
    def _split_scope(self, nodeid: str) -> str:
        shared = (what for what, files in TOGETHER.items() if nodeid.startswith(files))
        return next(shared, super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together | None:
    return Together(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def engines_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(engines_folder: Path) -> Iterator[Postgres]:
    unsafe = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    engine = Postgres(engines_folder / "postgres", settings=unsafe)
    with running(engine):
        yield engine


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    return postgres.url


@pytest.fixture(scope="session")
def valkey_url(engines_folder: Path) -> Iterator[str]:
    engine = Valkey(engines_folder / "valkey", fsync="no")
    with running(engine):
        yield engine.url


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    connection = await asyncpg.connect(postgres.url)
    try:
        await connection.execute(f'create database "{name}" strategy file_copy')
        yield postgres.url_of(name)
        await connection.execute(f'drop database "{name}" with (force)')
    finally:
        await connection.close()


@contextmanager
def running(engine: Engine) -> Generator[subprocess.Popen[bytes]]:
    """The engine as a child of this process, from its first answer on; killed in the end."""
    asyncio.run(engine.prepare())
    command = wrap(engine.command, orphan_signal=engine.orphan_signal, account=engine.account)
    with (engine.data / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        asyncio.run(_until_ready(engine, process))
        yield process
    finally:
        process.send_signal(engine.orphan_signal)
        process.wait(timeout=60)


async def _until_ready(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(60):
        while not await engine.ready():
            assert process.poll() is None, (engine.data / "output").read_text()
            await asyncio.sleep(0.02)
