"""The event path: from HTTP batches of 500, through the public port, to rows that can be queried.

    python -m bench path                     60 s at full speed, then half speed, then the baselines
    BENCH_SECONDS=10 python -m bench path    the same, shorter

Everything runs on this machine, the load generator included. Promise: 50,000 events/s sustained, flat memory;
acknowledgement p99 under 10 ms and received-to-enriched p99 under 100 ms at half of that. At full speed 16 connections
send as fast as they are answered, at half speed 4 keep to a schedule; memory is looked at three times on the way.

Baselines of the same run: decoding the same bytes with msgspec on one core and doing nothing else; and a collector as
one would write it first (FastAPI, pydantic, one redis command an event) that only stores.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import msgspec

from bench.lib.baselines import decode_rate, naive_collector_rate
from bench.lib.house import House, house
from bench.lib.load import Report

SECONDS = float(os.environ.get("BENCH_SECONDS", "60"))
TARGET = 50_000
SENDERS = 16


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


def full_speed(running: House) -> float:
    """Prints what the path takes; events/s from the first byte sent to the last row queryable."""
    memory, cpu = running.resident_mb(), running.cpu_seconds()
    report, generator, on_the_way = load(running, seconds=SECONDS, connections=SENDERS, looks=3)
    lag = wait_until_queryable(running, report.acknowledged)
    rate = report.acknowledged / (report.seconds + lag)
    print(f"sustained           {rate:10,.0f} events/s for {report.seconds:.0f} s, {report.acknowledged:,} events")
    print(f"  of the promise    {rate / TARGET:10.2f} of 50,000")
    print(f"  last row after    {lag:10.2f} s;  429/503 answers {report.slowed}, refused {report.refused}")
    print(f"  acknowledgement   {report.p50_ms:10.1f} ms p50, {report.p99_ms:.1f} ms p99 (saturated)")
    print_costs(running, cpu, report.acknowledged, generator)
    print_memory(memory, on_the_way, running.resident_mb())
    return rate


def half_speed(running: House, before: int) -> None:
    """Prints the latencies at half the promised rate."""
    report, _, _ = load(running, seconds=SECONDS / 2, rate=TARGET / 2)
    status = msgspec.convert(running.get("/api/pipeline/status")["processors"], list[dict[str, object]])
    wait_until_queryable(running, before + report.acknowledged)
    print(f"at {TARGET / 2:,.0f} events/s (reached {report.acknowledged / report.seconds:,.0f})")
    print(f"  acknowledgement   {report.p50_ms:10.1f} ms p50, {report.p99_ms:.1f} ms p99 (promise 10)")
    print(
        f"  to enriched       {status[0]['delay_p50_ms']:10.1f} ms p50, {status[0]['delay_p99_ms']:.1f} ms p99"
        " of each batch's oldest event (promise 100)"
    )


def print_costs(running: House, before: Mapping[str, float], events: int, generator: float) -> None:
    """Processor seconds a million events, which is microseconds an event."""
    after = running.cpu_seconds()
    print("  cpu s/million     ", end="")
    spent = {name: (after[name] - before.get(name, 0)) * 1e6 / events for name in after}
    spent["generator"] = generator * 1e6 / events
    print(", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(spent.items(), key=lambda pair: -pair[1])))


def print_memory(before: Mapping[str, float], on_the_way: Sequence[float], after: Mapping[str, float]) -> None:
    """Resident memory at rest, under load, and after it."""
    steps = [sum(before.values()), *on_the_way, sum(after.values())]
    print(
        f"  memory, MB        {' → '.join(f'{step:,.0f}' for step in steps)}, from rest over the load to its end: ",
        end="",
    )
    print(", ".join(f"{name} {before.get(name, 0):.0f}→{after[name]:.0f}" for name in after))


def main() -> None:
    decoded = decode_rate()
    naive = naive_collector_rate(min(SECONDS, 10), SENDERS)
    with house() as running:
        print(f"ready after         {running.ready_seconds:10.1f} s")
        rate = full_speed(running)
        counted = running.get("/api/analytics/overview")["events"]
        assert isinstance(counted, int)
        half_speed(running, counted)
    print(
        f"baseline: msgspec decodes {decoded:,.0f} events/s on one core; the whole path is {rate / decoded:.2f} of that"
    )
    print(
        f"baseline: FastAPI + pydantic + redis, only storing: {naive:,.0f} events/s; ours {rate / naive:.1f} times that"
    )


if __name__ == "__main__":
    main()
