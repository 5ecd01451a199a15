"""Limits at the door, over several processes, and without Valkey."""

import asyncio
import subprocess
from contextlib import suppress

import aiohttp
import pytest
from tests.services.platform.conftest import installed

from recoup.kit.embedded import Engine, Valkey
from recoup.kit.launch import wrap
from recoup.kit.valkey import connect
from recoup.messages.access import Permission, Principal
from recoup.services.platform.ratelimits.actions import Limiter
from recoup.services.platform.ratelimits.domain import Rates
from recoup.services.platform.ratelimits.store import RateWindows
from recoup.services.platform.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")
RATES = Rates(user=0, key=100, store=0, endpoint=0, address=0, endpoints={})
KEY = Principal(subject="key:1", kind="secret_key", stores={"s": [Permission.EVENTS_WRITE]})


async def made(platform, per_minute: int, kind: str = "secret_key") -> str:
    owner = (await platform.login())["access_token"]
    body = {"kind": kind, "name": "n", "requests_per_minute": per_minute}
    params = {"store_id": platform.first.store_id}
    status, _, answer = await platform.ask("POST", "/api/api-keys", key=owner, json=body, params=params)
    assert status == 201, answer
    return answer["key"]


async def test_a_key_is_told_how_much_is_left_and_then_when_to_come_again(platform):
    key = await made(platform, 3)
    answers = [await platform.ask("POST", "/api/events", key=key, json={}) for _ in range(4)]
    assert [status for status, _, _ in answers] == [200, 200, 200, 429]
    assert [headers["RateLimit-Remaining"] for _, headers, _ in answers] == ["2", "1", "0", "0"]
    _, headers, problem = answers[-1]
    assert {headers["RateLimit-Limit"] for _, headers, _ in answers} == {"3"}
    assert headers["Retry-After"] == headers["RateLimit-Reset"]
    assert 1 <= int(headers["Retry-After"]) <= 120
    assert (problem["code"], problem["detail"]) == ("rate_limited", "more than 3 requests a minute of this key")
    assert (await platform.ask("POST", "/api/events", key=platform.first.secret_key, json={}))[0] == 200


async def test_a_limit_holds_for_the_platforms_own_routes_and_for_sockets_too(platform):
    key = await made(platform, 1, "publishable_key")
    headers = {"X-Api-Key": key}
    async with platform.http.ws_connect(f"{platform.url}/api/ws/user/x", headers=headers) as ws:
        await ws.close()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await platform.http.ws_connect(f"{platform.url}/api/ws/user/x", headers=headers)
    assert refused.value.status == 429
    assert refused.value.headers is not None
    assert int(refused.value.headers["Retry-After"]) >= 1
    status, answered, _ = await platform.ask("GET", "/api/config", key=key)
    assert (status, answered["RateLimit-Remaining"]) == (429, "0")


async def test_a_message_over_a_socket_counts_as_a_request_and_is_not_read_while_there_are_too_many(platform):
    key = await made(platform, 4, "publishable_key")
    async with platform.http.ws_connect(f"{platform.url}/api/events/stream?key={key}") as ws:
        for number in range(6):
            await ws.send_str(str(number))
        assert [await ws.receive_str(timeout=60) for _ in range(3)] == ["0", "1", "2"]
        status, headers, _ = await platform.ask("POST", "/api/events", key=key, json={})
        assert (status, headers["RateLimit-Remaining"]) == (429, "0")
        assert (await platform.ask("POST", "/api/events", key=platform.first.secret_key, json={}))[0] == 200
        with pytest.raises(TimeoutError):
            await ws.receive_str(timeout=0.2)


async def test_processes_share_a_limit(valkey_url):
    here, there = connect(valkey_url), connect(valkey_url)
    try:
        one, other = Limiter(RateWindows.on(here), RATES), Limiter(RateWindows.on(there), RATES)
        assert sum(stood(one) for _ in range(60)) == 60
        await one.settle()
        assert stood(other)
        await other.settle()
        assert sum(stood(other) for _ in range(100)) == 39
    finally:
        await here.aclose()
        await there.aclose()


def stood(limiter: Limiter) -> bool:
    standing = limiter.stand(KEY, None, "s", "events")
    assert standing is not None
    return standing.allowed


class Server:
    """An engine that a test may stop and start."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        await self.engine.prepare()
        command = wrap(self.engine.command, orphan_signal=self.engine.orphan_signal, account=self.engine.account)
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        async with asyncio.timeout(60):
            while not await self.engine.ready():
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(self.engine.orphan_signal)
        await asyncio.to_thread(self.process.wait)


async def test_without_valkey_events_pass_up_to_a_limit_and_nobody_signs_in(database, tmp_path):
    server = Server(Valkey(tmp_path / "v", fsync="no"))
    await server.start()
    try:
        async with installed(database, server.engine.url, tmp_path / "data", Settings(rate_key=50)) as platform:
            worker = next(worker for worker in platform.service.workers if worker.name == "rate limits")
            settling = asyncio.ensure_future(worker.run())
            key = platform.first.secret_key
            assert (await platform.ask("POST", "/api/events", key=key, json={}))[0] == 200
            await server.stop()
            statuses = [(await platform.ask("POST", "/api/events", key=key, json={}))[0] for _ in range(60)]
            assert statuses == [200] * 49 + [429] * 11
            proof = {"email": platform.first.admin_email, "password": platform.first.admin_password}
            assert (await platform.ask("POST", "/api/auth/login", json=proof))[0] == 503
            await server.start()
            async with asyncio.timeout(60):
                while (await platform.ask("POST", "/api/auth/login", json=proof))[0] != 200:
                    await asyncio.sleep(0.05)
            settling.cancel()
            with suppress(asyncio.CancelledError):
                await settling
    finally:
        await server.stop()
