"""What the gateway costs: against the direct call in one run, at saturation, and while instances come and go.

    python -m bench gateway                                      all of it, three and a half minutes
    python -m bench gateway --seconds 1 --churn-seconds 5        a quick look

Promises: p50 + 1 ms and p99 + 5 ms at half of saturation; another instance within 50 ms of a refused connection; no
idempotent request fails while instances are killed and started at random for a minute. Rate limits are as they are by
default, and every request carries a key. Baseline of each figure is the call without what is measured, in the same run:
straight to the service behind, before an instance was killed, with nobody killed. The machine's speed changes from
second to second, so what is compared takes turns, and the middle round is shown.
"""

import argparse
import random
import subprocess
import sys
import time
from statistics import median
from typing import Final

import httpx
import msgspec

from bench.lib.door import Door, door, start_upstream
from bench.lib.knock import Knocks
from recoup.kit.ports import free_port

ROUNDS: Final = 3
REFUSALS: Final = 200
CHURNED_RATE: Final = 100
PATHS: Final = {100: "/predict/cart", 200_000: "/events"}
"""A small question, and a batch of events of the size clients send."""


class Options(msgspec.Struct, frozen=True):
    """How long, and by how many."""

    seconds: float
    churn_seconds: float
    connections: int


class Target(msgspec.Struct, frozen=True):
    """Whom a load generator asks."""

    port: int
    path: str
    key: str = ""
    method: str = "POST"
    size: int = 100


def knocking(target: Target, options: Options, seconds: float, rate: float | None = None) -> "subprocess.Popen[bytes]":
    """A load generator on its way."""
    command = [
        sys.executable, "-m", "bench.lib.knock", "--port", str(target.port), "--path", target.path,
        "--key", target.key, "--method", target.method, "--size", str(target.size),
        "--seconds", str(seconds), "--connections", str(options.connections),
    ]  # fmt: skip
    return subprocess.Popen(command + (["--rate", str(rate)] if rate else []), stdout=subprocess.PIPE)


def heard(process: "subprocess.Popen[bytes]") -> Knocks:
    """A load generator's figures."""
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit("a load generator did not come to its end: a connection to the gateway broke")
    return msgspec.json.decode(output, type=Knocks)


def knock(target: Target, options: Options, rate: float | None = None) -> Knocks:
    """The figures of a load generator that no request failed."""
    figures = heard(knocking(target, options, options.seconds, rate))
    if figures.failed:
        raise SystemExit(f"{figures.failed} of {figures.answered} requests to {target.path} were refused")
    return figures


def overhead(running: Door, upstream: int, size: int, options: Options) -> None:
    """Prints throughput at saturation, and both latencies at half of the gateway's."""
    path = PATHS[size]
    through = Target(running.port, f"/api{path}", running.keys.secret_key, size=size)
    direct = Target(upstream, path, size=size)
    knock(through, options)  # warm
    cpu = running.cpu_seconds()
    full = knock(through, options)
    cpu = (running.cpu_seconds() - cpu) / full.answered
    straight = knock(direct, options)
    print(f"bodies of {size:,} bytes to {path}, {options.connections} connections")
    print(f"  saturation {full.rate:10,.0f} requests/s; direct {straight.rate:,.0f}, {full.rate / straight.rate:.2f}")
    print(f"  processor  {1e6 * cpu:10,.0f} µs a request, the gateway's process")
    rounds = [(knock(direct, options, full.rate / 2), knock(through, options, full.rate / 2)) for _ in range(ROUNDS)]
    for name, promise in (("p50_ms", 1), ("p99_ms", 5)):
        bare, passed = (median(getattr(figures, name) for figures in side) for side in zip(*rounds, strict=True))
        print(f"  half, {name[:3]}  {passed:10.2f} ms; direct {bare:.2f}, {passed / bare:.1f} times", end=", ")
        print(f"{passed - bare:+.2f} ms (promise +{promise})")


