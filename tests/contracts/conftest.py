"""The engines that the contracts ask, and how to stop one."""

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from tests.contracts.reading import PARTITIONS, Readers
from tests.kafka.broker import READY_WITHIN_SECONDS, Broker

from recoup.kit.embedded import Valkey
from recoup.kit.launch import wrap
from recoup.kit.log import valkey_streams
from recoup.kit.log.open import open_log
from recoup.kit.log.port import Log


@dataclass(slots=True)
class StoppableValkey:
    """A Valkey of the test's own, synced to disk like the real one."""

    engine: Valkey
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return self.engine.url

    def start(self) -> None:
        command = wrap(self.engine.command, orphan_signal=self.engine.orphan_signal, account=self.engine.account)
        with (self.engine.data / "output").open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        give_up = time.monotonic() + READY_WITHIN_SECONDS
        while not asyncio.run(self.engine.ready()):
            assert time.monotonic() < give_up, "Valkey was not ready in time"

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def stoppable(
    request: pytest.FixtureRequest, engines_folder: Path, engine: str
) -> Iterator["Broker | StoppableValkey"]:
    """The engine under test, started, to be killed and started again at will; it runs again in the end."""
    if engine == "kafka":
        broker: Broker = request.getfixturevalue("broker")
        yield broker
        if broker.process is None:
            broker.start()
        return
    own = StoppableValkey(Valkey(engines_folder / "stoppable"))
    asyncio.run(own.engine.prepare())
    own.start()
    yield own
    own.kill()


@pytest.fixture(params=["valkey", pytest.param("kafka", marks=pytest.mark.kafka)])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(request: pytest.FixtureRequest, engine: str) -> str:
    return request.getfixturevalue(f"{engine}_url")


@pytest.fixture
async def log(url: str, valkey_url: str) -> AsyncIterator[Log]:
    log = open_log(url, PARTITIONS, valkey_url)
    yield log
    await log.close()


@pytest.fixture
async def readers(log: Log) -> AsyncIterator[Readers]:
    readers = Readers(log, [])
    yield readers
    await asyncio.gather(*(reader.close() for reader in readers.opened), return_exceptions=True)


@pytest.fixture
def topic() -> str:
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def group(topic: str) -> str:
    return f"g-{topic}"


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a dead member of the Valkey log is missed as soon as one of the test broker."""
    monkeypatch.setattr(valkey_streams, "LEASE_MS", 1_500)
    monkeypatch.setattr(valkey_streams, "RENEW_MS", 300)
