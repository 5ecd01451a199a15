"""Real Kafka brokers (KRaft), fetched through Maven: one, or several in a cluster.

`kafka.xml` names the version. Where the jars lie is remembered beside Maven's own cache, so that only the first run
asks Maven. Without Java or Maven there is `ToolsMissing`.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from recoup.kit.ports import free_port

POM = Path(__file__).with_name("kafka.xml")
READY_WITHIN_SECONDS = 90
QUICK = "session.timeout.ms=1500&message.timeout.ms=5000&fetch.wait.max.ms=50"
# A test broker starts quickly on shared cores and stays small: no second-tier compiler, one collector thread.
JAVA = ("java", "-Xms64m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


@dataclass(slots=True)
class Broker:
    """A node that is broker and controller at once; keeps its data over `kill` and `start`."""

    folder: Path
    classpath: str
    node: int = 1
    port: int = field(default_factory=free_port)
    controller_port: int = field(default_factory=free_port)
    voters: str = ""
    """All nodes of its cluster; itself where it is alone."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Settings that differ from the ordinary test broker's."""
    java: Sequence[str] = JAVA
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """With a short session, so that a test of a dead member need not wait for long."""
        return f"kafka://{self.address}?{QUICK}"

    def format(self, *arguments: str) -> None:
        self.folder.mkdir(parents=True)
        self._settings.write_text("\n".join(f"{name}={value}" for name, value in self._options().items()))
        identity = "cmVjb3VwLXRlc3QtYnJva2"
        self.run_tool("kafka.tools.StorageTool", "format", "-t", identity, "-c", str(self._settings), *arguments)

    def run_tool(self, tool: str, *arguments: str) -> None:
        """One of Kafka's own command line tools."""
        done = subprocess.run(
            (*self.java, "-cp", self.classpath, tool, *arguments),
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        self.launch()
        self.wait()

    def launch(self) -> None:
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                (*self.java, "-cp", self.classpath, "kafka.Kafka", self._settings),
                stdout=output,
                stderr=output,
                cwd=self.folder,
            )

    def wait(self) -> None:
        """Until it answers."""
        admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        give_up = time.monotonic() + READY_WITHIN_SECONDS
        while True:
            try:
                admin.list_topics(timeout=1)
            except KafkaException:
                assert self.process is not None
                assert self.process.poll() is None, (self.folder / "output").read_text()
                assert time.monotonic() < give_up, "the broker was not ready in time"
            else:
                return

    def kill(self) -> None:
        """Kill -9, as a machine's failure would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """As for an upgrade: it hands over what it leads, and ends."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    @contextmanager
    def standing_still(self) -> Generator[None]:
        """Takes connections and what is written to them, and does nothing, until the block ends."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    @property
    def _settings(self) -> Path:
        return self.folder / "server.properties"

    def _options(self) -> dict[str, object]:
        here = f"127.0.0.1:{self.controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": self.node,
            "controller.quorum.voters": self.voters or f"{self.node}@{here}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{here}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "default.replication.factor": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 2,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 2,
            # A broker that was killed may come back as soon as the controller has missed it. Starved of processor time,
            # one that must beat within a second would be shut out again and again.
            "broker.heartbeat.interval.ms": 200,
            "broker.session.timeout.ms": 3000,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 500,
            "num.network.threads": 1,
            "num.io.threads": 2,
            "log.cleaner.dedupe.buffer.size": 2 << 20,
            **self.options,
        }


class ToolsMissing(Exception):
    """Java or Maven is not installed; says how to get them."""


def kafka_classpath() -> str:
    """The broker's jars, fetched by Maven where they are not there yet."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if missing:
        raise ToolsMissing(f"a Kafka broker needs {' and '.join(missing)}: apt-get install default-jre-headless maven")
    known = Path.home() / ".cache" / "recoup" / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:16]}"
    if known.exists() and all(Path(jar).exists() for jar in known.read_text().split(":")):
        return known.read_text()
    known.parent.mkdir(parents=True, exist_ok=True)
    fresh = known.with_suffix(f".{os.getpid()}")
    goal = ("dependency:build-classpath", "-Dmdep.includeScope=runtime", f"-Dmdep.outputFile={fresh}")
    done = subprocess.run(("mvn", "-B", "-q", "-f", POM, *goal), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    fresh.replace(known)
    return known.read_text()
