"""Puts the load generator to work on a running house, and says what that cost."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping

import msgspec

from bench.lib.house import House
from bench.lib.load import Report


def load(
    running: House, *, seconds: float, rate: float | None = None, connections: int = 4, looks: int = 0
) -> tuple[Report, float, list[float]]:
    """Runs the generator in a process of its own.

    Gives its report, the processor seconds it used, and all parts' memory in MB at so many moments on the way.
    """
    command = [sys.executable, "-m", "bench.lib.load", "--port", str(running.port), "--key", running.keys.secret_key]
    command += ["--seconds", str(seconds), "--connections", str(connections)]
    command += [] if rate is None else ["--rate", str(rate)]
    before = os.times()
    memory: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as generator:
        for _ in range(looks):
            time.sleep(seconds / (looks + 1))
            memory.append(sum(running.resident_mb().values()))
        output, _ = generator.communicate()
    if generator.returncode:
        raise SystemExit("the load generator failed")
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return msgspec.json.decode(output, type=Report), used, memory


def wait_until_queryable(running: House, events: int, patience: float = 120) -> float:
    """Seconds until the overview counts every acknowledged event."""
    started = time.perf_counter()
    counted: object = 0
    while time.perf_counter() - started < patience:
        counted = running.get("/api/analytics/overview")["events"]
        if isinstance(counted, int) and counted >= events:
            return time.perf_counter() - started
        time.sleep(0.05)
    raise SystemExit(f"only {counted} of {events} events can be queried after {patience:g} s")


def print_costs(running: House, before: Mapping[str, float], events: int, generator: float) -> None:
    """Processor seconds a million events, which is microseconds an event."""
    after = running.cpu_seconds()
    print("  cpu s/million     ", end="")
    spent = {name: (after[name] - before.get(name, 0)) * 1e6 / events for name in after}
    spent["generator"] = generator * 1e6 / events
    print(", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(spent.items(), key=lambda pair: -pair[1])))
