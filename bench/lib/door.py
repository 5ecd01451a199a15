"""The gateway alone: its own engines, the real `recoup serve platform`, and services behind it that only answer."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import psutil

from bench.lib.house import Keys
from recoup.kit.config import new_secret
from recoup.kit.embedded import Postgres, Valkey
from recoup.kit.launch import wrap
from recoup.kit.ports import free_port


def start_upstream(port: int) -> "subprocess.Popen[bytes]":
    """An instance of the service behind, listening when this returns."""
    process = subprocess.Popen([sys.executable, "-m", "bench.lib.upstream", "--port", str(port)])
    wait_for(port, process)
    return process


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Until somebody listens."""
    for _ in range(1200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nothing listens on {port}")


@dataclass
class Door:
    """A running gateway."""

    port: int
    keys: Keys
    process: "subprocess.Popen[bytes]"

    def cpu_seconds(self) -> float:
        """Processor time the gateway's process has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


@contextmanager
def door(upstreams: Sequence[int], **environ: str) -> Generator[Door]:
    """A gateway whose `ai` and `pipeline` are the instances at these ports; everything in a folder that goes away."""
    folder = Path(tempfile.mkdtemp(prefix="rg-", dir="/tmp"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres, valkey = Postgres(folder / "postgres"), Valkey(folder / "valkey")
        urls = ",".join(f"http://127.0.0.1:{port}" for port in upstreams)
        port = free_port()
        env = {
            **os.environ,
            "RECOUP_POSTGRES_URL": postgres.url, "RECOUP_VALKEY_URL": valkey.url, "RECOUP_WAREHOUSE_URL": "chdb://",
            "RECOUP_INTERNAL_KEY": new_secret().reveal(), "RECOUP_DATA": str(folder), "RECOUP_PORT": str(port),
            "RECOUP_PEERS__PIPELINE": urls, "RECOUP_PEERS__AI": urls,
            **environ,
        }  # fmt: skip
        for engine in (postgres, valkey):
            asyncio.run(engine.prepare())
            _start(stack, wrap(engine.command, orphan_signal=signal.SIGKILL, account=engine.account), env)
        _migrate(env)
        process = _start(stack, [sys.executable, "-m", "recoup", "serve", "platform"], env)
        wait_for(port, process)
        _until_told(f"http://127.0.0.1:{port}")
        keys = msgspec.json.decode((folder / "first-run.json").read_bytes(), type=Keys)
        yield Door(port, keys, process)


def _start(stack: ExitStack, command: Sequence[str], env: dict[str, str]) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait, 20)
    stack.callback(process.terminate)
    return process


def _migrate(env: dict[str, str]) -> None:
    for _ in range(60):
        migrated = subprocess.run(
            [sys.executable, "-m", "recoup", "migrate"], check=False, env=env, capture_output=True
        )
        if migrated.returncode == 0:
            return
        time.sleep(0.5)
    raise SystemExit("the database did not come up")


def _until_told(url: str) -> None:
    for _ in range(200):
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise SystemExit("the gateway did not get ready")
