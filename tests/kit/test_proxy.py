"""Bodies and sockets on their way through: nothing is gathered or waits for ever, nothing of one hop travels on."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from tests.kit.proxied import Front, Instance, fronted, listening, said, until_open

from recoup.kit.balancing import Balancer
from recoup.kit.doors import Doors, opened
from recoup.kit.ports import free_port
from recoup.kit.proxy import Held
from recoup.kit.upload import ProxyLimits, Upload

EXPORT = 1_000_000_000
UPLOAD = 300_000_000
CHUNK = b"x" * 250_000
ON_THE_WAY = 60_000_000
"""What the system's sockets, which grow with the speed, and servers between two ends may hold; far less than passes."""


@asynccontextmanager
async def behind(app, **limits):
    given = ProxyLimits(**{"body_bytes": 2 * EXPORT, "frame_bytes": 1_000_000, **limits})
    async with listening(app) as url, fronted(Balancer.of({"ai": url}), given) as front:
        yield front


@asynccontextmanager
async def before(instance: Instance, **limits):
    """A proxy whose service is what a test says, byte by byte."""
    given = ProxyLimits(**{"body_bytes": 2 * EXPORT, "frame_bytes": 1_000_000, **limits})
    async with AsyncExitStack() as stack:
        await instance.start()
        stack.push_async_callback(instance.stop)
        yield await stack.enter_async_context(fronted(Balancer.of({"ai": instance.url}), given))


async def still(count) -> int:
    """The value of a count once it no longer moves."""
    before_ = -1
    while before_ != count():
        before_ = count()
        await asyncio.sleep(0.2)
    return before_


async def test_an_export_of_a_gigabyte_is_never_gathered():
    sent = 0

    async def export(scope, receive, send):
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while sent < EXPORT:
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            sent += len(CHUNK)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    received, most = 0, 0
    async with behind(export) as front, front.http.get(front.url + "/export") as answer:
        assert await still(lambda: sent) < ON_THE_WAY, "a client that does not read did not slow the service down"
        while chunk := await answer.content.readany():
            received += len(chunk)
            most = max(most, sent - received)
    assert received == EXPORT
    assert most < ON_THE_WAY


