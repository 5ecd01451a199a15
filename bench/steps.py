"""The stream's steps side by side, on one core and the same events: ours, plain Python row by row, and bytewax.

    python -m bench steps                    100,000 events each
    python -m bench steps --events 20000     a quick look

All deduplicate, validate, enrich and track carts, and agree on how many events they kept, dropped and set aside. Each
reads and writes what it would in its own house: ours Arrow records as the collector writes them, the others JSON, a
message an event. Nothing is stored, so the figures are of the steps alone. Ours also knows holidays, business hours,
crawlers and search engines; the others do less, and their carts follow additions and orders only. Baseline: row by row.

bytewax is no dependency of ours. In a venv of its own it is found by BENCH_BYTEWAX:

    python3 -m venv /tmp/bytewax && /tmp/bytewax/bin/pip install bytewax==0.21.1
    BENCH_BYTEWAX=/tmp/bytewax/bin/python python -m bench steps
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from bench.lib.load import EVENTS_A_BATCH, Bodies
from recoup.kit.clock import milliseconds
from recoup.kit.log import arrow
from recoup.messages.events import RAW, Event
from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.carts.domain.table import UNKNOWN, CartTable, key_of
from recoup.services.pipeline.collect.domain.columns import columns_of
from recoup.services.pipeline.collect.domain.rows import Arrived, partitions_of, rows_of, table_of
from recoup.services.pipeline.stream.domain.agents import Agents
from recoup.services.pipeline.stream.domain.checking import deduplicate, validate
from recoup.services.pipeline.stream.domain.enriching import enrich
from recoup.services.pipeline.stream.domain.seen import RecentIds
from recoup.services.pipeline.stream.domain.tracking import track_carts
from recoup.services.pipeline.stream.domain.work import Known, Work, work_of

STEPS = (deduplicate, validate, enrich, track_carts)
STORE = "shop"
PARTITIONS = 8
REPEATED, BROKEN = 0.02, 0.01
HERE = Path(__file__).parent / "lib"
LEFT_OUT = """bytewax is left out; to have it:
    python3 -m venv /tmp/bytewax && /tmp/bytewax/bin/pip install bytewax==0.21.1
    export BENCH_BYTEWAX=/tmp/bytewax/bin/python"""


class Outcome(msgspec.Struct):
    """What one way of doing it made of the events, and what it took."""

    kept: int
    duplicates: int
    invalid: int
    seconds: float
    cpu: float

    @property
    def tally(self) -> tuple[int, int, int]:
        return self.kept, self.duplicates, self.invalid


def requests(count: int) -> list[list[bytes]]:
    """Requests of 500 events, some of which came before and some of which lack what they are about."""
    chance, bodies, earlier = random.Random(5), Bodies(), list[bytes]()
    found: list[list[bytes]] = []
    for _ in range(-(-count // EVENTS_A_BATCH)):
        events = [bytes(raw) for raw in msgspec.json.decode(bodies.next(), type=list[msgspec.Raw])]
        good: list[bytes] = []
        for place in range(len(events)):
            if earlier and chance.random() < REPEATED:
                events[place] = chance.choice(earlier)
            elif chance.random() < BROKEN:
                table = msgspec.json.decode(events[place])
                events[place] = msgspec.json.encode({**table, "type": "product_added", "items": []})
            else:
                good.append(events[place])
        earlier = good
        found.append(events)
    return found


def records(sent: Sequence[list[bytes]], rows: int) -> Iterator[list[tuple[int, bytes]]]:
    """What the log holds, in helpings of so many events: partition and record."""
    decode = msgspec.json.Decoder(list[Event]).decode
    for events in sent:
        for start in range(0, len(events), rows):
            some = decode(b"[" + b",".join(events[start : start + rows]) + b"]")
            columns = columns_of(some)
            partitions = partitions_of(columns, STORE, PARTITIONS)
            proven = np.zeros(len(some), dtype=bool)
            table = table_of(columns, STORE, now(), proven, from_shop=False)
            found = rows_of([Arrived(STORE, table, partitions)])
            yield list(zip(found.partitions, arrow.encode_parts(found.table, found.parts), strict=True))


def now() -> datetime:
    return datetime.now(UTC)


class Ours:
    """The processor's steps with the memory they work on, and nothing that stores it."""

    def __init__(self) -> None:
        self.carts, self.ids, self.agents = CartTable(), RecentIds(), Agents()
        self.outcome = Outcome(0, 0, 0, 0, 0)

    def take(self, helping: Sequence[tuple[int, bytes]]) -> bytes:
        rows, counts = arrow.joined([value for _, value in helping], RAW)
        partitions = np.repeat(np.array([partition for partition, _ in helping], dtype=np.int64), counts)
        work = work_of(rows, partitions, np.arange(len(rows)))
        known = self._known(work)
        for step in STEPS:
            step(work, known)
        kept = work.kept
        self.ids.add(work.ids[kept], 1, 1)
        self.outcome.kept += int(kept.sum())
        self.outcome.duplicates += int(work.duplicates.sum())
        self.outcome.invalid += len(work.dead)
        added = {name: column for name, column in work.columns.items() if name not in RAW.names}
        whole = pa.table({**dict(zip(rows.column_names, rows.columns, strict=True)), **added})
        return arrow.encode(whole.filter(pa.array(kept)))

    def _known(self, work: Work) -> Known:
        slots = self.carts.find(work.carts)
        for place in np.flatnonzero(slots == UNKNOWN).tolist():
            slots[place] = self.carts.put(key_of(*work.carts[place]), None)
        at, nobody = now(), np.zeros(0, dtype=np.int64)
        return Known(
            seen=self.ids.seen(work.ids, 1), stores={STORE: StoreSettings()}, carts=self.carts, slots=slots, due=nobody,
            reached={(partition, ""): milliseconds(at) for partition in range(PARTITIONS)}, now=at, agents=self.agents,
        )  # fmt: skip


