"""Discovery by DNS against CoreDNS, where `RECOUP_COREDNS_BINARY` names one: headless services that come and go.

Wants Linux and root: the name server and the one who asks get a network and a resolv.conf of their own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

BINARY = os.environ.get("RECOUP_COREDNS_BINARY", "")
pytestmark = pytest.mark.skipif(not BINARY, reason="RECOUP_COREDNS_BINARY names no CoreDNS")
COREFILE = "shop.test:53 {\n    errors\n    file %s {\n        reload 1s\n    }\n}\n"
ZONE = "$ORIGIN shop.test.\n@ 30 IN SOA ns.shop.test. a.shop.test. %d 60 60 60 30\n@ 30 IN NS ns.shop.test.\n"
INSIDE = 'ip link set lo up && mount --bind "$1" /etc/resolv.conf && exec sleep infinity'


@dataclass
class Cluster:
    """A network with a name server, and somebody in it who asks."""

    folder: Path
    inside: list[str]
    told: "subprocess.Popen[str] | None" = None
    serial: int = 0

    def publish(self, *records: str) -> None:
        """The addresses of the headless service, by kind: `A 10.0.0.1`."""
        self.serial += 1
        lines = [f"recoup-ai 30 IN {record}" for record in records]
        new = self.folder / "new"
        new.write_text(ZONE % self.serial + "\n".join(lines) + "\n")
        new.rename(self.folder / "zone")

    @contextmanager
    def serving(self) -> Generator[None]:
        command = [*self.inside, BINARY, "-conf", str(self.folder / "Corefile")]
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.kill()
            process.wait(30)

    def says(self, stale: bool, *urls: str) -> None:
        """Waits until this is what is told."""
        assert self.told is not None
        assert self.told.stdout is not None
        wanted = {"urls": sorted(urls), "stale": stale}
        assert any(json.loads(line) == wanted for line in self.told.stdout), (self.folder / "output").read_text()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    (tmp_path / "Corefile").write_text(COREFILE % (tmp_path / "zone"))
    command = ["unshare", "--net", "--mount", "sh", "-c", INSIDE, "sh", str(tmp_path / "resolv.conf")]
    network = subprocess.Popen(command)
    made = Cluster(tmp_path, ["nsenter", "--net", "--mount", "--target", str(network.pid)])
    made.publish()
    (tmp_path / "output").touch()
    try:
        while Path(f"/proc/{network.pid}/comm").read_text().strip() != "sleep":
            assert network.poll() is None
        watching = [*made.inside, sys.executable, "-m", "tests.contracts.told"]
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        made.told = subprocess.Popen(watching, stdout=subprocess.PIPE, text=True, env=environ)
        yield made
    finally:
        for process in (made.told, network):
            if process is not None:
                process.kill()
                process.wait(30)


def test_instances_that_come_and_go_are_followed_and_silence_changes_nothing(cluster: Cluster):
    one, two, six = "http://10.0.0.1:8080", "http://10.0.0.2:8080", "http://[fd00::1]:8080"
    cluster.says(True)
    with cluster.serving():
        cluster.publish("A 10.0.0.1", "A 10.0.0.2", "AAAA fd00::1")
        cluster.says(False, one, two, six)
        cluster.publish("A 10.0.0.2", "AAAA fd00::1")
        cluster.says(False, two, six)
        cluster.publish()
        cluster.says(True, two, six)
        cluster.publish("AAAA fd00::1")
        cluster.says(False, six)
        cluster.publish("A 0.0.0.0")
        cluster.says(True, six)
        cluster.publish("A 10.0.0.1")
        cluster.says(False, one)
    cluster.says(True, one)
    with cluster.serving():
        cluster.says(False, one)
