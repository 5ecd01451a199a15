"""The door: where requests go, what comes in with them, what is kept out."""

import pytest


async def test_a_request_reaches_its_service_under_the_services_own_path(platform):
    status, headers, seen = await platform.ask(
        "POST", "/api/events/batch%20x?a=1%262&b", key=platform.first.secret_key, data=b"x" * 250_000
    )
    assert (status, seen["path"], seen["query"], seen["size"]) == (200, "/events/batch%20x", "a=1%262&b", 250_000)
    assert headers["X-Kept"] == "1"
    assert "X-Gone" not in headers


async def test_services_are_told_who_asks_and_nobody_can_say_it_himself(platform):
    forged = platform.deps.signer.sign(platform.verifier.verify(await own_stamp(platform)))
    _, _, seen = await platform.ask(
        "GET", "/api/carts", key=platform.first.publishable_key, headers={"X-Recoup-Identity": forged + "x"}
    )
    principal = platform.verifier.verify(seen["headers"]["x-recoup-identity"])
    assert principal.kind == "publishable_key"
    assert list(principal.stores) == [platform.first.store_id]
    assert not {"authorization", "x-api-key"} & set(seen["headers"])


async def own_stamp(platform) -> str:
    _, _, seen = await platform.ask("GET", "/api/carts", key=platform.first.secret_key)
    return seen["headers"]["x-recoup-identity"]


async def test_the_same_caller_comes_with_the_same_internal_token(platform):
    assert await own_stamp(platform) == await own_stamp(platform)


@pytest.mark.parametrize("key", [None, "rk_live_nonsense", "rk_live_" + "0" * 49, "v4.public.nonsense", "é", ""])
async def test_without_a_good_key_nothing_passes(platform, key):
    headers = {"X-Api-Key": key} if key is not None else {}
    status, headers, problem = await platform.ask("GET", "/api/carts", headers=headers)
    assert status == 401
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["code"] in {"unauthenticated", "key_invalid", "token_invalid"}
