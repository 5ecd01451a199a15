"""The engines that the contracts ask, and how to stop one."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.kafka.broker import READY_WITHIN_SECONDS, Broker, broker, kafka_url

from recoup.kit.embedded import Valkey
from recoup.kit.launch import wrap

__all__ = ["broker", "kafka_url"]


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
