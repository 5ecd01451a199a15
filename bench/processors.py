"""More stream processors on the same two cores: partitions move between them, and what an event costs stays.

    python -m bench processors                          1, 2 and 4 processors, 30 s each at 20,000 events/s
    python -m bench processors --seconds 5 --rate 5000  a quick look; --log kafka on a Kafka broker of its own

Two cores have no room for a speed-up, so the cost is what counts: a share of the events costs a processor the same
whether it is all of them or a quarter. Batches become smaller where they are shared, so some of it is paid again.
The others join while events arrive, as they would in a cluster (`RECOUP_MEMBER=1 recoup serve processor`), and the
count at the end says whether any event was lost or doubled on the way. Baseline: one processor, in the same run.
"""

import argparse
import os
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack

import msgspec

from bench.lib.driving import load, wait_until_queryable
from bench.lib.house import House, another
from bench.lib.logs import LOGS, house_on

STEPS = (1, 2, 4)
JOIN_SECONDS = 10.0
PATIENCE_SECONDS = 60


class Status(msgspec.Struct):
    """What a processor says of itself."""

    member: str
    partitions: list[int]
    delay_p50_ms: float
    delay_p99_ms: float


def statuses(running: House) -> list[Status]:
    found = msgspec.convert(running.get("/api/pipeline/status")["processors"], list[Status])
    return sorted(found, key=lambda status: status.member)


def wait_until_shared(running: House, members: int) -> list[Status]:
    """Until so many processors own all partitions between them, and no two the same."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = statuses(running)
        owned = [partition for status in found for partition in status.partitions]
        if sum(bool(status.partitions) for status in found) == members and len(owned) == len(set(owned)):
            return found
        time.sleep(0.2)
    raise SystemExit(f"the partitions were not shared among {members} processors within {PATIENCE_SECONDS} s")


def join_under_load(running: House, stack: ExitStack, members: int, rate: float) -> int:
    """Starts the processors that are missing while events arrive; gives how many events those were."""
    sent: list[int] = []
    driving = threading.Thread(
        target=lambda: sent.append(load(running, seconds=JOIN_SECONDS, rate=rate)[0].acknowledged)
    )
    driving.start()
    present = sum("processor" in name for name in running.processes())
    for member in range(present, members):
        stack.enter_context(another(running, "processor", str(member)))
    wait_until_shared(running, members)
    driving.join()
    return sent[0]


def cost(before: Mapping[str, float], after: Mapping[str, float], events: int) -> tuple[float, float]:
    """Microseconds an event: of the processors, and of all parts."""
    spent = {name: (after[name] - before[name]) * 1e6 / events for name in after}
    return sum(value for name, value in spent.items() if "processor" in name), sum(spent.values())


def measure(running: House, members: int, seconds: float, rate: float) -> tuple[int, float]:
    """Prints a line; gives the events sent and the processors' cost of one."""
    before = running.cpu_seconds()
    report, _, _ = load(running, seconds=seconds, rate=rate)
    found = wait_until_shared(running, members)
    mine, whole = cost(before, running.cpu_seconds(), report.acknowledged)
    shares = " + ".join(str(len(status.partitions)) for status in found if status.partitions)
    slowest = max(status.delay_p99_ms for status in found)
    print(
        f"{members} processors, partitions {shares:<14} {mine:6.2f} µs an event in them, {whole:6.2f} in all parts, "
        f"slowest p99 {slowest:.0f} ms, {report.acknowledged / report.seconds:,.0f} events/s"
    )
    return report.acknowledged, mine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("BENCH_SECONDS", "30")))
    parser.add_argument("--rate", type=float, default=20_000)
    parser.add_argument("--log", choices=LOGS, default=os.environ.get("BENCH_LOG", LOGS[0]))
    options = parser.parse_args()
    costs: list[float] = []
    with house_on(options.log) as running, ExitStack() as stack:
        sent = 0
        for members in STEPS:
            sent += join_under_load(running, stack, members, options.rate)
            events, mine = measure(running, members, options.seconds, options.rate)
            sent += events
            costs.append(mine)
        wait_until_queryable(running, sent)
        time.sleep(1)  # what was doubled would come late
        counted = running.get("/api/analytics/overview")["events"]
    print(f"{sent:,} events acknowledged, {counted:,} counted")
    ratios = ", ".join(f"{members}: {mine / costs[0]:.2f}" for members, mine in zip(STEPS, costs, strict=True))
    print(f"cost of an event against one processor's: {ratios}")


if __name__ == "__main__":
    main()
