"""API keys."""

import asyncio
import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import aiohttp
import asyncpg
import pytest

from recoup.kit.errors import Forbidden, Unauthenticated, Unavailable
from recoup.kit.postgres import Postgres
from recoup.messages.access import GRANTS, PUBLISHABLE_KEY, SECRET_KEY, Permission, Role
from recoup.services.platform.access import domain
from recoup.services.platform.access.actions import FRESH_SECONDS, KeyRing
from recoup.services.platform.access.store import Keys
from recoup.services.platform.audit.store import AuditLog

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


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


async def ask_for(platform, who: str, **asked):
    body, params = {"kind": "secret_key", "name": "n", **asked}, {"store_id": platform.first.store_id}
    return await platform.ask("POST", "/api/api-keys", key=who, json=body, params=params)


async def owner_of(platform) -> str:
    return (await platform.login())["access_token"]


async def test_a_key_may_do_what_its_scopes_say_and_nothing_else(platform):
    owner = await owner_of(platform)
    status, _, answer = await ask_for(platform, owner, scopes=["settings:read", "self:read"])
    assert (status, answer["api_key"]["scopes"]) == (201, ["self:read", "settings:read"])
    assert (await platform.ask("GET", "/api/config", key=answer["key"]))[0] == 200
    assert (await platform.ask("PUT", "/api/config", key=answer["key"], json={}))[0] == 403
    assert (await platform.ask("GET", "/api/api-keys", key=answer["key"]))[0] == 403


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"scopes": ["keys:write"]}, 400, "scope_invalid"),
        ({"scopes": ["internal"]}, 400, "scope_invalid"),
        ({"scopes": []}, 400, "scope_invalid"),
        ({"scopes": ["no:such"]}, 400, "invalid"),
        ({"kind": "publishable_key", "scopes": ["settings:read"]}, 400, "scope_invalid"),
        ({"allowed_origins": ["https://shop.example"]}, 400, "origin_invalid"),
        ({"kind": "publishable_key", "allowed_origins": ["https://shop.example/path"]}, 400, "origin_invalid"),
        ({"kind": "publishable_key", "allowed_origins": ["*"]}, 400, "origin_invalid"),
        ({"kind": "publishable_key", "allowed_origins": ["null"]}, 400, "origin_invalid"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 400, "expiry_invalid"),
        ({"expires_at": "2090-01-01T00:00:00"}, 400, "invalid"),
        ({"requests_per_minute": 0}, 400, "invalid"),
    ],
)
async def test_a_key_that_makes_no_sense_is_not_made(platform, asked, status, code):
    answered, _, problem = await ask_for(platform, await owner_of(platform), **asked)
    assert (answered, problem["code"]) == (status, code), problem


async def test_nobody_hands_out_what_he_may_not_do_himself():
    developer = GRANTS[Role.DEVELOPER]
    by_default = domain.scopes("secret_key", None, developer)
    assert set(by_default) == developer & SECRET_KEY
    assert Permission.SETTINGS_WRITE not in by_default
    with pytest.raises(Forbidden, match="settings:write"):
        domain.scopes("secret_key", [Permission.SETTINGS_WRITE], developer)
    stronger = domain.ApiKey(
        id=uuid4(), store_id="s", kind="secret_key", name="n", prefix="", created_at=NOON, scopes=("settings:write",)
    )
    with pytest.raises(Forbidden, match="settings:write"):
        domain.rotatable(stronger, developer, NOON)
    assert domain.scopes("publishable_key", None, developer) == tuple(sorted(PUBLISHABLE_KEY))


async def test_a_maker_is_offered_what_he_may_hand_out(platform):
    owner, params = await owner_of(platform), {"store_id": platform.first.store_id}
    _, _, page = await platform.ask("GET", "/api/api-keys/scopes", key=owner, params=params)
    offered = {each["scope"]: each["kinds"] for each in page["items"]}
    assert {scope for scope, kinds in offered.items() if "secret_key" in kinds} == SECRET_KEY
    assert {scope for scope, kinds in offered.items() if "publishable_key" in kinds} == PUBLISHABLE_KEY
    assert all(each["meaning"] for each in page["items"])
    less = {each.scope for each in domain.offered(GRANTS[Role.DEVELOPER])}
    assert less == (GRANTS[Role.DEVELOPER] & SECRET_KEY) | PUBLISHABLE_KEY


