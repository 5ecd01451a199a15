"""What goes on while clocks disagree or PostgreSQL is away; it all recovers by itself, and nobody gains by it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from litestar import Router, get
from tests.services.platform.conftest import Platform, installed
from tests.services.platform.test_key_rotation import LIFETIME, MovedClock, opened_door
from tests.services.platform.test_ratelimits import Server

from recoup.app import INTERNAL_TOKEN_LIFETIME
from recoup.kit.embedded import Postgres
from recoup.kit.errors import Unauthenticated
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.service import Service
from recoup.kit.tokens import Verifier
from recoup.messages.access import Permission, Principal
from recoup.services.platform.access import actions

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_SECONDS = 60
MINUTE = timedelta(minutes=1)


@get("/events/stats", opt={"permission": Permission.EVENTS_READ}, sync_to_thread=False)
def stats() -> dict[str, int]:
    """A route of a service, behind its own check of who asks."""
    return {}


async def status_of(platform: Platform, url: str, key: str) -> tuple[int, str]:
    async with platform.http.get(url, headers={"X-Api-Key": key}) as answer:
        return answer.status, (await answer.json()).get("code", "")


@pytest.mark.parametrize("apart", [-MINUTE, MINUTE], ids=["behind", "ahead"])
async def test_a_minute_between_the_clocks_of_processes_turns_nobody_away(platform, valkey_url, tmp_path, apart):
    clock = MovedClock(apart)
    service = Service(name="pipeline", routers=[Router("/", route_handlers=[stats])])
    platform.peer.app = create_app(service, HttpSettings(), platform.verifier.verify)
    async with AsyncExitStack() as stack, standing(platform):
        door, _ = await opened_door(stack, platform, valkey_url, tmp_path, clock)
        assert await status_of(platform, f"{door}/api/events/stats", platform.first.secret_key) == (200, "")
        token = (await platform.login())["access_token"]
        assert await status_of(platform, f"{door}/api/auth/me", token) == (200, "")
        proof = {"email": platform.first.admin_email, "password": platform.first.admin_password}
        async with platform.http.post(f"{door}/api/auth/login", json=proof) as answer:
            theirs = (await answer.json())["access_token"]
        # To a clock that is behind, a key made just now signs not yet: it makes one of its own, which others learn.
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await platform.ask("GET", "/api/auth/me", key=theirs))[0] != 200:
                await asyncio.sleep(0.05)
        clock.ahead = LIFETIME + timedelta(seconds=1)
        assert await status_of(platform, f"{door}/api/auth/me", token) == (401, "token_expired")


async def test_an_internal_token_outlives_any_use_by_more_than_a_minute_and_none_is_taken_after_its_end(platform):
    """It is made anew at half its life, so that clocks may be half its life apart."""
    _, _, seen = await platform.ask("GET", "/api/carts", key=platform.first.secret_key)
    stamp = seen["headers"]["x-recoup-identity"]
    service = MovedClock(INTERNAL_TOKEN_LIFETIME / 2 + MINUTE)
    verifier = Verifier(platform.deps.signer.seed, Principal, service)
    assert verifier.verify(stamp).kind == "secret_key"
    service.ahead = INTERNAL_TOKEN_LIFETIME + timedelta(seconds=1)
    for each in (verifier, Verifier(platform.deps.signer.seed, Principal, service)):
        with pytest.raises(Unauthenticated, match="expired"):
            each.verify(stamp)


@asynccontextmanager
async def standing(platform: Platform) -> AsyncGenerator[None]:
    """With the workers that learn what has ended."""
    names = {"changed keys", "ended sign-ins and signing keys"}
    tasks = [asyncio.ensure_future(worker.run()) for worker in platform.service.workers if worker.name in names]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def made(platform: Platform, owner: str) -> tuple[str, str]:
    params = {"store_id": platform.first.store_id}
    body = {"kind": "secret_key", "name": "n"}
    status, _, answer = await platform.ask("POST", "/api/api-keys", key=owner, params=params, json=body)
    assert status == 201, answer
    return answer["key"], answer["api_key"]["id"]


async def revoked(platform: Platform, owner: str, key_id: str) -> None:
    params = {"store_id": platform.first.store_id}
    assert (await platform.ask("DELETE", f"/api/api-keys/{key_id}", key=owner, params=params))[0] == 204


async def test_without_postgresql_who_is_known_goes_on_and_nobody_gains_by_it(
    valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(actions, "FRESH_SECONDS", 0.0)  # so that every request would ask
    server = Server(Postgres(tmp_path / "pg"))
    await server.start()
    try:
        async with installed(server.engine.url, valkey_url, tmp_path / "data") as platform, standing(platform):
            ended, owner = (await platform.login())["access_token"], (await platform.login())["access_token"]
            assert (await platform.ask("POST", "/api/auth/logout", key=ended))[0] == 204
            (gone, gone_id), (unseen, _) = await made(platform, owner), await made(platform, owner)
            await revoked(platform, owner, gone_id)
            known = platform.first.secret_key
            assert [await asked(platform, key) for key in (known, gone)] == [(200, ""), (401, "key_revoked")]

            await server.stop()
            assert [await asked(platform, key) for key in (known, owner)] == [(200, "")] * 2
            assert await asked(platform, gone) == (401, "key_revoked")
            assert await asked(platform, ended) == (401, "session_ended")
            assert await asked(platform, unseen) == (503, "unavailable")
            assert await asked(platform, "rk_live_" + "0" * 49) == (401, "key_mistyped")
            assert (await platform.ask("GET", "/api/config", key=known))[0] == 503
            assert (await sign_in(platform)) == 503

            await server.start()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await sign_in(platform) != 200 or (await platform.ask("GET", "/health/ready"))[0] != 200:
                    await asyncio.sleep(0.05)
            assert [await asked(platform, key) for key in (known, owner, unseen)] == [(200, "")] * 3
            assert await asked(platform, gone) == (401, "key_revoked")
            assert await asked(platform, ended) == (401, "session_ended")
    finally:
        await server.stop()


async def asked(platform: Platform, key: str) -> tuple[int, str]:
    status, _, answer = await platform.ask("GET", "/api/carts", key=key)
    return status, answer.get("code", "")


async def sign_in(platform: Platform) -> int:
    proof: Any = {"email": platform.first.admin_email, "password": platform.first.admin_password}
    return (await platform.ask("POST", "/api/auth/login", json=proof))[0]
