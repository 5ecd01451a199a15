"""Sends the same request over and over, over plain sockets, and says how long the answers took.

Run as a process of its own (`python -m bench.lib.knock`); only the loopback address is a target.
"""

import argparse
import asyncio
import time

import msgspec
import uvloop

from bench.lib.load import read_answer


class Knocks(msgspec.Struct, kw_only=True):
    """What became of it."""

    answered: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.answered / self.seconds


class Knocker:
    """Connections that ask as fast as they are answered, or at a rate over all of them."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request
        self._latencies: list[float] = []
        self._failed = 0

    async def run(self, connections: int, seconds: float, rate: float | None) -> Knocks:
        """Asks for `seconds`; a latency counts from when the request was due, so that queueing shows."""
        started = time.perf_counter()
        pause = connections / rate if rate else 0.0
        await asyncio.gather(
            *(self._connection(started, seconds, pause, offset / connections) for offset in range(connections))
        )
        ordered = sorted(self._latencies) or [0.0]
        return Knocks(
            answered=len(self._latencies), failed=self._failed, seconds=time.perf_counter() - started,
            p50_ms=1000 * ordered[len(ordered) // 2], p99_ms=1000 * ordered[int(len(ordered) * 0.99)],
            max_ms=1000 * ordered[-1],
        )  # fmt: skip

    async def _connection(self, started: float, seconds: float, pause: float, offset: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        turn = 0
        try:
            while time.perf_counter() - started < seconds:
                due = started + (turn + offset) * pause if pause else time.perf_counter()
                if due > time.perf_counter():
                    await asyncio.sleep(due - time.perf_counter())
                turn += 1
                writer.write(self._request)
                status, _ = await read_answer(reader)
                self._latencies.append(time.perf_counter() - due)
                self._failed += status >= 400
        finally:
            writer.close()


def request(method: str, path: str, headers: dict[str, str], size: int) -> bytes:
    """A whole request with a body of `size` bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {size}", "", ""]).encode() + b"x" * size


def main() -> None:
    """Prints the figures as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--method", default="POST")
    parser.add_argument("--key", default="")
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float)
    options = parser.parse_args()
    headers = {"Content-Type": "application/json", "X-Api-Key": options.key}
    knocker = Knocker(options.port, request(options.method, options.path, headers, options.size))
    print(msgspec.json.encode(uvloop.run(knocker.run(options.connections, options.seconds, options.rate))).decode())


if __name__ == "__main__":
    main()
