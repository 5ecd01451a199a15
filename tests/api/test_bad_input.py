"""What the doors for events say to input no honest client sends: a problem that names the place, counted, never a 5xx.

Through the gateway of a real platform, over HTTP and over the socket.
"""

import asyncio
import gzip
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import httpx
import msgspec
import psutil
import pyarrow as pa
import pytest
from bench.lib.house import House

pytestmark = pytest.mark.api
GIGABYTE = 2**30
TWICE = "0b0e4a9e-6d2c-4f0e-9f1c-2a51b3a2d001"


@pytest.fixture
def door(running: House) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"http://127.0.0.1:{running.port}", headers={"X-Api-Key": running.keys.secret_key}, timeout=60
    ) as client:
        yield client


def event(**fields: object) -> dict[str, Any]:
    """A good one, unless `fields` say otherwise."""
    return {
        "event_id": str(uuid4()),
        "type": "page_viewed",
        "occurred_at": datetime.now(UTC).isoformat(),
        "anonymous_id": "visitor",
        **fields,
    }


def away(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


@dataclass(frozen=True)
class Body:
    """A whole body that cannot be taken."""

    content: bytes
    status: int
    code: str
    headers: dict[str, str] = field(default_factory=dict)


def zstd(content: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(content))


GZIP = {"Content-Encoding": "gzip"}
ZSTD = {"Content-Encoding": "zstd"}
BODIES = {
    "no JSON": Body(b'{"event_id": ', 400, "malformed_json"),
    "nothing": Body(b"", 400, "malformed_json"),
    "no UTF-8": Body(b'{"type": "\xff\xfe"}', 400, "malformed_json"),
    "100,000 brackets": Body(b"[" * 100_000, 400, "malformed_json"),
    "100,000 closed brackets": Body(b"[" * 100_000 + b"]" * 100_000, 400, "malformed_json"),
    "two megabytes": Body(b"[" + b" " * 2 * 2**20 + b"]", 413, "too_large"),
    "no gzip": Body(b"never compressed", 400, "bad_encoding", GZIP),
    "half of a gzip": Body(gzip.compress(os.urandom(999))[:500], 400, "bad_encoding", GZIP),
    "gzip of no JSON": Body(gzip.compress(b"{"), 400, "malformed_json", GZIP),
    "no zstd": Body(b"never compressed", 400, "bad_encoding", ZSTD),
    "half of a zstd": Body(zstd(os.urandom(999))[:500], 400, "bad_encoding", ZSTD),
    "zstd of no JSON": Body(zstd(b"{"), 400, "malformed_json", ZSTD),
    "a coding nobody knows": Body(b"[]", 415, "unsupported_encoding", {"Content-Encoding": "br"}),
    "two codings": Body(b"[]", 415, "unsupported_encoding", {"Content-Encoding": "gzip, zstd"}),
    "a picture": Body(b"\x89PNG", 415, "unsupported_media_type", {"Content-Type": "image/png"}),
}


@pytest.mark.parametrize("path", ["/api/events", "/api/events/batch"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_cannot_be_read_is_refused_and_counted(door: httpx.Client, path: str, body: Body) -> None:
    before = refused(door)
    answer = door.post(path, content=body.content, headers={"Content-Type": "application/json", **body.headers})
    document = problem(answer, body.status)
    assert document["code"] == body.code
    assert refused(door).get(body.code, 0) == before.get(body.code, 0) + 1


EVENTS = {
    "a number for an id": ({"event_id": 7}, "wrong_type", "event_id"),
    "an id that is no UUID": ({"event_id": "seven"}, "bad_format", "event_id"),
    "a cart id of 129": ({"cart_id": "c" * 129}, "out_of_range", "cart_id"),
    "an empty cart id": ({"cart_id": ""}, "out_of_range", "cart_id"),
    "an unknown field": ({"colour": "red"}, "unknown_field", "colour"),
    "an unknown type": ({"type": "teleported"}, "unknown_type", "type"),
    "a type only we may send": ({"type": "cart_abandoned"}, "derived_type", "type"),
    "a negative amount": ({"amount": -1}, "out_of_range", "amount"),
    "a negative price": ({"items": [{"product_id": "mug", "price": -5}]}, "out_of_range", "items[0].price"),
    "more money than there is": ({"amount": 10**30}, "out_of_range", "amount"),
    "10,000 items": ({"items": [{"product_id": "mug"}] * 10_000}, "too_many_items", "items"),
    "a year ago": ({"occurred_at": away(days=-365)}, "too_old", "occurred_at"),
    "the day after tomorrow": ({"occurred_at": away(days=2)}, "future_time", "occurred_at"),
    "a time without its zone": ({"occurred_at": "2026-01-01T00:00:00"}, "bad_format", "occurred_at"),
    "somebody else's store": ({"store_id": "their-store"}, "foreign_store", "store_id"),
    "nobody's": ({"anonymous_id": None}, "no_visitor", "anonymous_id"),
    "a NUL": ({"user_id": "a\0"}, "bad_text", "user_id"),
    "properties that are a list": ({"properties": []}, "bad_properties", "properties"),
}


@pytest.mark.parametrize(("fields", "code", "place"), EVENTS.values(), ids=EVENTS)
def test_a_bad_event_is_named_and_counted_and_costs_its_neighbours_nothing(
    door: httpx.Client, fields: dict[str, Any], code: str, place: str
) -> None:
    before = refused(door)
    answer = door.post("/api/events/batch", json=[event(), event(**fields), event()])
    assert answer.status_code == 202, answer.text
    receipt = answer.json()
    assert receipt["accepted"] == 2
    assert [(found["code"], found["field"], found["index"]) for found in receipt["refused"]] == [(code, place, 1)]
    assert problem(door.post("/api/events", json=event(**fields)), 400)["problems"][0]["code"] == code
    assert refused(door)[code] == before.get(code, 0) + 2


def test_an_id_given_to_two_events_counts_for_the_first(door: httpx.Client) -> None:
    same = event(event_id=TWICE)
    answer = door.post("/api/events/batch", json=[same, {**same, "type": "exit_intent"}, same])
    assert [(found["code"], found["index"]) for found in answer.json()["refused"]] == [("conflicting_id", 1)]
    assert refused(door)["conflicting_id"] == 1


@pytest.mark.parametrize(
    ("key", "status"),
    [(None, 401), ("", 401), ("rk_live_nonsense", 401), ("v4.public.nonsense", 401), ("nonsense", 401)],
)
@pytest.mark.parametrize("method", ["GET /api/events/stats", "POST /api/events", "POST /api/events/batch"])
def test_a_key_we_do_not_know_gets_nothing(running: House, method: str, key: str | None, status: int) -> None:
    verb, _, path = method.partition(" ")
    headers = {} if key is None else {"X-Api-Key": key}
    answer = httpx.request(verb, f"http://127.0.0.1:{running.port}{path}", headers=headers, timeout=60)
    problem(answer, status)


def test_a_publishable_key_writes_and_reads_nothing(running: House, door: httpx.Client) -> None:
    key = {"X-Api-Key": running.keys.publishable_key}
    assert door.post("/api/events", json=event(), headers=key).status_code == 202
    for path in ("/api/events/stats", "/api/carts", "/api/config", "/api/interventions", "/api/analytics/overview"):
        problem(door.get(path, headers=key), 403)


def gigabyte_in_gzip() -> bytes:
    """Zeros packed once: after a full flush the packed bytes can be said again and again."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    head = packing.flush(zlib.Z_FULL_FLUSH)
    block = bytes(2**24)
    packed = packing.compress(block) + packing.flush(zlib.Z_FULL_FLUSH)
    length = (GIGABYTE % 2**32).to_bytes(4, "little")
    crc = 0
    for _ in range(GIGABYTE // len(block)):
        crc = zlib.crc32(block, crc)
    return head + packed * (GIGABYTE // len(block)) + b"\x03\x00" + crc.to_bytes(4, "little") + length


@pytest.mark.parametrize(
    ("bomb", "coding"), [(gigabyte_in_gzip, GZIP), (lambda: zstd(bytes(GIGABYTE)), ZSTD)], ids=["gzip", "zstd"]
)
def test_a_gigabyte_of_zeros_is_refused_at_once_and_costs_no_memory(
    running: House, door: httpx.Client, bomb: Callable[[], bytes], coding: dict[str, str]
) -> None:
    content = bomb()
    (collector, *_) = running.processes()["pipeline"]
    before, used = collector.memory_info().rss, cpu_seconds(collector)
    answer = door.post("/api/events/batch", content=content, headers={"Content-Type": "application/json", **coding})
    assert cpu_seconds(collector) - used < 2
    assert problem(answer, 413)["code"] == "too_large"
    assert psutil.Process(collector.pid).memory_info().rss < before + 50 * 2**20


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


FRAMES = {
    "no JSON": ("{", "malformed_frame"),
    "no events": ('{"id": "1"}', "malformed_frame"),
    "events that are no list": ('{"id": "1", "events": {}}', "not_an_array"),
    "100,000 brackets": ('{"id": "1", "events": ' + "[" * 100_000, "malformed_frame"),
    "two megabytes": ('{"id": "1", "events": [' + " " * 2 * 2**20 + "]}", "too_large"),
}


@pytest.mark.parametrize(("frame", "code"), FRAMES.values(), ids=FRAMES)
def test_a_bad_frame_is_answered_and_the_socket_goes_on(running: House, frame: str, code: str) -> None:
    bad, good = asyncio.run(answers(running, frame, msgspec.json.encode({"id": "2", "events": [event()]}).decode()))
    assert bad["problem"]["code"] == code
    assert (good["id"], good["accepted"]) == ("2", 1)


def test_a_bad_event_of_a_frame_is_named_by_its_place(running: House) -> None:
    frame = msgspec.json.encode({"id": "1", "events": [event(), event(amount=-1)]}).decode()
    (answer,) = asyncio.run(answers(running, frame))
    assert [result["status"] for result in answer["results"]] == ["accepted", "refused"]
    assert answer["results"][1]["problem"]["field"] == "amount"


async def answers(running: House, *frames: str) -> list[dict[str, Any]]:
    """What the socket says to each of these."""
    url = f"http://127.0.0.1:{running.port}/api/events/stream"
    headers = {"X-Api-Key": running.keys.secret_key}
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=headers) as socket:
        found: list[dict[str, Any]] = []
        for frame in frames:
            await socket.send_str(frame)
            found.append(await socket.receive_json(timeout=60))
        return found


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of an answer."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    document: dict[str, Any] = answer.json()
    assert document["detail"]
    assert document["trace_id"]
    return document


def refused(door: httpx.Client) -> dict[str, int]:
    counts: dict[str, int] = door.get("/api/events/stats").json()["refused"]
    return counts