def ours(sent: Sequence[list[bytes]], batch: int) -> Outcome:
    """Takes as many requests at once as make a batch, as the processor takes what waits."""
    helpings = list(records(sent, min(batch, EVENTS_A_BATCH)))
    together = max(1, batch // EVENTS_A_BATCH)
    shop = Ours()
    shop.take(next(records(requests(1), EVENTS_A_BATCH)))  # rules are read, code is loaded
    shop = Ours()
    started, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(helpings), together):
        shop.take([record for helping in helpings[start : start + together] for record in helping])
    shop.outcome.seconds, shop.outcome.cpu = time.perf_counter() - started, time.process_time() - cpu
    return shop.outcome


def theirs(python: str, script: str, *arguments: str) -> Outcome:
    """A way that runs in a process of its own."""
    done = subprocess.run([python, str(HERE / script), *arguments], check=True, stdout=subprocess.PIPE)
    return msgspec.json.decode(done.stdout, type=Outcome)


def ways(sent: Sequence[list[bytes]], file: str) -> Iterator[tuple[str, Outcome]]:
    yield "row by row, plain Python", theirs(sys.executable, "rowwise.py", file)
    if python := os.environ.get("BENCH_BYTEWAX"):
        yield "bytewax, batch 1", theirs(python, "flow.py", file, "1")
        yield "bytewax, batch 1,000", theirs(python, "flow.py", file, "1000")
    few = sent[: max(1, len(sent) // 20)]
    yield "ours, batch 1", ours(few, 1)
    for batch in (1_000, 8_000):
        yield f"ours, batch {batch:,}", ours(sent, batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    options = parser.parse_args()
    if "BENCH_BYTEWAX" not in os.environ:
        print(LEFT_OUT)
    sent = requests(options.events)
    base: Outcome | None = None
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\n".join(event for events in sent for event in events))
        file.flush()
        for name, outcome in ways(sent, file.name):
            base = base or outcome
            events = sum(outcome.tally)
            if events == sum(base.tally) and outcome.tally != base.tally:
                raise SystemExit(f"{name} did other work: {outcome.tally} instead of {base.tally}")
            cost = outcome.cpu / events * 1e6
            print(
                f"{name:<26} {cost:8.2f} µs of processor an event, {events / outcome.seconds:10,.0f} events/s, "
                f"{base.cpu / sum(base.tally) * 1e6 / cost:6.2f} times row by row's pace"
            )


if __name__ == "__main__":
    main()
