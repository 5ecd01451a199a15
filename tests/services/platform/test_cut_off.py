"""What is open by a key or a sign-in ends with it: answers that come in pieces, as sockets do."""

import asyncio
from typing import Any

import aiohttp
import pytest
from tests.services.platform.conftest import listening

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_SECONDS = 60


async def endless(scope: Any, receive: Any, send: Any) -> None:
    """An answer that begins and then is silent, as a tail with nothing to show."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


async def key_of(platform: Any, owner: str) -> tuple[str, str]:
    params = {"store_id": platform.first.store_id}
    body = {"kind": "secret_key", "name": "n"}
    status, _, made = await platform.ask("POST", "/api/api-keys", key=owner, params=params, json=body)
    assert status == 201, made
    return made["key"], made["api_key"]["id"]


async def breaks_off(answer: aiohttp.ClientResponse) -> None:
    with pytest.raises(aiohttp.ClientError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await answer.content.read()


async def test_an_answer_that_goes_on_breaks_off_when_its_key_is_revoked_and_no_other_does(platform):
    platform.peer.app = endless
    owner = (await platform.login())["access_token"]
    (key, key_id), (other, _) = await key_of(platform, owner), await key_of(platform, owner)
    ask = platform.http.get
    async with (
        ask(f"{platform.url}/api/export/x", headers={"X-Api-Key": key}) as answer,
        ask(f"{platform.url}/api/export/x", headers={"X-Api-Key": other}) as neighbour,
    ):
        assert await answer.content.readany() == await neighbour.content.readany() == b"first"
        status, _, _ = await platform.ask(
            "DELETE", f"/api/api-keys/{key_id}", key=owner, params={"store_id": platform.first.store_id}
        )
        assert status == 204
        await breaks_off(answer)
        rest = asyncio.ensure_future(neighbour.content.read())
        assert (await platform.ask("GET", "/api/config", key=other))[0] == 200
        assert not rest.done()
        rest.cancel()


async def test_an_answer_that_goes_on_breaks_off_when_its_sign_in_ends(platform):
    platform.peer.app = endless
    token = (await platform.login())["access_token"]
    async with platform.http.get(f"{platform.url}/api/export/x", headers={"X-Api-Key": token}) as answer:
        assert await answer.content.readany() == b"first"
        assert (await platform.ask("POST", "/api/auth/logout", key=token))[0] == 204
        await breaks_off(answer)


async def test_the_platforms_own_long_answers_break_off_too(platform):
    token = (await platform.login())["access_token"]
    async with (
        listening(platform.service.front(endless)) as url,
        platform.http.get(f"{url}/audit-logs/export", headers={"X-Api-Key": token}) as answer,
    ):
        assert await answer.content.readany() == b"first"
        assert (await platform.ask("POST", "/api/auth/logout", key=token))[0] == 204
        await breaks_off(answer)
