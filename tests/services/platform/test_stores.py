"""Stores and their settings."""

import json

import asyncpg
import msgspec
import pytest

from recoup.kit.log.port import Record
from recoup.messages.stores import StoreConfigured, StoreSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def config(platform, **options):
    status, headers, settings = await platform.ask("GET", "/api/config", key=platform.first.secret_key, **options)
    assert status == 200
    return headers["ETag"], settings


async def put(platform, settings, etag=None):
    headers = {"If-Match": etag} if etag else {}
    return await platform.ask("PUT", "/api/config", key=platform.first.secret_key, json=settings, headers=headers)


async def announced(platform) -> list[StoreConfigured]:
    reader = platform.deps.log.reader("test", "test-0", ["config-changes"])
    await platform.deps.log.register("test", ["config-changes"])
    records: list[Record] = list(await reader.read(wait_seconds=1, limit=100))
    await reader.close()
    return [msgspec.json.decode(record.value, type=StoreConfigured) for record in records]


async def has_events(platform, accepted: int) -> None:
    async def stats(scope, receive, send):
        assert scope["path"] == "/events/stats"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps({"accepted": accepted}).encode()})

    platform.peer.app = stats


async def test_a_new_store_has_the_documented_defaults(platform):
    store_id, key = await platform.another_store()
    _, _, settings = await platform.ask("GET", "/api/config", key=key, params={"store_id": store_id})
    assert msgspec.convert(settings, StoreSettings) == StoreSettings()


async def test_settings_change_only_on_top_of_the_version_that_was_read(platform):
    etag, settings = await config(platform)
    status, headers, changed = await put(platform, {**settings, "threshold": 0.5}, etag)
    assert (status, changed["threshold"]) == (200, 0.5)
    assert headers["ETag"] != etag
    status, _, problem = await put(platform, {**settings, "threshold": 0.6}, etag)
    assert (status, problem["code"]) == (412, "stale")
    assert (await config(platform))[1]["threshold"] == 0.5


async def test_a_change_is_announced_whole(platform):
    _, settings = await config(platform)
    await put(platform, {**settings, "holdout": 0.25})
    (change,) = await announced(platform)
    assert (change.store_id, change.settings.holdout) == (platform.first.store_id, 0.25)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"threshold": 2}, "threshold"),
        ({"nonsense": 1}, "nonsense"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"quiet_from": "25:00"}, "quiet_from"),
        ({"max_per_hour": 9, "max_per_day": 1}, "max_per_day"),
        ({"channels": ["email", "email"]}, "channels"),
    ],
)
async def test_settings_that_break_a_rule_are_refused_with_their_place(platform, change, place):
    etag, settings = await config(platform)
    status, _, problem = await put(platform, {**settings, **change})
    assert status == 400
    assert place in json.dumps(problem)
    assert (await config(platform))[0] == etag


async def test_the_history_says_who_changed_which_setting_and_an_older_version_comes_back(platform):
    etag, settings = await config(platform)
    await put(platform, {**settings, "threshold": 0.77, "channels": ["email"]})
    key = platform.first.secret_key
    _, _, page = await platform.ask("GET", "/api/config/history?limit=1", key=key)
    (newest,) = page["items"]
    assert newest["by"].startswith("key:")
    assert {each["setting"]: each["after"] for each in newest["changes"]} == {"threshold": 0.77, "channels": ["email"]}
    _, _, rest = await platform.ask("GET", f"/api/config/history?cursor={page['next_cursor']}", key=key)
    assert [each["version"] for each in rest["items"]] == list(range(newest["version"] - 1, 0, -1))
    before = newest["version"] - 1
    _, _, written = await platform.ask("GET", f"/api/config/history/{before}", key=key)
    assert written["settings"] == settings
    stale = {"If-Match": etag}
    restore = {"json": {"version": before}, "key": key}
    assert (await platform.ask("POST", "/api/config/restore", **restore, headers=stale))[0] == 412
    status, headers, restored = await platform.ask("POST", "/api/config/restore", **restore)
    assert (status, headers["ETag"], restored) == (200, f'"{newest["version"] + 1}"', settings)
    nowhere = {**restore, "json": {"version": 999_999}}
    assert (await platform.ask("POST", "/api/config/restore", **nowhere))[0] == 404


