"""A whole platform on a temporary folder, started as a user would and stopped again, with its processes' costs."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
import psutil

from recoup.kit.ports import free_port
from recoup.kit.supervisor import read_statuses


class Keys(msgspec.Struct):
    """What `first-run.json` says."""

    url: str
    store_id: str
    secret_key: str
    publishable_key: str


@dataclass
class House:
    """A running platform."""

    folder: Path
    port: int
    keys: Keys
    ready_seconds: float
    process: "subprocess.Popen[bytes]"
    beside: dict[str, int] = field(default_factory=dict)
    """Process ids of parts that its supervisor did not start, by name."""
    log_url: str = ""
    """Of a log that is not the house's own Valkey."""

    def get(self, path: str, **params: str) -> dict[str, object]:
        """GETs from the public API with the store's secret key."""
        answer = httpx.get(
            f"http://127.0.0.1:{self.port}{path}",
            params=params,
            headers={"X-Api-Key": self.keys.secret_key},
            timeout=30,
        )
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=dict[str, object])

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Each part's processes, by name."""
        found: dict[str, list[psutil.Process]] = {"supervisor": [psutil.Process(self.process.pid)]}
        supervised = {status.name: status.pid for status in read_statuses(self.folder) if status.pid is not None}
        for name, pid in (supervised | self.beside).items():
            process = psutil.Process(pid)
            found[name] = [process, *process.children(recursive=True)]
        return found

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time each part has used so far."""
        return {name: sum(map(_cpu, processes)) for name, processes in self.processes().items()}

    def resident_mb(self) -> dict[str, float]:
        """Resident memory of each part in MB; for PostgreSQL the shared part is counted once (PSS)."""
        return {name: sum(map(_memory, processes)) / 1e6 for name, processes in self.processes().items()}


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def _memory(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss if process.name() == "postgres" else process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


@contextmanager
def house(keep: Path | None = None, **environ: str) -> Generator[House]:
    """Starts `recoup up`, waits until it is ready, and stops it by SIGTERM; in `keep`, or a folder that goes away."""
    folder, port = keep or Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp")), free_port()
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "recoup", "up", "--data", str(folder), "--port", str(port)],
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_until_ready(port, process)
        ready = time.perf_counter() - started
        keys = msgspec.json.decode((folder / "first-run.json").read_bytes(), type=Keys)
        yield House(folder, port, keys, ready, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def another(running: House, service: str, member: str) -> Generator[None]:
    """One more process of a service, as a cluster would run it, until the block ends."""
    (supervised,) = running.processes()[service][:1]
    environ = {**supervised.environ(), "RECOUP_MEMBER": member, "RECOUP_PORT": str(free_port())}
    process = subprocess.Popen(
        [sys.executable, "-m", "recoup", "serve", service], env=environ, stdout=subprocess.DEVNULL
    )
    name = f"{service}-{member}"
    running.beside[name] = process.pid
    try:
        yield
    finally:
        del running.beside[name]
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _wait_until_ready(port: int, process: "subprocess.Popen[bytes]", patience: float = 240) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise SystemExit("the platform did not get ready")
