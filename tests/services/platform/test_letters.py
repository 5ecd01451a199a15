"""Letters to people: forgotten passwords, and invitations."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from tests.services.platform.letters import letters_written, link, mails
from tests.services.platform.people import GOOD, Somebody, anybody, code, enrolled, owner, somebody, works

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_SECONDS = 60


async def forgotten(platform, address: str) -> tuple[int, Any]:
    status, _, answer = await platform.ask("POST", "/api/auth/password/forgotten", json={"email": address})
    return status, answer


async def reset(platform, token: str, password: str) -> tuple[int, Any]:
    body = {"token": token, "password": password}
    status, _, answer = await platform.ask("POST", "/api/auth/password/reset", json=body)
    return status, answer


# --- letters ----------------------------------------------------------------------------------------------------------


async def test_a_forgotten_password_is_set_anew_by_letter_once_and_signs_out_everywhere(platform):
    who = await somebody(platform)
    tokens = await who.tokens()
    assert (await forgotten(platform, f" {who.email.upper()} "))[0] == 202
    token = await link(platform, who.email, "reset")
    assert (await reset(platform, token, "password1234"))[0] == 400
    assert (await reset(platform, token, GOOD))[0] == 204
    assert not await works(who, tokens)
    assert (await Somebody(platform, who.email, GOOD).login())[0] == 200
    assert (await reset(platform, token, GOOD + GOOD))[1]["code"] == "reset_invalid"


async def test_a_second_letter_ends_the_first(platform):
    who = await somebody(platform)
    await forgotten(platform, who.email)
    first = await link(platform, who.email, "reset")
    await forgotten(platform, who.email)
    second = await link(platform, who.email, "reset", count=2)
    assert [(await reset(platform, token, GOOD))[0] for token in (first, second)] == [401, 204]


async def test_a_new_password_does_not_replace_the_second_factor(platform):
    who = await somebody(platform)
    secret, _, _ = await enrolled(who)
    await forgotten(platform, who.email)
    assert (await reset(platform, await link(platform, who.email, "reset"), GOOD))[0] == 204
    renewed = Somebody(platform, who.email, GOOD)
    assert (await renewed.login())[1]["code"] == "second_factor_required"
    assert (await renewed.login(code=code(secret, steps=1)))[0] == 200


async def test_asking_for_a_letter_does_the_same_for_somebody_and_for_nobody(platform):
    who = await somebody(platform)
    nobody = f"{uuid4().hex}@example.com"
    assert await forgotten(platform, who.email) == await forgotten(platform, nobody)
    connection = await asyncpg.connect(platform.deps.postgres_url)
    try:
        # An invitation may wait there still: whoever wrote it was stopped once its file was there.
        asked = "select email from platform.letters_due where email = any($1::text[]) and invitation_id is null"
        assert {row["email"] for row in await connection.fetch(asked, [who.email, nobody])} == {who.email, nobody}
        async with letters_written(platform), asyncio.timeout(PATIENCE_SECONDS):
            while await connection.fetch(asked, [who.email, nobody]):
                await asyncio.sleep(0.02)
    finally:
        await connection.close()
    assert [len(mails(platform, address, "reset")) for address in (who.email, nobody)] == [1, 0]


async def test_letters_to_one_address_are_counted_whether_or_not_anybody_has_it(platform):
    for address in ((await anybody(platform)).email, f"{uuid4().hex}@example.com"):
        assert [(await forgotten(platform, address))[0] for _ in range(4)] == [202, 202, 202, 429]


async def test_only_the_account_that_runs_recoup_can_read_letters(platform):
    who = await anybody(platform)
    await forgotten(platform, who.email)
    await link(platform, who.email, "reset")
    folder = Path(platform.deps.data) / "mail"
    assert folder.stat().st_mode & 0o077 == 0
    assert {file.stat().st_mode & 0o077 for file in folder.iterdir()} == {0}
    assert {file.suffix for file in folder.iterdir()} == {".eml"}


# --- invitations ------------------------------------------------------------------------------------------------------


async def invited(platform, address: str, role: str = "analyst", store: str | None = None) -> tuple[int, Any]:
    params = {"store_id": store or platform.first.store_id}
    key = (await platform.login())["access_token"] if store else await owner(platform)
    body = {"email": address, "role": role}
    status, _, made = await platform.ask("POST", "/api/invitations", key=key, params=params, json=body)
    return status, made


async def accepted(platform, token: str, **more: object) -> tuple[int, Any]:
    status, _, answer = await platform.ask("POST", "/api/auth/invitations/accept", json={"token": token, **more})
    return status, answer


async def test_somebody_new_is_invited_chooses_a_password_and_comes_in(platform):
    address = f"{uuid4().hex}@example.com"
    assert (await invited(platform, address))[0] == 201
    token = await link(platform, address, "invitation")
    _, _, read = await platform.ask("POST", "/api/auth/invitations/read", json={"token": token})
    assert (read["email"], read["role"], read["has_account"]) == (address, "analyst", False)
    assert (await accepted(platform, token))[1]["code"] == "password_weak"
    assert (await accepted(platform, token, password=GOOD))[0] == 204
    key = (await Somebody(platform, address, GOOD).tokens())["access_token"]
    _, _, me = await platform.ask("GET", "/api/auth/me", key=key)
    assert [(store["store_id"], store["role"]) for store in me["stores"]] == [(platform.first.store_id, "analyst")]
    assert (await accepted(platform, token, password=GOOD))[1]["code"] == "invite_invalid"
    assert (await invited(platform, address))[0] == 409


async def test_somebody_with_an_account_is_invited_to_another_store_and_keeps_their_password(platform):
    who = await somebody(platform)
    second, _ = await platform.another_store()
    await invited(platform, who.email, "developer", second)
    token = await link(platform, who.email, "invitation", count=2)
    assert (await accepted(platform, token))[0] == 204
    key = (await who.tokens())["access_token"]
    _, _, me = await platform.ask("GET", "/api/auth/me", key=key)
    assert (second, "developer") in [(store["store_id"], store["role"]) for store in me["stores"]]


async def test_what_people_do_at_the_open_doors_is_in_the_trail_with_their_id_and_the_request(platform):
    address = f"{uuid4().hex}@example.com"
    await invited(platform, address)
    proof = {"token": await link(platform, address, "invitation"), "password": GOOD}
    asked = {name: f"{name}-{uuid4()}" for name in ("accept", "login", "forgotten", "reset", "logout")}

    async def post(name: str, path: str, body: object) -> Any:
        headers = {"X-Request-Id": asked[name]}
        status, _, answer = await platform.ask("POST", f"/api/auth/{path}", json=body, headers=headers)
        assert status < 300, answer
        return answer

    await post("accept", "invitations/accept", proof)
    tokens = await post("login", "login", {"email": address, "password": GOOD})
    await post("logout", "logout", {"refresh_token": tokens["refresh_token"]})
    await post("forgotten", "password/forgotten", {"email": address})
    token = await link(platform, address, "reset")
    await post("reset", "password/reset", {"token": token, "password": "sparrow-lantern-75-quay"})
    found = {}
    for name, request_id in asked.items():
        path = f"/api/audit-logs?request_id={request_id}"
        _, _, page = await platform.ask("GET", path, key=platform.first.secret_key)
        found[name] = [(line["action"], line["actor"], line["address"]) for line in page["items"]]
    _, _, team = await platform.ask("GET", "/api/users", key=platform.first.secret_key)
    (ada,) = [each["id"] for each in team["items"] if each["email"] == address]
    assert found == {
        "accept": [("invitation_accepted", ada, "127.0.0.1")], "login": [("login", ada, "127.0.0.1")],
        "logout": [("logout", ada, "127.0.0.1")], "forgotten": [],
        "reset": [("password_reset", ada, "127.0.0.1")],
    }  # fmt: skip


async def test_an_invitation_that_was_taken_back_opens_nothing(platform):
    address = f"{uuid4().hex}@example.com"
    _, made = await invited(platform, address)
    token = await link(platform, address, "invitation")
    params = {"store_id": platform.first.store_id}
    key = await owner(platform)
    _, _, open_ones = await platform.ask("GET", "/api/invitations", key=key, params=params)
    assert made["id"] in [each["id"] for each in open_ones["items"]]
    for status in (204, 404):
        path = f"/api/invitations/{made['id']}?store_id={platform.first.store_id}"
        assert (await platform.ask("DELETE", path, key=key))[0] == status
    assert (await accepted(platform, token, password=GOOD))[1]["code"] == "invite_invalid"


async def test_nobody_gives_or_takes_a_role_that_may_do_more_than_they_may(platform):
    admin = await somebody(platform, "admin")
    key, params = (await admin.tokens())["access_token"], {"store_id": platform.first.store_id}
    body = {"email": f"{uuid4().hex}@example.com", "role": "owner"}
    for path in ("/api/invitations", "/api/users"):
        status, problem = await admin.ask("POST", path, key, params=params, json=body)
        assert (status, problem["code"]) == (403, "role_too_high")
    _, team = await admin.ask("GET", "/api/users", key, params=params)
    highest = next(each["id"] for each in team["items"] if each["role"] == "owner")
    path = f"/api/users/{highest}?store_id={platform.first.store_id}"
    for method, change in (("PATCH", {"role": "viewer"}), ("DELETE", None)):
        status, problem = await admin.ask(method, path, key, json=change)
        assert (status, problem["code"]) == (403, "role_too_high")


@pytest.mark.parametrize("address", ["a,b@example.com", "a@b@example.com", "<a@example.com>", "a@exam\tple.com", "@"])
async def test_nobody_is_invited_by_what_is_no_single_address(platform, address):
    assert (await invited(platform, address))[0] == 400


async def test_whatever_an_address_holds_a_letter_to_it_stops_no_other(platform):
    await invited(platform, "käse🧀@exämple.com")
    who = await somebody(platform)
    await forgotten(platform, who.email)
    assert await link(platform, who.email, "reset")


async def test_no_token_of_a_letter_and_no_shared_secret_stands_in_the_database(platform):
    who = await somebody(platform)
    secret, codes, _ = await enrolled(who)
    await forgotten(platform, who.email)
    told = (await link(platform, who.email, "reset"), secret.reveal(), codes[0], codes[0].replace("-", ""))
    connection = await asyncpg.connect(platform.deps.postgres_url)
    try:
        for (table,) in await connection.fetch("select tablename from pg_tables where schemaname = 'platform'"):
            everything = str(await connection.fetch(f'select t::text from platform."{table}" t'))
            assert not [each for each in told if each in everything], table
    finally:
        await connection.close()
