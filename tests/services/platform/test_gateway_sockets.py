"""Sockets through the door."""

import asyncio
import json

import aiohttp
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


def socket(platform, path: str, **options):
    return platform.http.ws_connect(platform.url + path, **options)


async def test_messages_pass_both_ways_in_their_kind(platform):
    async with socket(platform, f"/api/events/stream?key={platform.first.publishable_key}") as ws:
        await ws.send_str("é")
        await ws.send_bytes(b"\x00" * 200_000)
        assert (await ws.receive()).data == "é"
        assert (await ws.receive()).data == b"\x00" * 200_000


async def test_the_key_stays_at_the_door_and_the_identity_goes_in(platform):
    async with socket(platform, f"/api/ws/user/u1?key={platform.first.publishable_key}&last=7") as ws:
        await ws.send_str("who")
        seen = json.loads((await ws.receive()).data)
    assert (seen["path"], seen["query"]) == ("/ws/user/u1", "last=7")
    assert platform.verifier.verify(seen["headers"]["x-recoup-identity"]).kind == "publishable_key"


async def test_an_access_token_opens_a_socket_too(platform):
    token = (await platform.login())["access_token"]
    async with socket(platform, f"/api/ws/user/u1?token={token}") as ws:
        await ws.send_str("who")
        seen = json.loads((await ws.receive()).data)
    assert platform.verifier.verify(seen["headers"]["x-recoup-identity"]).kind == "person"


async def test_the_subprotocol_is_agreed_by_the_service(platform):
    async with socket(
        platform, f"/api/ws/user/u1?key={platform.first.publishable_key}", protocols=("recoup.v1", "x")
    ) as ws:
        assert ws.protocol == "recoup.v1"


async def test_the_services_close_code_reaches_the_client(platform):
    async with socket(platform, f"/api/ws/user/u1?key={platform.first.publishable_key}") as ws:
        await ws.send_str("bye")
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE
        assert ws.close_code == 4321


async def test_the_clients_close_code_reaches_the_service(platform):
    codes = []

    async def listener(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        codes.append((await receive())["code"])

    platform.peer.app = listener
    ws = await socket(platform, f"/api/ws/user/u1?key={platform.first.publishable_key}")
    await ws.close(code=4001)
    async with asyncio.timeout(60):
        while not codes:
            await asyncio.sleep(0.01)
    assert codes == [4001]


@pytest.mark.parametrize(("query", "status"), [("", 401), ("?key=rk_pub_nonsense", 401), ("?token=v4.public.x", 401)])
async def test_no_socket_without_a_good_key(platform, query, status):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await socket(platform, f"/api/events/stream{query}")
    assert refused.value.status == status


async def test_a_socket_to_nowhere_is_refused(platform):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await socket(platform, f"/api/nowhere?key={platform.first.publishable_key}")
    assert refused.value.status == 404


HANDSHAKE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "X-Request-Id": "of-the-page",
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [("/api/events/stream", 401, "unauthenticated"), ("/api/nowhere", 404, "missing"),
     ("/api/ws/user/u1?key=PUBLISHABLE", 503, "service_unavailable")],
)  # fmt: skip
async def test_a_refused_handshake_says_why_and_is_found_by_its_id(platform, path, status, code):
    platform.deps.peers.addresses["interventions"] = "http://127.0.0.1:9"
    path = path.replace("PUBLISHABLE", platform.first.publishable_key)
    for _ in range(3):  # the instance that refused is let alone for a while: then nobody is asked any more
        answer = await platform.ask("GET", path, headers=HANDSHAKE)
        assert (answer[0], answer[1]["X-Request-Id"], answer[2]["code"]) == (status, "of-the-page", code)
        assert answer[2]["trace_id"]


async def test_a_socket_to_a_service_that_is_away_is_refused_as_such(platform):
    platform.deps.peers.addresses["interventions"] = "http://127.0.0.1:9"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await socket(platform, f"/api/ws/user/u1?key={platform.first.publishable_key}")
    assert refused.value.status == 503


async def test_a_socket_to_a_service_that_failed_too_often_is_refused_at_once(platform):
    async def broken(scope, receive, send):
        await receive()
        await send({"type": "websocket.http.response.start", "status": 500, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"", "more_body": False})

    platform.peer.app = broken
    async with asyncio.timeout(60):
        while True:
            headers = {**HANDSHAKE, "X-Api-Key": platform.first.secret_key}
            async with platform.http.get(f"{platform.url}/api/jobs/anything", headers=headers) as answer:
                if answer.status != 500:
                    said = await answer.json()
                    break
    assert (said["status"], said["code"]) == (503, "circuit_open")