@pytest.mark.parametrize(
    ("allowed", "origin", "good"),
    [
        ("https://shop.example", "https://shop.example", True),
        ("https://shop.example", "HTTPS://Shop.Example", True),
        ("https://shop.example:443", "https://shop.example", True),
        ("http://localhost:8080", "http://localhost:8080", True),
        ("https://*.shop.example", "https://www.shop.example", True),
        ("https://*.shop.example", "https://a.b.shop.example", True),
        ("https://*.shop.example", "https://shop.example", False),
        ("https://*.shop.example", "https://evilshop.example", False),
        ("https://*.shop.example", "http://www.shop.example", False),
        ("https://*.shop.example", "https://www.shop.example.evil.example", False),
        ("https://shop.example", "https://shop.example.evil.example", False),
        ("https://shop.example", "https://shop.example:8443", False),
        ("https://shop.example", "null", False),
        ("https://shop.example", None, False),
    ],
)
async def test_pages_are_told_apart_by_their_origin(allowed, origin, good):
    assert domain.from_one_of(domain.origins("publishable_key", [allowed]), origin) is good


async def test_a_key_for_one_shops_pages_is_refused_on_others_over_http_and_websocket(platform):
    origins = ["https://shop.example"]
    _, _, answer = await ask_for(platform, await owner_of(platform), kind="publishable_key", allowed_origins=origins)
    key = answer["key"]
    for origin, expected in (("https://shop.example", 200), ("https://evil.example", 403), (None, 403)):
        headers = {"Origin": origin} if origin else {}
        status, _, problem = await platform.ask("POST", "/api/events", key=key, json={}, headers=headers)
        assert status == expected
        assert expected == 200 or problem["code"] == "origin_refused"
        socket = f"{platform.url}/api/ws/user/x?key={key}"
        if expected == 200:
            async with platform.http.ws_connect(socket, headers=headers) as ws:
                await ws.close()
            continue
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await platform.http.ws_connect(socket, headers=headers)
        assert refused.value.status == 403


async def test_what_is_open_by_a_key_is_closed_when_it_is_revoked(platform):
    owner, answer = await made(platform, "publishable_key")
    params = {"store_id": platform.first.store_id}
    async with platform.http.ws_connect(f"{platform.url}/api/ws/user/x?key={answer['key']}") as ws:
        await ws.send_str("still here")
        assert await ws.receive_str(timeout=60) == "still here"
        await made(platform)  # somebody else's key changes
        await ws.send_str("still here")
        assert await ws.receive_str(timeout=60) == "still here"
        await platform.ask("DELETE", f"/api/api-keys/{answer['api_key']['id']}", key=owner, params=params)
        closed = await ws.receive(timeout=60)
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1008)


async def test_a_key_inside_a_body_is_held_to_its_pages_too(platform):
    origins = ["https://shop.example"]
    _, _, answer = await ask_for(platform, await owner_of(platform), kind="publishable_key", allowed_origins=origins)
    ours = {"X-Recoup-Identity": platform.deps.peers.identity.token()}
    for origin, expected in (("https://shop.example", 200), ("https://evil.example", 403), (None, 403)):
        shown = {"key": answer["key"], "origin": origin}
        assert (await platform.ask("POST", "/internal/keys", json=shown, headers=ours))[0] == expected


async def test_a_key_ends_when_it_was_said_to():
    key = domain.ApiKey(
        id=uuid4(), store_id="s", kind="secret_key", name="n", prefix="", created_at=NOON, scopes=(), expires_at=NOON
    )
    assert domain.admit(key, NOON - timedelta(seconds=1), None) is key
    with pytest.raises(Unauthenticated) as refused:
        domain.admit(key, NOON, None)
    assert refused.value.reason == "key_expired"


