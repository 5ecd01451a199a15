"""A trickle: single events, ten a second, to a platform that has nothing else to do.

    python -m bench trickle                  30 s
    python -m bench trickle --seconds 5      shorter; --log kafka on a Kafka broker of its own

Nothing waits in company here, so what counts is that nobody waits for company. Each event is sent in a request of its
own; a reader of the enriched topic, as any consumer would be, notes when it sees the event. Promise: acknowledged, and
received to enriched, within 100 ms p99. Baseline of the same run: a bare HTTP server on the same machine, asked in the
same rhythm by the same client.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec

from bench.lib.house import House
from bench.lib.load import Sample, read_answer
from bench.lib.logs import LOGS, house_on
from recoup.kit.clock import milliseconds
from recoup.kit.embedded import Valkey
from recoup.kit.log import arrow
from recoup.kit.log.open import open_log
from recoup.kit.log.port import Reader
from recoup.kit.ports import free_port

TOPIC = "cart-events-enriched"
A_SECOND = 10
PARTITIONS = 8
PATIENCE_SECONDS = 10
SHARES = (0.5, 0.99, 1.0)


@dataclass
class Seen:
    """When events were sent, and how long they took from there to the enriched topic."""

    sent: dict[UUID, float] = field(default_factory=dict)
    acknowledged: Sample = field(default_factory=Sample)
    since_sent: Sample = field(default_factory=Sample)
    since_received: Sample = field(default_factory=Sample)

    async def watch(self, reader: Reader) -> None:
        """Until cancelled; what a record says of its receipt is to the millisecond."""
        while True:
            records = await reader.read(wait_seconds=1.0, limit=100)
            now, wall = time.perf_counter(), milliseconds(datetime.now(UTC))
            for record in records:
                rows = arrow.decode([record.value], ["event_id", "received_at"])[0].to_pylist()
                for row in rows:
                    begun = self.sent.pop(UUID(bytes=row["event_id"]), None)
                    if begun is not None:
                        self.since_sent.add(now - begun)
                        self.since_received.add((wall - milliseconds(row["received_at"])) / 1000)


def request(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def event(event_id: UUID, number: int) -> bytes:
    return msgspec.json.encode({
        "event_id": event_id, "type": "product_added", "occurred_at": datetime.now(UTC),
        "anonymous_id": f"visitor-{number % 40}", "session_id": f"session-{number % 40}",
        "cart_id": f"cart-{number % 40}", "currency": "USD",
        "items": [{"product_id": f"product-{number % 900}", "quantity": 1, "price": 1_990}],
    })  # fmt: skip


async def trickle(port: int, seconds: float, headers: Mapping[str, str], seen: Seen) -> None:
    """Sends in a steady rhythm over one connection, whose answers come before the next event is due."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.perf_counter()
    for number in range(int(seconds * A_SECOND)):
        await asyncio.sleep(max(0.0, started + number / A_SECOND - time.perf_counter()))
        event_id = uuid4()
        whole = request("/api/events", headers, event(event_id, number))
        begun = seen.sent[event_id] = time.perf_counter()
        writer.write(whole)
        status, answer = await read_answer(reader)
        if status not in {200, 202}:
            raise SystemExit(f"an event was answered with {status}: {answer[:300]!r}")
        seen.acknowledged.add(time.perf_counter() - begun)
    writer.close()


async def through_the_house(running: House, seconds: float) -> Seen:
    state = Valkey(running.folder / "valkey").url
    log = open_log(running.log_url or state, PARTITIONS, state)
    reader, seen = log.reader("bench-trickle", "bench", [TOPIC]), Seen()
    watching = asyncio.create_task(seen.watch(reader))
    headers = {"X-Api-Key": running.keys.secret_key}
    await trickle(running.port, 2, headers, seen)  # settings are looked up, connections opened
    await until_all_seen(seen)
    seen.acknowledged, seen.since_sent, seen.since_received = Sample(), Sample(), Sample()
    await trickle(running.port, seconds, headers, seen)
    await until_all_seen(seen)
    watching.cancel()
    await asyncio.wait([watching])
    await reader.close()
    await log.close()
    return seen


async def until_all_seen(seen: Seen) -> None:
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while seen.sent and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)
    if seen.sent:
        raise SystemExit(f"{len(seen.sent)} events were not enriched within {PATIENCE_SECONDS} s")


def bare_round_trip(seconds: float) -> Sample:
    """The same client and rhythm against a server that answers and does nothing else."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "bench.lib.bare", str(port)], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        seen = Seen()
        asyncio.run(trickle(port, seconds, {}, seen))
        return seen.acknowledged
    finally:
        server.terminate()
        server.wait(10)


def say(what: str, sample: Sample, promise: str = "") -> list[float]:
    p50, p99, longest = found = sample.milliseconds(*SHARES)
    print(f"{what:<34} {p50:7.2f} ms p50 {p99:7.2f} p99 {longest:7.2f} longest {promise}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--log", choices=LOGS, default=os.environ.get("BENCH_LOG", LOGS[0]))
    options = parser.parse_args()
    bare = bare_round_trip(min(options.seconds, 10))
    with house_on(options.log) as running:
        seen = asyncio.run(through_the_house(running, options.seconds))
    print(f"{A_SECOND} single events a second for {options.seconds:g} s, log {options.log}")
    acknowledged = say("acknowledged", seen.acknowledged, "(promise 100 p99)")
    say("received to enriched, as read", seen.since_received, "(promise 100 p99)")
    say("sent to enriched, as read", seen.since_sent)
    base = say("baseline: bare round trip", bare)
    print(f"acknowledged / baseline {acknowledged[0] / base[0]:.1f} at p50, {acknowledged[1] / base[1]:.1f} at p99")


if __name__ == "__main__":
    main()
