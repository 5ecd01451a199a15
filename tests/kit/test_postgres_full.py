"""A disk that PostgreSQL has filled is an outage, not a bug: what failed can be done again once there is room."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import running

from recoup.kit.embedded import Postgres as Engine
from recoup.kit.errors import Unavailable
from recoup.kit.postgres import Postgres

pytestmark = pytest.mark.fault


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small disk of its own."""
    with tempfile.TemporaryDirectory(prefix="rc-", dir="/tmp") as folder:
        mount = ("mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", folder)
        if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
            pytest.skip("a disk can be made by root alone")
        Path(folder).chmod(0o755)
        try:
            yield Path(folder)
        finally:
            subprocess.run(("umount", "-l", folder), check=True)


@pytest.fixture
def url(disk: Path) -> Iterator[str]:
    engine = Engine(disk / "postgres", settings={"max_wal_size": "32MB"})
    with running(engine):
        yield engine.url


async def test_a_full_disk_is_an_outage_and_what_was_refused_passes_once_there_is_room(disk: Path, url: str) -> None:
    postgres = Postgres(url, "public")
    await postgres.execute("create table kept (body text)")
    # The write-ahead log keeps finding room in its own files; the table does not.
    room = os.statvfs(disk)
    stuffing = disk / "stuffing"
    stuffing.write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - 40_000_000)))

    with pytest.raises(Unavailable):
        await _fill(postgres)
    stuffing.unlink()
    before = await postgres.row(int, "select count(*) from kept")
    await postgres.execute("insert into kept values ('again')")

    assert await postgres.row(int, "select count(*) from kept") == before + 1
    await postgres.close()


async def _fill(postgres: Postgres) -> None:
    for _ in range(100):
        await postgres.execute(
            "insert into kept select string_agg(md5(random()::text), '') from generate_series(1, 30000)"
        )