async def test_what_is_wrong_with_a_key_is_said(platform):
    owner, answer = await made(platform)
    key = answer["key"]
    path = f"/api/api-keys/{answer['api_key']['id']}?store_id={platform.first.store_id}"
    await platform.ask("DELETE", path, key=owner)
    never_made = domain.spelled("secret_key", b"\x01" * 32)
    for shown, code in ((key, "key_revoked"), (key[:-1], "key_mistyped"), (never_made, "key_invalid")):
        status, _, problem = await platform.ask("GET", "/api/config", key=shown)
        assert (status, problem["code"]) == (401, code)


async def test_while_a_key_is_rotated_both_are_in_force_until_the_time_that_was_said(platform):
    owner = await owner_of(platform)
    _, _, old = await ask_for(platform, owner, scopes=["settings:read"], requests_per_minute=500)
    path, params = f"/api/api-keys/{old['api_key']['id']}/rotate", {"store_id": platform.first.store_id}
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    status, _, new = await platform.ask("POST", path, key=owner, json={"old_valid_until": until}, params=params)
    assert status == 201, new
    for name in ("kind", "name", "scopes", "allowed_origins", "requests_per_minute"):
        assert new["api_key"].get(name) == old["api_key"].get(name)
    for each in (old, new):
        assert (await platform.ask("GET", "/api/config", key=each["key"]))[0] == 200
    _, _, page = await platform.ask("GET", "/api/api-keys", key=platform.first.secret_key)
    shown = {key["id"]: key for key in page["items"]}[old["api_key"]["id"]]
    assert shown["replaced_by"] == new["api_key"]["id"]
    assert datetime.fromisoformat(shown["expires_at"]) == datetime.fromisoformat(until)
    status, _, problem = await platform.ask("POST", path, key=owner, json={}, params=params)
    assert (status, problem["code"]) == (409, "key_rotated")


async def test_a_key_rotated_without_an_overlap_ends_at_once(platform):
    owner, old = await made(platform)
    path, params = f"/api/api-keys/{old['api_key']['id']}/rotate", {"store_id": platform.first.store_id}
    _, _, new = await platform.ask("POST", path, key=owner, json={}, params=params)
    assert (await platform.ask("GET", "/api/config", key=new["key"]))[0] == 200
    status, _, problem = await platform.ask("GET", "/api/config", key=old["key"])
    assert (status, problem["code"]) == (401, "key_expired")
    status, _, _ = await platform.ask("POST", path, key=owner, json={}, params={"store_id": "another"})
    assert status == 403


async def test_another_process_learns_that_a_key_was_revoked_and_that_one_was_made(platform):
    db = Postgres(platform.deps.postgres_url, "platform")
    elsewhere = KeyRing(Keys(db, AuditLog(db)), platform.deps.clock, platform.deps.stores)
    try:
        await elsewhere.learn()
        owner, answer = await made(platform)
        assert (await elsewhere.principal(answer["key"], None))[0].kind == "secret_key"
        path = f"/api/api-keys/{answer['api_key']['id']}?store_id={platform.first.store_id}"
        await platform.ask("DELETE", path, key=owner)
        await elsewhere.learn()
        with pytest.raises(Unauthenticated, match="revoked"):
            await elsewhere.principal(answer["key"], None)
    finally:
        await db.close()


async def test_a_database_that_does_not_answer_holds_up_nobody_whose_key_is_known(platform):
    db = Postgres(platform.deps.postgres_url, "platform")
    ring = KeyRing(Keys(db, AuditLog(db)), platform.deps.clock, platform.deps.stores)
    _, answer = await made(platform)
    frozen = await asyncpg.connect(platform.deps.postgres_url)
    try:
        await ring.principal(answer["key"], None)
        (known,) = ring._known.values()
        known.looked_up_at -= FRESH_SECONDS
        async with frozen.transaction():
            await frozen.execute("lock table platform.api_keys in access exclusive mode")
            for _ in range(50):
                assert (await ring.principal(answer["key"], None))[0].kind == "secret_key"
            ring.look_up_seconds = 0.0
            with pytest.raises(Unavailable):
                await ring.principal(platform.first.secret_key, None)
            asking = [*ring._asking.values()]
        assert [found.key is not None for found in await asyncio.gather(*asking)] == [True, True]
    finally:
        await frozen.close()
        await db.close()
