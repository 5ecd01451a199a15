"""Telling repeats: what remembering the ids of an hour costs, in time and memory.

    python -m bench seen                      24 million new ids, 2,000 at a time
    python -m bench seen --millions 2         a quick look

Each way runs in a process of its own, and is asked for every batch before it is told of it, as the stream does.
Baseline: Python's set of bytes, which forgets nothing and so is spared the hour's slots. The longest batch is processor
time too: what the events behind it wait for.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recoup.services.pipeline.stream.domain.seen import Ids, RecentIds

BATCH = 2_000
SLOT_IDS = 5_000_000
SLOTS_KEPT = 7


class Cost(NamedTuple):
    """Processor time (µs an id, ms for the longest batch) and memory (bytes an id, at its highest and at the end)."""

    ask: float
    tell: float
    longest: float
    highest: float
    last: float


class Ours:
    """What the stream uses."""

    def __init__(self) -> None:
        self.recent = RecentIds()

    def ask(self, ids: Ids, slot: int) -> bool:
        return bool(self.recent.seen(ids, max(1, slot - SLOTS_KEPT)).any())

    def tell(self, ids: Ids, slot: int) -> None:
        self.recent.add(ids, slot, max(1, slot - SLOTS_KEPT))


class PlainSet:
    """Python's own."""

    def __init__(self) -> None:
        self.known = set[bytes]()

    def ask(self, ids: Ids, _: int) -> bool:
        return any(row in self.known for row in _rows(ids))

    def tell(self, ids: Ids, _: int) -> None:
        self.known.update(_rows(ids))


def _rows(ids: Ids) -> list[bytes]:
    whole = ids.tobytes()
    return [whole[at : at + 16] for at in range(0, len(whole), 16)]


def measure(make: Callable[[], Ours | PlainSet], count: int) -> Cost:
    """Runs one way to its end."""
    way, chance = make(), np.random.default_rng(1)
    before = highest = _resident()
    asked = told = longest = 0.0
    for done in range(0, count, BATCH):
        ids = chance.integers(0, 1 << 64, (BATCH, 2), dtype=np.uint64)
        slot = 1 + done // SLOT_IDS
        begun = time.process_time()
        if way.ask(ids, slot):
            raise AssertionError("a new id was taken for a repeat")
        between = time.process_time()
        way.tell(ids, slot)
        ended = time.process_time()
        asked, told, longest = asked + between - begun, told + ended - between, max(longest, ended - begun)
        if done % (BATCH * 100) == 0:
            highest = max(highest, _resident())
    last = _resident()
    return Cost(
        asked / count * 1e6, told / count * 1e6, longest * 1e3, (max(highest, last) - before) / count,
        (last - before) / count,
    )  # fmt: skip


def _resident() -> int:
    """Bytes of this process in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) << 10
    raise SystemExit("this system does not say how much memory a process has")


def main() -> None:
    """Prints one line a way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--millions", type=int, default=24)
    count = parser.parse_args().millions * 1_000_000
    costs: dict[str, Cost] = {}
    for make in (PlainSet, Ours):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            costs[make.__name__] = pool.apply(measure, (make, count))
    print(f"{'way':<10} {'ask, µs':>8} {'tell, µs':>9} {'longest, ms':>12} {'bytes an id, peak, end':>24}")
    for name, cost in costs.items():
        print(f"{name:<10} {cost.ask:8.2f} {cost.tell:9.2f} {cost.longest:12.0f} {cost.highest:17.0f} {cost.last:6.0f}")
    ours, plain = costs["Ours"], costs["PlainSet"]
    pace, memory = (ours.ask + ours.tell) / (plain.ask + plain.tell), ours.highest / plain.highest
    longest = ours.longest / plain.longest
    print(f"of the plain set: {pace:.2f} of its time, {memory:.2f} of its memory, {longest:.3f} of its longest batch")


if __name__ == "__main__":
    main()