def failover() -> None:
    """Prints how long a request takes whose first instance refuses the connection."""
    ports = [free_port(), free_port()]
    instances = [start_upstream(port) for port in ports]
    try:
        # Eject for an instant only, so that every other request meets the refusal again.
        with (
            door(ports, RECOUP_BALANCING__EJECT_SECONDS="0.001", RECOUP_RETRIES__SHARE="1") as running,
            httpx.Client(base_url=f"http://127.0.0.1:{running.port}") as http,
        ):
            before = asked(http, running.keys.secret_key)
            instances[0].kill()
            instances[0].wait()
            taken = asked(http, running.keys.secret_key)
    finally:
        for instance in instances:
            instance.kill()
    print(f"refused connection, {REFUSALS} requests of which each second one meets it")
    print(f"  answered after {taken[len(taken) // 2]:.1f} ms p50, {taken[-1]:.1f} at most (promise 50); ", end="")
    print(f"before {before[len(before) // 2]:.1f} and {before[-1]:.1f}, {taken[-1] / before[-1]:.1f} times at most")


def asked(http: httpx.Client, key: str) -> list[float]:
    """Milliseconds of some requests in a row, in order of size."""
    taken: list[float] = []
    for _ in range(REFUSALS):
        started = time.perf_counter()
        answer = http.get("/api/predict/cart", headers={"X-Api-Key": key})
        taken.append(1000 * (time.perf_counter() - started))
        assert answer.status_code == 200, answer.text
    return sorted(taken)


def churn(options: Options) -> None:
    """Prints how many idempotent requests failed, and how long they took, while instances come and go at random."""
    ports = [free_port() for _ in range(3)]
    instances = {port: start_upstream(port) for port in ports}
    try:
        with door(ports) as running:
            targets = [
                Target(running.port, "/api/predict/cart", running.keys.secret_key, "GET", 0),
                Target(running.port, "/api/predict/cart", running.keys.secret_key, "PUT", 2_000),
            ]
            quiet = [knocking(target, options, options.seconds, CHURNED_RATE) for target in targets]
            before = [heard(process) for process in quiet]
            asking = [knocking(target, options, options.churn_seconds, CHURNED_RATE) for target in targets]
            kills = killed_at_random(instances, until_over=asking[0])
            after = [heard(process) for process in asking]
    finally:
        for instance in instances.values():
            instance.kill()
    print(f"three instances, {kills} kills and starts in {after[0].seconds:.0f} s")
    for target, calm, figures in zip(targets, before, after, strict=True):
        print(f"  {target.method}: {figures.failed} of {figures.answered:,} failed (promise 0); ", end="")
        print(f"{figures.p50_ms:.1f} ms p50, {figures.p99_ms:.1f} p99, {figures.max_ms:.0f} at most; ", end="")
        print(f"nobody killed {calm.p50_ms:.1f}, {calm.p99_ms:.1f}, {calm.max_ms:.0f}")


def killed_at_random(instances: "dict[int, subprocess.Popen[bytes]]", until_over: "subprocess.Popen[bytes]") -> int:
    """Kills one, starts it again a little later, and so on; how often."""
    chance = random.Random(3)
    kills = 0
    while until_over.poll() is None:
        time.sleep(chance.uniform(0.3, 1.5))
        port = chance.choice(list(instances))
        instances[port].kill()
        instances[port].wait()
        kills += 1
        time.sleep(chance.uniform(0.0, 1.0))
        instances[port] = start_upstream(port)
    return kills


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--churn-seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=4)
    given = parser.parse_args()
    options = Options(given.seconds, given.churn_seconds, given.connections)
    port = free_port()
    upstream = start_upstream(port)
    try:
        with door([port]) as running:
            for size in PATHS:
                overhead(running, port, size, options)
    finally:
        upstream.kill()
    failover()
    churn(options)


if __name__ == "__main__":
    main()
