"""A load generator that costs little: bodies are joined from ready pieces, requests go out over plain sockets.

Run as a process of its own (`python -m bench.lib.load`), so that its processor time is counted apart from the
program's. Sends only to the loopback address it is given, for a bounded time.
"""

import argparse
import asyncio
import os
import random
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address

import msgspec
import uvloop

EVENTS_A_BATCH = 500
# What shoppers of a busy shop do, in percent; a session has a cart id from its first page on.
MIX = {"page_viewed": 40, "product_viewed": 40, "product_added": 14, "checkout_started": 4, "order_completed": 2}


class Report(msgspec.Struct, kw_only=True):
    """What became of a load."""

    sent: int
    acknowledged: int
    refused: int
    slowed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float


class Bodies:
    """Bodies of 500 events that differ in every id and in their time, at about a third of a microsecond an event."""

    def __init__(self, sessions: int = 20_000, seed: int = 7, variants: int = 40) -> None:
        chance = random.Random(seed)
        self._prefix = os.urandom(8).hex()
        self._next = 0
        self._variants = [self._template(chance, sessions) for _ in range(variants)]

    def _template(self, chance: random.Random, sessions: int) -> list[bytes]:
        rests: list[bytes] = []
        for _ in range(EVENTS_A_BATCH):
            session = chance.randrange(sessions)
            kind = chance.choices(list(MIX), list(MIX.values()))[0]
            rests.append(msgspec.json.encode(self._event(chance, session, kind))[1:])
        return rests

    def _event(self, chance: random.Random, session: int, kind: str) -> dict[str, object]:
        product = chance.randrange(900)
        event: dict[str, object] = {
            "type": kind,
            "anonymous_id": f"visitor-{session}",
            "session_id": f"session-{session}",
            "cart_id": f"cart-{session}",
            "context": {"page_url": f"https://shop.example/products/{product}", "device_type": "mobile"},
        }
        if kind != "page_viewed":
            event["items"] = [{"product_id": f"product-{product}", "quantity": 1, "price": 990 + product}]
            event["currency"] = "USD"
        if kind == "order_completed":
            event["order_id"] = f"order-{chance.getrandbits(60)}"
        return event

    def next(self) -> bytes:
        """A body nobody has sent before."""
        rests = self._variants[self._next // EVENTS_A_BATCH % len(self._variants)]
        now = datetime.now(UTC).isoformat(timespec="milliseconds").encode()
        one, two, three = self._prefix[:8], self._prefix[8:12], self._prefix[13:16]
        head = f'{{"event_id":"{one}-{two}-4{three}-8000-'.encode()
        middle = b'","occurred_at":"' + now + b'",'
        start = self._next
        self._next += EVENTS_A_BATCH
        ids = [b"%012x" % number for number in range(start, self._next)]
        return (
            b"[" + b",".join([b"".join((head, id_, middle, rest)) for id_, rest in zip(ids, rests, strict=True)]) + b"]"
        )


class Sample:
    """Latencies in room that does not grow: beyond `room`, each seen so far is kept with the same probability."""

    def __init__(self, room: int = 50_000) -> None:
        self._room = room
        self._kept: list[float] = []
        self._seen = 0
        self._longest = 0.0
        self._chance = random.Random(11)

    def add(self, seconds: float) -> None:
        self._seen += 1
        self._longest = max(self._longest, seconds)
        if len(self._kept) < self._room:
            self._kept.append(seconds)
        elif (place := self._chance.randrange(self._seen)) < self._room:
            self._kept[place] = seconds

    def milliseconds(self, *shares: float) -> list[float]:
        """The quantiles at these shares; the last of all, 1, is exact."""
        ordered = sorted(self._kept) or [0.0]
        found = [self._longest if share >= 1 else ordered[int(len(ordered) * share)] for share in shares]
        return [1000 * seconds for seconds in found]


@dataclass
class Load:
    """Connections that send batches, as fast as they are answered or at a rate."""

    host: str
    port: int
    path: str
    key: str
    latencies: Sample = field(default_factory=Sample)
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    slowed: int = 0

    async def run(self, *, connections: int, seconds: float, rate: float | None) -> Report:
        """Sends for `seconds`; `rate` is in events a second over all connections, None for as fast as it goes."""
        bodies = Bodies()
        started = time.perf_counter()
        pause = None if rate is None else EVENTS_A_BATCH * connections / rate
        await asyncio.gather(
            *(self._connection(bodies, started, seconds, pause, offset / connections) for offset in range(connections))
        )
        spent = time.perf_counter() - started
        p50, p99, longest = self.latencies.milliseconds(0.5, 0.99, 1)
        return Report(
            sent=self.sent,
            acknowledged=self.acknowledged,
            refused=self.refused,
            slowed=self.slowed,
            seconds=spent,
            p50_ms=p50,
            p99_ms=p99,
            max_ms=longest,
        )

    async def _connection(
        self, bodies: Bodies, started: float, seconds: float, pause: float | None, offset: float
    ) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        turn = 0
        try:
            while time.perf_counter() - started < seconds:
                due = started + (turn + offset) * pause if pause is not None else time.perf_counter()
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                turn += 1
                await self._request(reader, writer, bodies.next(), due)
        finally:
            writer.close()

    async def _request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes, due: float
    ) -> None:
        """Sends one body until it is taken; the latency counts from when it was due, so that queueing shows."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.host}\r\nX-Api-Key: {self.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        self.sent += EVENTS_A_BATCH
        while True:
            writer.write(head + body)
            status, answer = await read_answer(reader)
            if status in {429, 503}:
                self.slowed += 1
                await asyncio.sleep(0.1)
                continue
            break
        self.latencies.add(time.perf_counter() - due)
        if status == 202:
            self.acknowledged += EVENTS_A_BATCH
        else:
            self.refused += EVENTS_A_BATCH
            print(f"status {status}: {answer[:300]!r}", file=sys.stderr)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None)
    if length is not None:
        return int(head[9:12]), await reader.readexactly(length)
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return int(head[9:12]), body


def main() -> None:
    """Prints the report as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/api/events/batch")
    parser.add_argument("--key", default="")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float)
    options = parser.parse_args()
    if not ip_address(options.host).is_loopback:
        parser.error("only the loopback address is a target")
    load = Load(options.host, options.port, options.path, options.key)
    report = uvloop.run(load.run(connections=options.connections, seconds=options.seconds, rate=options.rate))
    print(msgspec.json.encode(report).decode())


if __name__ == "__main__":
    main()
