"""Signing in, staying in, getting out."""

import aiohttp
import asyncpg
import pytest

from recoup.kit.valkey import connect
from recoup.services.platform.identity.store.attempts import Attempts

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def refreshed(platform, token: str):
    return await platform.ask("POST", "/api/auth/refresh", json={"refresh_token": token})


async def whoami(platform, token: str):
    return await platform.ask("GET", "/api/auth/me", key=token)


async def test_a_person_signs_in_and_is_known(platform):
    tokens = await platform.login()
    status, _, me = await whoami(platform, tokens["access_token"])
    assert status == 200, me
    assert me["email"] == platform.first.admin_email
    assert (platform.first.store_id, "owner") in [(store["store_id"], store["role"]) for store in me["stores"]]
    assert 0 < tokens["expires_in"] <= 900


async def test_a_secret_key_is_known_too_and_a_publishable_one_is_told_nothing(platform):
    status, _, me = await whoami(platform, platform.first.secret_key)
    assert (status, me["kind"], me["stores"][0]["role"]) == (200, "secret_key", "secret_key")
    assert (await whoami(platform, platform.first.publishable_key))[0] == 403


@pytest.mark.parametrize("email", ["admin@example.com", " ADMIN@Example.com "])
async def test_an_address_is_the_same_however_it_is_written(platform, email):
    proof = {"email": email, "password": platform.first.admin_password}
    assert (await platform.ask("POST", "/api/auth/login", json=proof))[0] == 200


async def test_a_wrong_password_and_an_unknown_account_are_answered_alike(platform):
    answers = [
        await platform.ask("POST", "/api/auth/login", json={"email": email, "password": "wrong"})
        for email in (platform.first.admin_email, "nobody@example.com")
    ]
    assert [status for status, _, _ in answers] == [401, 401]
    first, second = ({**problem, "trace_id": ""} for _, _, problem in answers)
    assert first == second


async def test_guessing_is_stopped_for_that_account_and_address_only(platform):
    wrong = {"email": platform.first.admin_email, "password": "wrong"}
    for _ in range(10):
        assert (await platform.ask("POST", "/api/auth/login", json=wrong))[0] == 401
    right = {**wrong, "password": platform.first.admin_password}
    status, headers, problem = await platform.ask("POST", "/api/auth/login", json=right)
    assert (status, problem["code"]) == (429, "login_limited")
    assert int(headers["Retry-After"]) > 0
    assert (await platform.ask("POST", "/api/auth/login", json={**wrong, "email": "other@example.com"}))[0] == 401


async def test_a_success_forgives_earlier_mistakes(platform):
    wrong = {"email": platform.first.admin_email, "password": "wrong"}
    for _ in range(2):
        for _ in range(6):
            assert (await platform.ask("POST", "/api/auth/login", json=wrong))[0] == 401
        await platform.login()
    attempts = Attempts(platform.deps.valkey)
    identifiers = [f"login\x1f{platform.first.admin_email}\x1f127.0.0.1", "login from\x1f127.0.0.1"]
    assert await attempts.count(identifiers) == [1, 13]


async def test_nobody_signs_in_uncounted(platform, monkeypatch):
    # The service keeps the client it was given; pointing it at nothing is a Valkey that has gone.
    gone = connect("redis://127.0.0.1:9/0")
    monkeypatch.setattr(platform.deps.valkey, "connection_pool", gone.connection_pool)
    proof = {"email": platform.first.admin_email, "password": platform.first.admin_password}
    status, _, _ = await platform.ask("POST", "/api/auth/login", json=proof)
    assert status == 503


async def test_refreshing_gives_a_new_pair_that_works(platform):
    tokens = await platform.login()
    status, _, fresh = await refreshed(platform, tokens["refresh_token"])
    assert status == 200
    assert fresh["refresh_token"] != tokens["refresh_token"]
    assert (await whoami(platform, fresh["access_token"]))[0] == 200


async def test_a_refresh_token_used_twice_ends_the_whole_sign_in(platform):
    stolen = await platform.login()
    _, _, fresh = await refreshed(platform, stolen["refresh_token"])
    status, _, problem = await refreshed(platform, stolen["refresh_token"])
    assert (status, problem["code"]) == (401, "refresh_reused")
    assert (await refreshed(platform, fresh["refresh_token"]))[2]["code"] == "session_ended"
    assert (await whoami(platform, fresh["access_token"]))[2]["code"] == "session_ended"
    assert (await whoami(platform, (await platform.login())["access_token"]))[0] == 200


async def test_an_unknown_refresh_token_is_refused(platform):
    status, _, problem = await refreshed(platform, "nonsense")
    assert (status, problem["code"]) == (401, "refresh_unknown")


@pytest.mark.parametrize("by", ["access", "refresh"])
async def test_signing_out_ends_both_tokens(platform, by):
    tokens = await platform.login()
    status, _, _ = await platform.ask(
        "POST", "/api/auth/logout",
        key=tokens["access_token"] if by == "access" else None,
        json={"refresh_token": tokens["refresh_token"]} if by == "refresh" else None,
    )  # fmt: skip
    assert status == 204
    assert (await whoami(platform, tokens["access_token"]))[0] == 401
    assert (await refreshed(platform, tokens["refresh_token"]))[0] == 401


async def test_what_is_open_by_a_sign_in_is_closed_when_it_ends(platform):
    mine, other = await platform.login(), await platform.login()
    async with platform.http.ws_connect(f"{platform.url}/api/ws/user/x?token={mine['access_token']}") as ws:
        for _ in range(2):
            await ws.send_str("still here")
            assert await ws.receive_str(timeout=60) == "still here"
            await platform.ask("POST", "/api/auth/logout", key=other["access_token"])
        await platform.ask("POST", "/api/auth/logout", key=mine["access_token"])
        assert (await ws.receive(timeout=60)).type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}


async def test_signing_out_is_possible_with_a_token_that_is_no_longer_good(platform):
    tokens = await platform.login()
    body = {"refresh_token": tokens["refresh_token"]}
    status, _, _ = await platform.ask("POST", "/api/auth/logout", key="v4.public.expired", json=body)
    assert status == 204
    assert (await refreshed(platform, tokens["refresh_token"]))[0] == 401


async def test_a_tampered_access_token_is_refused(platform):
    token = (await platform.login())["access_token"]
    assert (await whoami(platform, token[:-2] + ("AA" if not token.endswith("AA") else "BB")))[0] == 401


async def test_an_internal_token_is_no_access_token(platform):
    internal = platform.deps.peers.identity.token()
    assert (await whoami(platform, internal))[0] == 401


async def test_neither_password_nor_tokens_stand_in_the_database(platform):
    tokens = await platform.login()
    secrets = (platform.first.admin_password, tokens["refresh_token"], platform.first.secret_key)
    connection = await asyncpg.connect(platform.deps.postgres_url)
    try:
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'platform'")
        for (table,) in tables:
            everything = str(await connection.fetch(f'select t::text from platform."{table}" t'))
            assert not [secret for secret in secrets if secret in everything], table
    finally:
        await connection.close()
