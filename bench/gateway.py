"""What the gateway costs: against the direct call in one run, at saturation, and while instances come and go.

Promises: p50 + 1 ms and p99 + 5 ms at half of saturation; another instance within 50 ms of a refused connection; no
idempotent request fails while instances are killed and started at random.
"""

import os
import random
import subprocess
import sys
import time

import httpx
import msgspec

from bench.lib.door import Door, door, start_upstream
from bench.lib.knock import Knocks
from recoup.kit.ports import free_port

SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
CHURN_SECONDS = float(os.environ.get("BENCH_CHURN_SECONDS", "60"))
CONNECTIONS = 4
PATH = "/predict/cart"


def knocking(port: int, path: str, key: str, seconds: float, **options: float | str) -> "subprocess.Popen[bytes]":
    """A load generator on its way."""
    command = [sys.executable, "-m", "bench.lib.knock", "--port", str(port), "--path", path, "--key", key]
    command += ["--seconds", str(seconds), "--connections", str(CONNECTIONS)]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def knock(port: int, path: str, key: str, **options: float | str) -> Knocks:
    """A load generator's figures."""
    output, _ = knocking(port, path, key, SECONDS, **options).communicate()
    return msgspec.json.decode(output, type=Knocks)


def overhead(running: Door, upstream: int, size: int) -> None:
    """Prints throughput at saturation, and both latencies at half of the gateway's."""
    key = running.keys.secret_key
    knock(running.port, f"/api{PATH}", key, size=size)  # warm
    cpu = running.cpu_seconds()
    full = knock(running.port, f"/api{PATH}", key, size=size)
    cpu = (running.cpu_seconds() - cpu) / full.answered
    straight = knock(upstream, PATH, "", size=size)
    print(f"bodies of {size:,} bytes")
    print(
        f"  saturation      {full.rate:8,.0f} requests/s, direct {straight.rate:,.0f}; {1e6 * cpu:.0f} µs of processor"
    )
    direct = knock(upstream, PATH, "", size=size, rate=full.rate / 2)
    through = knock(running.port, f"/api{PATH}", key, size=size, rate=full.rate / 2)
    print(f"  half, p50       {through.p50_ms:8.2f} ms, direct {direct.p50_ms:.2f}", end="; ")
    print(f"{through.p50_ms - direct.p50_ms:+.2f} (promise +1)")
    print(f"  half, p99       {through.p99_ms:8.2f} ms, direct {direct.p99_ms:.2f}", end="; ")
    print(f"{through.p99_ms - direct.p99_ms:+.2f} (promise +5)")


def failover() -> None:
    """Prints how long a request takes whose first instance refuses the connection."""
    ports = [free_port(), free_port()]
    alive = start_upstream(ports[0])
    try:
        # Eject for an instant only, so that every other request meets the refusal again.
        with (
            door(ports, RECOUP_BALANCING__EJECT_SECONDS="0.001", RECOUP_RETRIES__SHARE="1") as running,
            httpx.Client(base_url=f"http://127.0.0.1:{running.port}") as http,
        ):
            taken: list[float] = []
            for _ in range(200):
                started = time.perf_counter()
                answer = http.get(f"/api{PATH}", headers={"X-Api-Key": running.keys.secret_key})
                taken.append(1000 * (time.perf_counter() - started))
                assert answer.status_code == 200, answer.text
    finally:
        alive.kill()
    taken.sort()
    print(f"refused connection: answered after {taken[100]:.1f} ms p50, {taken[-1]:.1f} ms at most (promise 50)")


def churn() -> None:
    """Prints how many idempotent requests failed, and how long they took, while instances come and go at random."""
    chance = random.Random(3)
    ports = [free_port() for _ in range(3)]
    processes = {port: start_upstream(port) for port in ports}
    kills = 0
    try:
        with door(ports) as running:
            asking = knocking(
                running.port, f"/api{PATH}", running.keys.secret_key, CHURN_SECONDS, method="GET", size=0, rate=200
            )
            while asking.poll() is None:
                time.sleep(chance.uniform(0.3, 1.5))
                port = chance.choice(ports)
                processes[port].kill()
                processes[port].wait()
                kills += 1
                time.sleep(chance.uniform(0.0, 1.0))
                processes[port] = start_upstream(port)
            figures = msgspec.json.decode(asking.communicate()[0], type=Knocks)
    finally:
        for process in processes.values():
            process.kill()
    print(
        f"{kills} kills in {figures.seconds:.0f} s: {figures.failed} of {figures.answered:,} requests failed", end="; "
    )
    print(f"{figures.p50_ms:.1f} ms p50, {figures.p99_ms:.1f} p99, {figures.max_ms:.0f} at most")


def main() -> None:
    """All of it."""
    port = free_port()
    upstream = start_upstream(port)
    try:
        with door([port]) as running:
            overhead(running, port, 100)
            overhead(running, port, 200_000)
    finally:
        upstream.kill()
    failover()
    churn()


if __name__ == "__main__":
    main()
