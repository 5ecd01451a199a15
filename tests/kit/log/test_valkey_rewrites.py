"""The append-only file is rewritten under load: neither `kill -9` nor a full disk costs an acknowledged record.

What the one who rewrote leaves behind is gone after the next start.
"""

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.conftest import running
from tests.contracts.reading import numbers, take, until

from recoup.kit.embedded import Valkey
from recoup.kit.errors import Unavailable
from recoup.kit.log.port import Outgoing
from recoup.kit.log.valkey_streams import ValkeyLog
from recoup.kit.valkey import connect, settled

pytestmark = pytest.mark.fault
PARTITIONS = 3
TOPIC = "t"
RECORD_BYTES = 20_000
KEYS = 400
MICROSECONDS_A_KEY = 1_000_000
"""So slowly is rewritten that it is not over before the test is, on any machine."""
DISK_BYTES, ROOM_BYTES = 32 << 20, 1 << 20
MOST_RECORDS = 10 * ROOM_BYTES // RECORD_BYTES


@dataclass
class Writer:
    """Appends numbers, one after the other."""

    url: str
    sent: int = 0
    acknowledged: list[int] = field(default_factory=list)

    async def write(self, count: int) -> None:
        log = ValkeyLog(self.url, PARTITIONS)
        try:
            for _ in range(count):
                number, self.sent = self.sent, self.sent + 1
                await log.append(TOPIC, [Outgoing(number % PARTITIONS, str(number).encode().rjust(RECORD_BYTES))])
                self.acknowledged.append(number)
        finally:
            await log.close()


async def read(url: str, count: int) -> list[int]:
    log = ValkeyLog(url, PARTITIONS)
    reader = log.reader("g", "a", [TOPIC])
    found = numbers(await take(reader, count))
    await reader.close()
    await log.close()
    return found


async def is_rewriting(url: str) -> bool:
    async with connect(url) as valkey:
        return bool((await settled(valkey.info("persistence")))["aof_rewrite_in_progress"])


async def rewrite(url: str) -> None:
    async with connect(url) as valkey:
        await settled(valkey.mset({f"key-{number}": b"value" for number in range(KEYS)}))
        await settled(valkey.config_set("rdb-key-save-delay", MICROSECONDS_A_KEY))
        await settled(valkey.bgrewriteaof())
    await until(lambda: is_rewriting(url))


@contextmanager
def killed(engine: Valkey) -> Generator[None]:
    """Runs until the block ends; then it is killed, with whoever rewrites for it, as its supervisor would."""
    with running(engine) as server:
        try:
            yield
        finally:
            server.kill()
            for draft in left(engine):
                os.kill(int(draft.stem.rpartition("-")[2]), signal.SIGKILL)


def left(engine: Valkey) -> list[Path]:
    """What was rewritten so far, named after the process that does it."""
    return list(engine.data.glob("temp-*"))


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small disk of its own."""
    with tempfile.TemporaryDirectory(prefix="rc-", dir="/tmp") as folder:
        mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder)
        if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
            pytest.skip("a disk can be made by root alone")
        try:
            yield Path(folder)
        finally:
            subprocess.run(("umount", "-l", folder), check=True)


def test_a_server_killed_while_it_rewrites_has_each_record_that_it_acknowledged(tmp_path: Path) -> None:
    engine = Valkey(tmp_path / "valkey")
    writer = Writer(engine.url)

    async def begin() -> None:
        await writer.write(30)
        await rewrite(engine.url)
        await writer.write(30)
        assert await is_rewriting(engine.url)

    with killed(engine):
        asyncio.run(begin())
    assert left(engine)
    with killed(engine):
        assert left(engine) == []
        assert asyncio.run(read(engine.url, 60)) == writer.acknowledged == list(range(60))


def test_a_disk_that_is_full_while_the_file_is_rewritten_costs_no_record_that_was_acknowledged(disk: Path) -> None:
    engine = Valkey(disk / "valkey")
    writer = Writer(engine.url)
    stuffing = disk / "stuffing"

    async def fill() -> None:
        await writer.write(30)
        await rewrite(engine.url)
        room = os.statvfs(disk)
        stuffing.write_bytes(bytes(room.f_bavail * room.f_frsize - ROOM_BYTES))
        with pytest.raises(Unavailable):
            await writer.write(MOST_RECORDS)

    with killed(engine):
        asyncio.run(fill())
    stuffing.unlink()
    taken = len(writer.acknowledged)
    with killed(engine):
        found = asyncio.run(read(engine.url, taken))
        # The one that was refused may be there or not.
        assert found[:taken] == writer.acknowledged
        asyncio.run(writer.write(10))
        assert set(writer.acknowledged) <= set(asyncio.run(read(engine.url, taken + 10)))