async def test_a_version_with_settings_that_are_gone_is_shown_and_not_restored(platform):
    store_id, key = await platform.another_store()
    connection = await asyncpg.connect(platform.deps.postgres_url)
    try:
        await connection.execute(
            "insert into platform.store_settings select store_id, 2, settings, created_at, created_by"
            " from platform.store_settings where store_id = $1",
            store_id,
        )
        await connection.execute(
            "update platform.store_settings set settings = settings - 'holdout' || '{\"of_old\": 1}'"
            " where store_id = $1 and version = 1",
            store_id,
        )
    finally:
        await connection.close()
    here = {"key": key, "params": {"store_id": store_id}}
    _, _, page = await platform.ask("GET", "/api/config/history", **here)
    assert page["items"][0]["changes"] == [{"setting": "of_old", "before": 1, "after": None}]
    status, _, problem = await platform.ask("POST", "/api/config/restore", **here, json={"version": 1})
    assert (status, problem["code"]) == (409, "cannot_be_restored")


async def test_every_setting_is_explained_with_default_and_unit(platform):
    _, _, told = await platform.ask("GET", "/api/config/definitions", key=platform.first.secret_key)
    assert [each["name"] for each in told["items"]] == [*StoreSettings.__struct_fields__]
    assert {each["name"]: each["default"] for each in told["items"]} == json.loads(msgspec.json.encode(StoreSettings()))
    assert [each["name"] for each in told["items"] if not each["description"]] == []
    numbers = [each for each in told["items"] if each["accepts"].get("type") in {"integer", "number"}]
    assert [each["name"] for each in numbers if not each["unit"]] == []


async def test_a_store_without_events_may_choose_its_clock_and_one_with_events_keeps_it(platform):
    await has_events(platform, 0)
    _, settings = await config(platform)
    assert (await put(platform, {**settings, "clock": "event"}))[0] == 200
    await has_events(platform, 1)
    status, _, problem = await put(platform, {**settings, "clock": "wall"})
    assert (status, problem["code"]) == (409, "clock_in_use")
    assert (await put(platform, {**settings, "clock": "event", "threshold": 0.1}))[0] == 200


async def test_the_clock_waits_for_the_pipelines_word(platform):
    _, settings = await config(platform)
    other = "wall" if settings["clock"] == "event" else "event"
    platform.deps.peers.addresses["pipeline"] = "http://127.0.0.1:9"
    assert (await put(platform, {**settings, "clock": other}))[0] == 503


async def test_a_store_is_renamed_by_its_owner_only(platform):
    store_id, _ = await platform.another_store()
    owner = (await platform.login())["access_token"]
    status, _, store = await platform.ask("PATCH", f"/api/stores/{store_id}", key=owner, json={"name": "New"})
    assert (status, store["name"]) == (200, "New")
    key = platform.first.secret_key
    assert (await platform.ask("PATCH", f"/api/stores/{store_id}", key=key, json={"name": "Mine"}))[0] == 403
    assert (await platform.ask("PATCH", "/api/stores/nowhere", key=owner, json={"name": "N"}))[0] == 403


async def test_what_was_done_is_in_the_audit_trail_for_good(platform):
    await put(platform, (await config(platform))[1])
    _, _, page = await platform.ask("GET", "/api/audit-logs", key=platform.first.secret_key)
    last = page["items"][0]
    assert (last["action"], last["address"]) == ("settings_changed", "127.0.0.1")
    assert last["actor"].startswith("key:")
    assert {entry["store_id"] for entry in page["items"]} == {platform.first.store_id}
    connection = await asyncpg.connect(platform.deps.postgres_url)
    try:
        for statement in ("delete from platform.audit_logs", "update platform.audit_logs set actor = 'x'"):
            with pytest.raises(asyncpg.RaiseError, match="append-only"):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_audit_trail_comes_in_pages(platform):
    first = (await platform.ask("GET", "/api/audit-logs?limit=1", key=platform.first.secret_key))[2]
    cursor = first["next_cursor"]
    second = (await platform.ask("GET", f"/api/audit-logs?limit=1&cursor={cursor}", key=platform.first.secret_key))[2]
    assert first["items"][0]["id"] > second["items"][0]["id"]
