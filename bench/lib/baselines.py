"""What the path is compared with, measured in the same run on the same machine and bytes."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from bench.lib.load import EVENTS_A_BATCH, Bodies, Report
from recoup.kit.embedded import Valkey
from recoup.kit.launch import wrap
from recoup.kit.ports import free_port
from recoup.messages.events import Event


def decode_rate(seconds: float = 2.0) -> float:
    """Events/s one core decodes from the same bytes into the same Structs, doing nothing else."""
    decode = msgspec.json.Decoder(list[Event]).decode
    ready = [Bodies(seed=seed).next() for seed in range(20)]
    started = time.perf_counter()
    count = 0
    while time.perf_counter() - started < seconds:
        decode(ready[count % len(ready)])
        count += 1
    return count * EVENTS_A_BATCH / (time.perf_counter() - started)


def naive_collector_rate(seconds: float, connections: int) -> float:
    """Events/s of bench/lib/naive.py under the same load, storing into a Valkey of its own."""
    folder = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
    engine = Valkey(folder / "valkey")
    asyncio.run(engine.prepare())
    valkey = subprocess.Popen(
        wrap(engine.command, orphan_signal=signal.SIGKILL, account=None), stdout=subprocess.DEVNULL
    )
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "bench.lib.naive:app", "--port", str(port), "--log-level", "error"],
        env={**os.environ, "NAIVE_VALKEY": engine.url},
    )
    try:
        _wait_for(port)
        command = [sys.executable, "-m", "bench.lib.load", "--port", str(port), "--path", "/events/batch"]
        command += ["--seconds", str(seconds), "--connections", str(connections)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        report = msgspec.json.decode(output, type=Report)
        return report.acknowledged / report.seconds
    finally:
        for process in (server, valkey):
            process.terminate()
            process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("the baseline did not start")
