"""API keys."""

import hmac
from hashlib import sha256

import pytest

from recoup.services.platform.access import domain

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("kind", ["secret_key", "publishable_key"])
async def test_a_key_has_its_prefix_a_fixed_length_and_a_checksum(kind):
    keys = {domain.spelled(kind, bytes([number]) * 32) for number in range(256)}
    assert len(keys) == 256
    assert {len(key) for key in keys} == {len(domain.PREFIXES[kind]) + 49}
    assert all(domain.plausible(key) for key in keys)


async def test_a_mistyped_key_is_told_from_a_real_one_without_asking():
    key = domain.spelled("secret_key", b"\x07" * 32)
    for place in range(len(key)):
        wrong = key[:place] + ("x" if key[place] != "x" else "y") + key[place + 1 :]
        assert not domain.plausible(wrong), wrong


async def made(platform, kind="secret_key"):
    owner = (await platform.login())["access_token"]
    body, params = {"kind": kind, "name": "n"}, {"store_id": platform.first.store_id}
    status, _, answer = await platform.ask("POST", "/api/api-keys", key=owner, json=body, params=params)
    assert status == 201, answer
    return owner, answer


async def test_a_new_key_works_at_once_and_is_never_shown_again(platform):
    _, answer = await made(platform)
    assert (await platform.ask("GET", "/api/config", key=answer["key"]))[0] == 200
    _, _, page = await platform.ask("GET", "/api/api-keys", key=platform.first.secret_key)
    assert answer["key"].startswith(page["items"][0]["prefix"])
    assert answer["key"] not in str(page)


async def test_a_revoked_key_opens_nothing(platform):
    owner, answer = await made(platform)
    assert (await platform.ask("GET", "/api/config", key=answer["key"]))[0] == 200
    path = f"/api/api-keys/{answer['api_key']['id']}?store_id={platform.first.store_id}"
    assert (await platform.ask("DELETE", path, key=owner))[0] == 204
    assert (await platform.ask("GET", "/api/config", key=answer["key"]))[0] == 401
    assert (await platform.ask("DELETE", path, key=owner))[0] == 404


async def test_the_last_use_is_written_down(platform):
    _, answer = await made(platform)
    await platform.ask("GET", "/api/config", key=answer["key"])
    for stop in platform.service.on_stop:
        if stop.__name__ == "flush":
            await stop()
    _, _, page = await platform.ask("GET", "/api/api-keys", key=platform.first.secret_key)
    last_used = {key["id"]: key.get("last_used_at") for key in page["items"]}
    assert last_used[answer["api_key"]["id"]]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/config", None),
        ("PUT", "/api/config", {}),
        ("GET", "/api/api-keys", None),
        ("POST", "/api/api-keys", {"kind": "secret_key", "name": "n"}),
        ("GET", "/api/stores", None),
        ("POST", "/api/stores", {"name": "n"}),
        ("GET", "/api/users", None),
        ("GET", "/api/audit-logs", None),
    ],
)
async def test_a_publishable_key_neither_reads_nor_changes_anything_here(platform, method, path, body):
    status, _, _ = await platform.ask(method, path, key=platform.first.publishable_key, json=body)
    assert status == 403


async def test_a_secret_key_makes_no_keys(platform):
    body = {"kind": "secret_key", "name": "n"}
    assert (await platform.ask("POST", "/api/api-keys", key=platform.first.secret_key, json=body))[0] == 403


async def test_a_foreign_stores_key_reaches_nothing_of_the_first(platform):
    first = platform.first.store_id
    _, foreign = await platform.another_store()
    reads = [("GET", f"/api/{name}") for name in ("config", "api-keys", "users", "audit-logs")]
    for method, path in [*reads, ("PUT", "/api/config")]:
        status, _, _ = await platform.ask(
            method, path, key=foreign, params={"store_id": first}, json={} if method == "PUT" else None
        )
        assert status == 403, path
    _, _, stores = await platform.ask("GET", "/api/stores", key=foreign)
    assert first not in str(stores)
    _, _, trail = await platform.ask("GET", "/api/audit-logs", key=foreign)
    assert first not in str(trail)


async def test_one_store_cannot_revoke_anothers_key(platform):
    _, answer = await made(platform)
    second, _ = await platform.another_store()
    owner = (await platform.login())["access_token"]
    path = f"/api/api-keys/{answer['api_key']['id']}"
    assert (await platform.ask("DELETE", path, key=owner, params={"store_id": second}))[0] == 404
    assert (await platform.ask("GET", "/api/config", key=answer["key"]))[0] == 200


def word(key: str, user_id: str) -> str:
    """As a shop's server would make it, in its own words."""
    return hmac.new(sha256(key.encode()).digest(), user_id.encode(), sha256).hexdigest()


async def test_a_shop_vouches_for_its_users_with_any_secret_key_in_force(platform):
    ours = {"X-Recoup-Identity": platform.deps.peers.identity.token()}

    async def proven(key: str, user_id: str = "ann", store_id: str = platform.first.store_id) -> bool:
        asked = {"store_id": store_id, "user_id": "ann", "user_hash": word(key, user_id)}
        status, _, answer = await platform.ask("POST", "/internal/proofs", json=asked, headers=ours)
        assert status == 200, answer
        return answer["proven"]

    owner, answer = await made(platform)
    assert await proven(platform.first.secret_key)
    assert await proven(answer["key"])
    assert not await proven(platform.first.publishable_key)
    assert not await proven(answer["key"], "bob")
    assert not await proven(answer["key"], store_id="another")
    path = f"/api/api-keys/{answer['api_key']['id']}?store_id={platform.first.store_id}"
    await platform.ask("DELETE", path, key=owner)
    assert not await proven(answer["key"])
    asked = {"store_id": platform.first.store_id, "user_id": "ann", "user_hash": "x"}
    assert (await platform.ask("POST", "/internal/proofs", json=asked, key=platform.first.secret_key))[0] == 401


async def test_the_demo_shop_vouches_for_its_own_users_only(platform):
    _, _, told = await platform.ask("GET", "/shop/user-hash.json?user_id=web-ann")
    assert told == {"user_hash": word(platform.first.secret_key, "web-ann")}
    assert (await platform.ask("GET", "/shop/user-hash.json?user_id=ann"))[0] == 404