async def test_an_upload_waits_for_a_service_that_does_not_read(monkeypatch):
    reading, sent, read, most, held = asyncio.Event(), 0, 0, 0, []
    keep = Upload._keep

    def watched(self: Upload, chunk: bytes) -> None:
        keep(self, chunk)
        held.append(self.kept_bytes)

    monkeypatch.setattr(Upload, "_keep", watched)

    async def reads_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal read
        await reading.wait()
        while read < UPLOAD:
            read += len(await reader.read(min(UPLOAD - read, 1_000_000)))
        writer.write(said(200, b"all"))

    async def body():
        nonlocal sent, most
        for _ in range(UPLOAD // len(CHUNK)):
            yield CHUNK
            sent += len(CHUNK)
            most = max(most, sent - read)

    async with before(Instance("a", reads_late)) as front:
        asked = asyncio.ensure_future(front.ask("POST", data=body(), headers={"Content-Length": str(UPLOAD)}))
        assert await still(lambda: sent) < ON_THE_WAY / 2
        reading.set()
        assert await asked == (200, b"all")
    assert most < ON_THE_WAY
    assert max(held) <= ProxyLimits(body_bytes=0, frame_bytes=0).replay_bytes


async def test_a_client_that_says_its_head_byte_by_byte_is_let_go():
    async def app(scope, receive, send):
        raise AssertionError

    port = free_port()
    async with opened(app, Doors(host="127.0.0.1", port=port, header_seconds=0.3)):
        await until_open(port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        answer = asyncio.ensure_future(reader.read())
        async with asyncio.timeout(60):
            while not answer.done():
                writer.write(b"o")
                await asyncio.wait([answer], timeout=0.02)
        assert answer.exception() is not None or b" 200 " not in answer.result()


async def test_a_client_that_stops_in_the_middle_of_its_body_is_let_go():
    instance = Instance("a")
    async with before(instance, upload_seconds=0.3) as front:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(front.url.rpartition(":")[2]))
        writer.write(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsome")
        async with asyncio.timeout(60):
            head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert b" 408 " in head


async def test_a_service_that_stops_in_the_middle_of_its_answer_is_let_go():
    async def stops(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\nsome")
        await asyncio.Event().wait()

    async with before(Instance("a", stops), silence_seconds=0.3) as front:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with asyncio.timeout(60):
                await front.ask()


async def test_an_answer_that_has_begun_may_take_longer_than_a_call():
    async def pauses(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 8\r\n\r\nsome")
        await asyncio.sleep(0.6)
        writer.write(b"more")

    async with before(Instance("a", pauses), call_seconds=0.2) as front:
        assert await front.ask() == (200, b"somemore")


async def test_what_belongs_to_one_hop_stays_there():
    instance = Instance("a")
    headers = {
        "Connection": "keep-alive, X-Mine", "X-Mine": "1", "Keep-Alive": "5", "TE": "trailers", "Upgrade": "h2c",
        "Proxy-Authorization": "x", "X-Kept": "1",
    }  # fmt: skip
    async with before(instance) as front:
        await front.ask("GET", headers=headers)
    names = {line.split(b":")[0].lower() for line in instance.heads[0].split(b"\r\n")[1:] if line}
    assert b"x-kept" in names
    assert not names & {b"x-mine", b"keep-alive", b"te", b"upgrade", b"proxy-authorization", b"transfer-encoding"}


async def talks(receive, send, *, messages: int, sent: list[int]) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    for _ in range(messages):
        await send({"type": "websocket.send", "bytes": CHUNK})
        sent.append(len(CHUNK))
    await send({"type": "websocket.close", "code": 4000})


async def test_a_client_that_does_not_read_its_socket_slows_the_service_down():
    sent: list[int] = []
    async with (
        behind(lambda _, receive, send: talks(receive, send, messages=400, sent=sent)) as front,
        front.http.ws_connect(front.url + "/ws", max_msg_size=0) as ws,
    ):
        assert await still(lambda: sum(sent)) < ON_THE_WAY
        received = 0
        async for message in ws:
            received += len(message.data)
        assert (received, ws.close_code) == (400 * len(CHUNK), 4000)


async def test_a_service_that_does_not_read_its_socket_slows_the_client_down():
    reading, received, codes = asyncio.Event(), 0, []

    async def listens_late(scope, receive, send):
        nonlocal received
        await receive()
        await send({"type": "websocket.accept"})
        await reading.wait()
        while (message := await receive())["type"] == "websocket.receive":
            received += len(message["bytes"])
        codes.append(message["code"])

    sent = 0

    async def talk(front: Front) -> None:
        nonlocal sent
        async with front.http.ws_connect(front.url + "/ws", max_msg_size=0) as ws:
            for _ in range(400):
                await ws.send_bytes(CHUNK)
                sent += len(CHUNK)
            await ws.close(code=4001)

    async with behind(listens_late) as front:
        talking = asyncio.ensure_future(talk(front))
        assert await still(lambda: sent) < ON_THE_WAY
        reading.set()
        await talking
        async with asyncio.timeout(60):
            while not codes:
                await asyncio.sleep(0.01)
    assert (received, codes) == (400 * len(CHUNK), [4001])


async def test_a_socket_goes_to_another_instance_after_a_refused_connection():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        await receive()

    async with listening(app) as url, fronted(Balancer.of({"ai": f"http://127.0.0.1:{free_port()},{url}"})) as front:
        for _ in range(2):
            async with front.http.ws_connect(front.url + "/ws") as ws:
                assert await ws.receive_str() == "hello"


async def test_a_client_that_says_too_much_on_its_socket_is_not_read_until_it_may_go_on():
    received: list[str] = []
    asked: list[bool] = []

    async def listens(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            received.append(message["text"])
            await send({"type": "websocket.send", "text": message["text"]})

    def allows() -> bool:
        asked.append(asked.count(True) < 2 or "go on" in permits)
        return asked[-1]

    permits: set[str] = set()
    held = Held(asyncio.Event().wait, allows)
    async with (
        listening(listens) as url,
        fronted(Balancer.of({"ai": url}), held=held) as front,
        front.http.ws_connect(front.url + "/ws") as ws,
    ):
        for number in range(4):
            await ws.send_str(str(number))
        assert [await ws.receive_str() for _ in range(2)] == ["0", "1"]
        async with asyncio.timeout(60):
            while asked.count(False) < 2:
                await asyncio.sleep(0.01)
        assert received == ["0", "1"]
        permits.add("go on")
        assert [await ws.receive_str() for _ in range(2)] == ["2", "3"]
