"""Clients that hold connections open and say nothing, or too little, are let go; everybody else is served meanwhile."""

import asyncio
from contextlib import AsyncExitStack

import aiohttp
from tests.kit.proxied import until_open

from recoup.kit.doors import Doors, opened
from recoup.kit.ports import free_port

PATIENCE_SECONDS = 60
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
HALF_A_HEAD = b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82"
SAID = {
    "nothing": b"",
    "a sign of two protocols": b"P",
    "half a TLS handshake": b"\x16\x03\x01",
    "half an HTTP/1.1 head": b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    "HTTP/2 and no request": PREFACE + SETTINGS,
    "HTTP/2 and half a head": PREFACE + SETTINGS + HALF_A_HEAD,
}


async def slowly(scope, receive, send):
    """Answers after as many seconds as the path says; sends back what a socket is sent."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send(message | {"type": "websocket.send"})
        return
    await asyncio.sleep(float(scope["path"][1:] or 0))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served", "more_body": False})


async def closed(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_whoever_asks_nothing_is_let_go_and_others_are_served_meanwhile():
    port = free_port()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(opened(slowly, Doors(host="127.0.0.1", port=port, header_seconds=1.0)))
        await until_open(port)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        socket = await stack.enter_async_context(http.ws_connect(f"http://127.0.0.1:{port}/"))
        waiting = []
        for said in [*SAID.values()] * 20:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(said)
            waiting.append(asyncio.ensure_future(closed(reader)))
        patient = asyncio.ensure_future(http.get(f"http://127.0.0.1:{port}/3"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not all(each.done() for each in waiting):
                async with http.get(f"http://127.0.0.1:{port}/") as answer:
                    assert await answer.text() == "served"
                await asyncio.sleep(0.05)
            async with await patient as answer:
                assert await answer.text() == "served"
        # What is under way is not idle, however little is said.
        await socket.send_str("still here")
        assert await socket.receive_str(timeout=PATIENCE_SECONDS) == "still here"
