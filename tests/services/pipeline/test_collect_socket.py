"""The socket for events as a client sees it: windows, heartbeats, coming back, and what it says to bad frames."""

import asyncio
import gzip
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec
import pyarrow as pa
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Router
from litestar.di import Provide
from tests.services.pipeline.builders import NOON, SHOP, event
from tests.services.pipeline.test_collect_protobuf import PROTOBUF, written
from typing_extensions import override

from recoup.kit.clock import ManualClock
from recoup.kit.errors import Unavailable
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.log.port import Outgoing
from recoup.kit.log.valkey_streams import ValkeyLog
from recoup.kit.peers import IDENTITY_HEADER, Peers, TokenSource
from recoup.kit.ports import free_port
from recoup.kit.process import finish
from recoup.kit.service import Service
from recoup.kit.valkey import Valkey, connect
from recoup.messages.access import PUBLISHABLE_KEY, Principal
from recoup.messages.proofs import Proofs
from recoup.messages.stores import StoreConfigured, StoreDirectory, StoreSettings
from recoup.messages.topics import EVENTS_RAW
from recoup.services.pipeline.arrivals.store import Arrivals
from recoup.services.pipeline.collect import api
from recoup.services.pipeline.collect.actions import Collector
from recoup.services.pipeline.collect.domain.frames import Sessions
from recoup.services.pipeline.collect.store import EventLog, Stats
from recoup.services.pipeline.overflow.actions import Lane
from recoup.services.pipeline.overflow.store import FloodBook
from recoup.services.pipeline.schemas.actions import Catalogs
from recoup.services.pipeline.settings import Settings

KEY = Principal(subject="key", kind="publishable_key", stores={SHOP: sorted(PUBLISHABLE_KEY)})
HELLO = {"type": "hello", "session": "page-1"}


