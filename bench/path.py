"""The event path: from HTTP batches of 500, through the public port, to rows that can be queried.

    python -m bench path                     60 s at full speed, then half speed, then the baselines
    python -m bench path --log kafka         the same on a Kafka broker of its own (wants Java and Maven)
    BENCH_SECONDS=10 python -m bench path    the same, shorter; 600 for the ten minutes of the promise

Everything runs on this machine, the load generator included. Promise: 50,000 events/s sustained, flat memory;
acknowledgement p99 under 10 ms and received-to-enriched p99 under 100 ms at half of that. At full speed 16 connections
send as fast as they are answered, at half speed 4 keep to a schedule; memory is looked at three times on the way,
or once a minute.

Baselines of the same run: decoding the same bytes with msgspec on one core and doing nothing else; and a collector as
one would write it first (FastAPI, pydantic, one redis command an event) that only stores.
"""

import argparse
import os
from collections.abc import Mapping, Sequence

import msgspec

from bench.lib.baselines import decode_rate, naive_collector_rate
from bench.lib.driving import load, print_costs, wait_until_queryable
from bench.lib.house import House
from bench.lib.logs import LOGS, house_on

SECONDS = float(os.environ.get("BENCH_SECONDS", "60"))
TARGET = 50_000
SENDERS = 16
LOOKS = max(3, int(SECONDS / 60))


def full_speed(running: House) -> float:
    """Prints what the path takes; events/s from the first byte sent to the last row queryable."""
    memory, cpu = running.resident_mb(), running.cpu_seconds()
    report, generator, on_the_way = load(running, seconds=SECONDS, connections=SENDERS, looks=LOOKS)
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


def print_memory(before: Mapping[str, float], on_the_way: Sequence[float], after: Mapping[str, float]) -> None:
    """Resident memory at rest, under load, and after it."""
    steps = [sum(before.values()), *on_the_way, sum(after.values())]
    print(
        f"  memory, MB        {' → '.join(f'{step:,.0f}' for step in steps)}, from rest over the load to its end: ",
        end="",
    )
    print(", ".join(f"{name} {before.get(name, 0):.0f}→{after[name]:.0f}" for name in after))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", choices=LOGS, default=os.environ.get("BENCH_LOG", LOGS[0]))
    log: str = parser.parse_args().log
    decoded = decode_rate()
    naive = naive_collector_rate(min(SECONDS, 10), SENDERS)
    with house_on(log) as running:
        print(f"log                 {log}")
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
