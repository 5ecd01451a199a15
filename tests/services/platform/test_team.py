"""Who is what in a store, and what that lets them do."""

import pytest
from tests.services.platform.letters import let_in

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def owner(platform) -> str:
    return (await platform.login())["access_token"]


async def invited(platform, email: str, role: str, store: str | None = None):
    params = {"store_id": store or platform.first.store_id}
    body = {"email": email, "role": role}
    return await platform.ask("POST", "/api/users", key=await owner(platform), params=params, json=body)


async def joined(platform, email: str, role: str) -> str:
    return await let_in(platform, await owner(platform), email, role)


async def signed_in(platform, email: str, password: str) -> str:
    proof = {"email": email, "password": password}
    status, _, tokens = await platform.ask("POST", "/api/auth/login", json=proof)
    assert status == 200
    return tokens["access_token"]


async def member(platform, email: str) -> str:
    params = {"store_id": platform.first.store_id}
    _, _, team = await platform.ask("GET", "/api/users", key=await owner(platform), params=params)
    return next(member["id"] for member in team["items"] if member["email"] == email)


@pytest.mark.parametrize(
    ("role", "config", "keys", "writing"),
    [("owner", 200, 200, 200), ("analyst", 200, 403, 403), ("viewer", 403, 403, 403)],
)
async def test_a_role_opens_what_the_table_says(platform, role, config, keys, writing):
    password = await joined(platform, f"{role}@example.com", role)
    token = await signed_in(platform, f"{role}@example.com", password)
    assert (await platform.ask("GET", "/api/stores", key=token))[0] == 200
    status, _, settings = await platform.ask("GET", "/api/config", key=token)
    assert status == config
    assert (await platform.ask("GET", "/api/api-keys", key=token))[0] == keys
    assert (await platform.ask("PUT", "/api/config", key=token, json=settings if status == 200 else {}))[0] == writing


async def test_who_invites_does_not_learn_whether_there_is_an_account(platform):
    await joined(platform, "two@example.com", "viewer")
    second, _ = await platform.another_store()
    known = await invited(platform, "Two@example.com", "analyst", second)
    unknown = await invited(platform, "nobody@example.com", "analyst", second)
    assert said(known, "two@example.com") == said(unknown, "nobody@example.com")
    params = {"store_id": second}
    for path, listed in (("/api/users", 1), ("/api/invitations", 2)):
        _, _, page = await platform.ask("GET", path, key=await owner(platform), params=params)
        assert len(page["items"]) == listed
    assert (await invited(platform, "two@example.com", "owner"))[0] == 409, "who is a member can be seen anyway"


def said(answer, address: str):
    """All that an answer says, less what differs between any two."""
    status, headers, body = answer
    assert body["email"] == address
    differing = {"id", "email", "made_at", "expires_at"}
    left = {name for name in headers if name != "Content-Length"}
    return status, set(body), {name: body[name] for name in set(body) - differing}, left


async def test_a_changed_role_counts_at_once(platform):
    password = await joined(platform, "three@example.com", "owner")
    token = await signed_in(platform, "three@example.com", password)
    path = f"/api/users/{await member(platform, 'three@example.com')}?store_id={platform.first.store_id}"
    assert (await platform.ask("PATCH", path, key=await owner(platform), json={"role": "viewer"}))[0] == 204
    assert (await platform.ask("GET", "/api/config", key=token))[0] == 401
    again = await signed_in(platform, "three@example.com", password)
    assert (await platform.ask("GET", "/api/config", key=again))[0] == 403


async def test_somebody_who_was_removed_reaches_nothing_any_more(platform):
    password = await joined(platform, "four@example.com", "analyst")
    path = f"/api/users/{await member(platform, 'four@example.com')}?store_id={platform.first.store_id}"
    assert (await platform.ask("DELETE", path, key=await owner(platform)))[0] == 204
    token = await signed_in(platform, "four@example.com", password)
    _, _, me = await platform.ask("GET", "/api/auth/me", key=token)
    assert me.get("stores", []) == [] or me["status"] == 403
    assert (await platform.ask("DELETE", path, key=await owner(platform)))[0] == 404


async def test_a_store_keeps_its_last_owner(platform):
    store, _ = await platform.another_store()
    _, _, me = await platform.ask("GET", "/api/auth/me", key=await owner(platform))
    path = f"/api/users/{me['subject']}?store_id={store}"
    for method, body in (("PATCH", {"role": "viewer"}), ("DELETE", None)):
        status, _, problem = await platform.ask(method, path, key=await owner(platform), json=body)
        assert (status, problem["code"]) == (409, "last_owner")