@dataclass
class Sluggish(ValkeyLog):
    """The log on Valkey, which writes events only while its gate is open."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    down: bool = False

    @override
    async def append(self, topic: str, records: Sequence[Outgoing]) -> Any:
        if topic == EVENTS_RAW.name:
            await self.open.wait()
        if self.down:
            raise Unavailable("the log is away")
        return await super().append(topic, records)


@dataclass
class Door:
    """A collector behind a real socket."""

    url: str
    log: Sluggish
    collector: Collector
    http: aiohttp.ClientSession

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[ClientWebSocketResponse]:
        async with self.http.ws_connect(self.url, headers={IDENTITY_HEADER: "key"}) as ws:
            yield ws


@asynccontextmanager
async def serving(valkey_url: str, **changes: Any) -> AsyncGenerator[Door]:
    valkey = connect(valkey_url)
    await valkey.flushdb()
    log = Sluggish(valkey_url, 4)
    log.open.set()
    collector = await collecting(valkey, log, Settings(**changes))
    given = {
        "collector": Provide(lambda: collector, sync_to_thread=False),
        "stats": Provide(lambda: collector.stats, sync_to_thread=False),
    }
    app = create_app(
        Service(name="pipeline", routers=[Router("/", route_handlers=[api.router()], dependencies=given)]),
        HttpSettings(),
        lambda _: KEY,
    )
    port = free_port()
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False)
    tasks = [asyncio.create_task(server.serve()), asyncio.create_task(collector.events.run())]
    try:
        await listening(port)
        async with aiohttp.ClientSession() as http:
            yield Door(f"http://127.0.0.1:{port}/events/stream", log, collector, http)
    finally:
        log.open.set()
        server.stop()
        await asyncio.wait(tasks[:1], timeout=10)
        await finish(tasks[1:])
        await log.close()
        await valkey.aclose()


async def collecting(valkey: Valkey, log: Sluggish, settings: Settings) -> Collector:
    """A collector at noon that knows one store and has no sister services."""
    nobody = Peers({}, TokenSource(str, 60))
    stores = StoreDirectory(nobody, lifetime=timedelta(days=1))
    await stores.on_configured([StoreConfigured(store_id=SHOP, version=1, settings=StoreSettings())])
    clock = ManualClock(NOON)
    return Collector(
        EventLog(log, 0.0, least_seconds=600.0),
        Stats(valkey, Arrivals(valkey, clock)),
        stores,
        Catalogs(nobody, stores, 1, 1),
        Proofs(nobody),
        Lane(log, FloodBook(valkey), clock, settings),
        log,
        clock,
        settings,
    )


async def listening(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                return writer.close()


def frame(name: str, *events: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "events": list(events or (event(),))}


async def heard(ws: ClientWebSocketResponse) -> dict[str, Any]:
    return await ws.receive_json(timeout=60)


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not seen():
            await asyncio.sleep(0.01)


async def test_a_hello_is_answered_with_what_the_connection_takes(valkey_url: str) -> None:
    async with serving(valkey_url, socket_frames=8, batch_events=7) as door, door.client() as ws:
        await ws.send_json(HELLO)
        assert await heard(ws) == {
            "type": "hello", "session": "page-1", "durable": [], "max_unacknowledged": 8, "max_frame_bytes": 1_048_576,
            "max_events": 7, "heartbeat_seconds": 20.0,
        }  # fmt: skip


async def test_a_client_that_says_no_hello_hears_acknowledgements_only(valkey_url: str) -> None:
    async with serving(valkey_url, socket_heartbeat_seconds=0.1) as door, door.client() as ws:
        await asyncio.sleep(0.5)  # five heartbeats, none of them for this client
        await ws.send_json(frame("1"))
        assert (await heard(ws))["type"] == "ack"


async def test_whoever_comes_back_is_told_what_is_durable_and_sends_the_rest(valkey_url: str) -> None:
    async with serving(valkey_url) as door:
        async with door.client() as ws:
            await ws.send_json(HELLO)
            await heard(ws)
            for name in ("1", "2"):
                await ws.send_json(frame(name))
                await heard(ws)
            door.log.open.clear()
            await ws.send_json(frame("3"))
            await until(lambda: door.collector.events.unwritten == 1)
        # The line broke before the acknowledgement; the frame was on its way to the log.
        door.log.open.set()
        await until(lambda: "3" in door.collector.sessions.after(SHOP, "page-1", "2"))
        async with door.client() as ws:
            await ws.send_json({**HELLO, "last": "1"})
            assert (await heard(ws))["durable"] == ["2", "3"]
        async with door.client() as ws:
            await ws.send_json({"type": "hello", "session": "somebody else's"})
            assert (await heard(ws))["durable"] == []


async def test_frames_share_the_log_and_are_acknowledged_in_their_order(valkey_url: str) -> None:
    async with serving(valkey_url) as door, door.client() as ws:
        door.log.open.clear()
        for name in "abcdef":
            await ws.send_json(frame(name))
        await until(lambda: door.collector.events.unwritten == 6)
        door.log.open.set()
        assert [(await heard(ws))["id"] for _ in range(6)] == list("abcdef")


async def test_beyond_its_window_a_client_is_paused_and_the_collector_does_not_grow(valkey_url: str) -> None:
    async with serving(valkey_url, socket_frames=3) as door, door.client() as ws:
        await ws.send_json(HELLO)
        await heard(ws)
        door.log.open.clear()
        for name in range(20):
            await ws.send_json(frame(str(name)))
        assert await heard(ws) == {"type": "pause"}
        assert door.collector.events.unwritten <= 4
        door.log.open.set()
        said = [await heard(ws)]
        while len([each for each in said if each["type"] == "ack"]) < 20 or said[-1] != {"type": "resume"}:
            said.append(await heard(ws))
        assert [each["id"] for each in said if each["type"] == "ack"] == [str(name) for name in range(20)]


async def test_an_overload_is_a_problem_with_a_time_and_the_connection_lives(valkey_url: str) -> None:
    async with serving(valkey_url, max_unwritten_events=1) as door, door.client() as ws:
        door.log.open.clear()
        await ws.send_json(frame("1"))
        await ws.send_json(frame("2"))
        await until(lambda: door.collector.events.unwritten == 1)
        door.log.open.set()
        first, second = await heard(ws), await heard(ws)
        assert (first["accepted"], second["problem"]["status"], second["retry_after"]) == (1, 429, 1.0)
        await ws.send_json(frame("2"))
        assert (await heard(ws))["accepted"] == 1


async def test_a_log_that_is_away_is_a_problem_with_a_time_and_the_connection_lives(valkey_url: str) -> None:
    async with serving(valkey_url) as door, door.client() as ws:
        door.log.down = True
        await ws.send_json(frame("1"))
        answer = await heard(ws)
        assert (answer["id"], answer["problem"]["status"], answer["retry_after"]) == ("1", 503, 1.0)
        door.log.down = False
        await ws.send_json(frame("1"))
        assert (await heard(ws))["accepted"] == 1


async def test_a_log_that_says_nothing_is_given_up_before_a_gateway_would_give_us_up(valkey_url: str) -> None:
    async with serving(valkey_url) as door, door.client() as ws:
        door.collector.events.least_seconds = 0.05
        door.log.open.clear()
        await ws.send_json(frame("1"))
        answer = await heard(ws)
        assert (answer["id"], answer["problem"]["status"], answer["retry_after"]) == ("1", 503, 1.0)
        door.collector.events.least_seconds = 600.0
        door.log.open.set()
        await ws.send_json(frame("1"))
        assert (await heard(ws))["accepted"] == 1


async def test_a_silent_client_is_asked_for_a_sign_of_life_and_one_that_gives_none_is_closed(valkey_url: str) -> None:
    async with serving(valkey_url, socket_heartbeat_seconds=0.2) as door, door.client() as ws:
        await ws.send_json(HELLO)
        await heard(ws)
        for _ in range(3):
            assert await heard(ws) == {"type": "ping"}
            await ws.send_json({"type": "pong"})
        assert await heard(ws) == {"type": "ping"}
        assert (await ws.receive(timeout=60)).type is WSMsgType.CLOSE
        assert ws.close_code == 4408


async def test_a_client_may_ask_for_a_sign_of_life_too(valkey_url: str) -> None:
    async with serving(valkey_url) as door, door.client() as ws:
        await ws.send_json({"type": "ping"})
        assert await heard(ws) == {"type": "pong"}


async def test_a_client_without_hello_is_closed_after_a_long_silence(valkey_url: str) -> None:
    times = {"socket_heartbeat_seconds": 0.1, "socket_silence_seconds": 0.2}
    async with serving(valkey_url, **times) as door, door.client() as ws:
        assert (await ws.receive(timeout=60)).type is WSMsgType.CLOSE


def zstd(content: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(content))


def as_is(content: bytes) -> bytes:
    return content


@pytest.mark.parametrize("packed", [as_is, gzip.compress, zstd])
@pytest.mark.parametrize("form", ["json", "protobuf"])
async def test_binary_frames_may_be_either_form_and_packed(
    valkey_url: str, packed: Callable[[bytes], bytes], form: str
) -> None:
    events = [event(), event(amount=-1)]
    content = PROTOBUF(id="1", events=[written(each) for each in events]).SerializeToString()
    if form == "json":
        content = msgspec.json.encode(frame("1", *events))
    async with serving(valkey_url) as door, door.client() as ws:
        await ws.send_bytes(packed(content))
        answer = await heard(ws)
        assert (answer["id"], answer["accepted"]) == ("1", 1)
        assert answer["results"][1]["problem"]["field"] == "amount"


BAD: dict[str, tuple[str | bytes, str, str]] = {
    "too long": ('{"id": "7", "events": [' + " " * 2_000 + "]}", "too_large", "7"),
    "a bomb": (zstd(bytes(2**24)), "too_large", ""),
    "half a gzip": (gzip.compress(b"{}")[:9], "bad_encoding", ""),
    "no batch": (b"\x1a\x01x", "malformed_protobuf", ""),
    "a type nobody knows": ('{"id": "7", "type": "song"}', "malformed_frame", "7"),
    "an id of 129": ('{"id": "' + "x" * 129 + '", "events": []}', "malformed_frame", ""),
    "no UTF-8": (b'{"id": "\xff", "events": []}', "malformed_frame", ""),
}


@pytest.mark.parametrize(("bad", "code", "name"), BAD.values(), ids=BAD)
async def test_a_bad_frame_is_named_and_the_connection_lives(
    valkey_url: str, bad: str | bytes, code: str, name: str
) -> None:
    async with serving(valkey_url, batch_bytes=1_000) as door, door.client() as ws:
        await (ws.send_str(bad) if isinstance(bad, str) else ws.send_bytes(bad))
        answer = await heard(ws)
        assert (answer["problem"]["code"], answer["id"]) == (code, name)
        assert "retry_after" not in answer
        await ws.send_json(frame("8"))
        assert (await heard(ws))["accepted"] == 1


@pytest.mark.parametrize("unreadable", [r'{"anonymous_id": "\ud83d"}', '{"amount": NaN}'])
async def test_an_event_of_a_frame_that_no_decoder_reads_costs_its_neighbours_nothing(
    valkey_url: str, unreadable: str
) -> None:
    async with serving(valkey_url) as door, door.client() as ws:
        good = msgspec.json.encode(event()).decode()
        await ws.send_str(f'{{"id": "7", "events": [{unreadable}, {good}]}}')
        answer = await heard(ws)
        assert (answer["id"], answer["accepted"]) == ("7", 1)
        assert answer["results"][0]["problem"]["code"] == "malformed_json"


def test_a_frame_that_came_twice_is_named_once_and_one_without_a_name_never() -> None:
    sessions = Sessions(most=2, frames=4)
    for frame in ("1", "3", "1", "", "2"):
        sessions.note(SHOP, "s", frame)
    assert sessions.after(SHOP, "s", "1") == ["3", "2"]
