"""TLS at the public port, and services that prove to each other who they are."""

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import httpx
import msgspec
import pytest
from tests.kit.authority import Authority
from tests.kit.proxied import fronted, until_open

from recoup.kit.balancing import Balancer
from recoup.kit.doors import Doors, Tls, opened
from recoup.kit.errors import Invalid, Unavailable
from recoup.kit.health import HealthChecks
from recoup.kit.peers import Peers, TokenSource
from recoup.kit.ports import free_port
from recoup.kit.spiffe import Identity, MutualTls

CALLERS = ("platform", "ai", "pipeline")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def app(scope, receive, send) -> None:
    """Says how much it was sent."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        return await send({"type": "websocket.send", "text": "hello"})
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    return await send({"type": "http.response.body", "body": b"%d" % size, "more_body": False})


@asynccontextmanager
async def open_door(**doors) -> AsyncGenerator[int]:
    port = free_port()
    async with opened(app, Doors(host="127.0.0.1", port=port, **doors)):
        await until_open(port)
        yield port


@asynccontextmanager
async def calling(port: int, mutual: MutualTls | None, service: str = "ai") -> AsyncGenerator[Peers]:
    scheme = "http" if mutual is None else "https"
    identity = None if mutual is None else Identity(mutual)
    peers = Peers(
        Balancer.of({service: f"{scheme}://127.0.0.1:{port}"}), TokenSource(str, 60), timeout_seconds=5, mutual=identity
    )
    try:
        yield peers
    finally:
        await peers.close()


async def test_the_public_port_speaks_tls(authority):
    certificate, key = authority.certificate("public")
    inner = free_port()
    trusting = ssl.create_default_context(cafile=authority.file)
    tls = Tls(certificate=str(certificate), key=str(key))
    async with open_door(tls=tls, inner_port=inner) as port, aiohttp.ClientSession() as http:
        async with http.post(f"https://127.0.0.1:{port}/", data=b"x" * 100_000, ssl=trusting) as answer:
            assert await answer.text() == "100000"
        async with http.get(f"http://127.0.0.1:{inner}/") as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await http.get(f"https://127.0.0.1:{port}/")
        with pytest.raises(aiohttp.ClientError):
            await http.get(f"http://127.0.0.1:{port}/")


async def test_http_2_is_agreed_on_by_tls(authority):
    certificate, key = authority.certificate("public")
    trusting = ssl.create_default_context(cafile=authority.file)
    tls = Tls(certificate=str(certificate), key=str(key))
    async with (
        open_door(tls=tls, inner_port=free_port()) as port,
        httpx.AsyncClient(http2=True, verify=trusting, timeout=60) as http,
    ):
        answer = await http.post(f"https://127.0.0.1:{port}/", content=b"x" * 100_000)
    assert (answer.http_version, answer.text) == ("HTTP/2", "100000")


@pytest.mark.parametrize(
    ("minimum", "offered", "agreed"),
    [
        ("1.2", ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        ("1.2", ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
        ("1.3", ssl.TLSVersion.TLSv1_2, None),
    ],
)
async def test_no_older_tls_than_the_settings_allow(authority, minimum, offered, agreed):
    certificate, key = authority.certificate("public")
    context = ssl.create_default_context(cafile=authority.file)
    context.minimum_version = context.maximum_version = offered
    async with open_door(tls=Tls(certificate=str(certificate), key=str(key), minimum=minimum)) as port:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        except ssl.SSLError:
            assert agreed is None
        else:
            assert writer.get_extra_info("ssl_object").version() == agreed
            writer.close()


async def test_a_certificate_that_is_not_there_stops_the_start(authority):
    with pytest.raises(Invalid, match="both be files"):
        async with open_door(tls=Tls(certificate="nowhere.crt", key="nowhere.key")):
            pass


async def test_services_prove_to_each_other_who_they_are(authority):
    async with (
        open_door(identity=Identity(authority.mutual("ai")), callers=CALLERS) as port,
        calling(port, authority.mutual("platform")) as peers,
    ):
        assert await peers.get_bytes("ai", "/x") == b"0"
        assert (await peers.post("ai", "/x", "y" * 500_000, int)) == 500_002
        await HealthChecks(Balancer.of(peers.addresses), peers).round()
        assert peers.addresses["ai"]


async def refused(port: int, mutual: MutualTls | None) -> None:
    async with calling(port, mutual) as peers:
        with pytest.raises(Unavailable):
            await peers.get_bytes("ai", "/x")


@pytest.mark.parametrize(
    "uris",
    [
        ["spiffe://recoup.local/pipeline"],  # another service of ours
        ["spiffe://elsewhere/ai"],
        ["spiffe://recoup.local/ai/x"],
        ["spiffe://recoup.local/ai", "spiffe://recoup.local/platform"],  # more than one is none
        ["https://recoup.local/ai"],
    ],
)
async def test_a_server_that_is_not_who_was_asked_for_gets_no_request(authority, uris):
    impostor = Identity(authority.mutual("impostor", *uris))
    async with open_door(identity=impostor, callers=CALLERS) as port:
        await refused(port, authority.mutual("platform"))


async def test_a_caller_who_is_none_of_ours_does_not_come_in(authority, tmp_path):
    elsewhere = Authority(tmp_path, "elsewhere")
    async with open_door(identity=Identity(authority.mutual("ai")), callers=CALLERS) as port:
        await refused(port, authority.mutual("stranger", "spiffe://recoup.local/stranger"))
        await refused(port, authority.mutual("far", "spiffe://elsewhere/platform"))
        await refused(port, authority.mutual("late", "spiffe://recoup.local/platform", days=-1))
        await refused(port, elsewhere.mutual("forged", "spiffe://recoup.local/platform", trust=authority.file))
        await refused(port, None)
        async with calling(port, authority.mutual("platform")) as peers:
            assert await peers.get_bytes("ai", "/x") == b"0"


async def test_a_server_of_another_authority_is_not_believed(authority, tmp_path):
    elsewhere = Authority(tmp_path, "elsewhere")
    door = Identity(elsewhere.mutual("ai", trust=authority.file))
    async with open_door(identity=door, callers=CALLERS) as port:
        await refused(port, authority.mutual("platform"))


async def test_new_certificates_come_into_use_without_a_restart(authority):
    settings = authority.mutual("ai", days=-1)
    door = Identity(settings)
    async with open_door(identity=door, callers=CALLERS) as port:
        await refused(port, authority.mutual("platform"))
        authority.mutual("ai")
        os.utime(settings.certificate, (1, 1))
        door.refresh()
        async with calling(port, authority.mutual("platform")) as peers:
            assert await peers.get_bytes("ai", "/x") == b"0"


async def test_the_gateway_passes_requests_and_sockets_on_by_mutual_tls(authority):
    async with (
        open_door(identity=Identity(authority.mutual("ai")), callers=CALLERS) as port,
        fronted(Balancer.of({"ai": f"https://127.0.0.1:{port}"})) as front,
    ):
        front.peers.mutual = Identity(authority.mutual("platform"))
        assert await front.ask("POST", data=b"x" * 200_000) == (200, b"200000")
        async with front.http.ws_connect(front.url + "/ws") as ws:
            assert await ws.receive_str() == "hello"


async def test_mutual_tls_without_an_authority_stops_the_start(authority):
    with pytest.raises(Invalid, match="authority"):
        Identity(msgspec.structs.replace(authority.mutual("ai"), authority=""))
