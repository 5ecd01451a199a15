"""Feature flags over HTTP: what is kept, what is refused, who hears of it."""

import asyncio
import json
from datetime import timedelta
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from openfeature import api as openfeature
from openfeature.evaluation_context import EvaluationContext

from recoup.app import tell_uses
from recoup.kit.flags.model import Context, Flag
from recoup.kit.flags.provider import FlagProvider
from recoup.kit.flags.snapshot import Snapshot
from recoup.messages.stores import StoreConfigured, StoreDirectory, UsesNoted

pytestmark = pytest.mark.asyncio(loop_scope="module")
ON = {"enabled": True}


async def ask(platform, method, path="", **options):
    return await platform.ask(method, f"/api/feature-flags{path}", key=platform.first.secret_key, **options)


async def made(platform, definition=None, **options):
    key = f"f-{uuid4().hex}"
    status, headers, flag = await ask(platform, "PUT", f"/{key}", json=definition or ON, **options)
    assert status == 200, flag
    return key, headers["ETag"], flag


async def test_a_flag_is_made_read_listed_and_taken_away(platform):
    key, etag, flag = await made(platform, {"enabled": True, "description": "new banner"})
    assert (etag, flag["version"], flag["definition"]["variants"]) == ('"1"', 1, {"on": True, "off": False})
    _, _, page = await ask(platform, "GET")
    assert key in [each["key"] for each in page["items"]]
    assert (await ask(platform, "GET", f"/{key}"))[2] == flag
    assert (await ask(platform, "DELETE", f"/{key}"))[0] == 204
    assert (await ask(platform, "GET", f"/{key}"))[0] == 404
    assert (await ask(platform, "DELETE", f"/{key}"))[0] == 404


async def test_a_flag_changes_only_on_top_of_the_version_that_was_read(platform):
    key, etag, _ = await made(platform, headers={"If-Match": '"0"'})
    status, _, problem = await ask(platform, "PUT", f"/{key}", json=ON, headers={"If-Match": '"0"'})
    assert (status, problem["code"]) == (412, "stale")
    status, headers, _ = await ask(platform, "PUT", f"/{key}", json={"enabled": False}, headers={"If-Match": etag})
    assert (status, headers["ETag"]) == (200, '"2"')
    assert (await ask(platform, "DELETE", f"/{key}", headers={"If-Match": etag}))[0] == 412


async def test_the_history_says_who_changed_what_and_outlives_the_flag(platform):
    key, _, _ = await made(platform)
    await ask(platform, "PUT", f"/{key}", json={"enabled": False, "description": "no more"})
    await ask(platform, "DELETE", f"/{key}")
    await ask(platform, "PUT", f"/{key}", json=ON)
    _, _, page = await ask(platform, "GET", f"/{key}/history")
    assert [each["version"] for each in page["items"]] == [4, 3, 2, 1]
    assert [each["definition"] is None for each in page["items"]] == [False, True, False, False]
    assert page["items"][2]["changed"] == ["description", "enabled"]
    assert page["items"][0]["by"].startswith("key:")
    _, _, short = await ask(platform, "GET", f"/{key}/history?limit=3")
    _, _, rest = await ask(platform, "GET", f"/{key}/history?limit=3&cursor={short['next_cursor']}")
    assert [*short["items"], *rest["items"]] == page["items"]
    assert (await ask(platform, "GET", "/nothing/history"))[0] == 404


async def test_an_older_version_is_restored_on_top_of_the_one_that_was_read(platform):
    first = {**ON, "description": "as it was"}
    key, _, _ = await made(platform, first)
    _, headers, _ = await ask(platform, "PUT", f"/{key}", json={"enabled": False})
    status, _, problem = await ask(
        platform, "POST", f"/{key}/restore", json={"version": 1}, headers={"If-Match": '"1"'}
    )
    assert (status, problem["code"]) == (412, "stale")
    match = {"If-Match": headers["ETag"]}
    status, headers, flag = await ask(platform, "POST", f"/{key}/restore", json={"version": 1}, headers=match)
    assert (status, headers["ETag"], flag["definition"]["description"]) == (200, '"3"', "as it was")
    _, _, page = await ask(platform, "GET", f"/{key}/history")
    assert page["items"][0]["changed"] == ["description", "enabled"]


async def test_a_deleted_flag_is_brought_back_but_not_to_its_deletion(platform):
    key, _, _ = await made(platform)
    await ask(platform, "DELETE", f"/{key}")
    status, _, problem = await ask(platform, "POST", f"/{key}/restore", json={"version": 2})
    assert (status, problem["code"]) == (409, "cannot_be_restored")
    for nothing in (3, 99):
        assert (await ask(platform, "POST", f"/{key}/restore", json={"version": nothing}))[0] == 404
    match = {"If-Match": '"0"'}
    assert (await ask(platform, "POST", f"/{key}/restore", json={"version": 1}, headers=match))[0] == 200
    assert (await ask(platform, "GET", f"/{key}"))[2]["version"] == 3


async def test_a_version_that_no_longer_goes_with_the_other_flags_is_not_restored(platform):
    needed, _, _ = await made(platform)
    key, _, _ = await made(platform, {**ON, "prerequisites": [{"flag": needed, "variants": ["on"]}]})
    await ask(platform, "PUT", f"/{key}", json=ON)
    await ask(platform, "DELETE", f"/{needed}")
    status, _, problem = await ask(platform, "POST", f"/{key}/restore", json={"version": 1})
    assert (status, problem["problems"][0]["code"]) == (400, "unknown_flag")


async def test_flags_come_in_pages(platform):
    for _ in range(2):
        await made(platform)
    _, _, every = await ask(platform, "GET")
    _, _, first = await ask(platform, "GET", "?limit=1")
    _, _, second = await ask(platform, "GET", f"?limit=1&cursor={first['next_cursor']}")
    assert [each["key"] for each in every["items"][:2]] == [first["items"][0]["key"], second["items"][0]["key"]]


def rule(**condition):
    return {"rules": [{"when": [condition], "serve": [{"variant": "on"}]}]}


REFUSED = {
    "shares that do not add up": ({"serve": [{"variant": "on", "percent": 10}]}, "serve", "shares_do_not_add_up"),
    "a variant there is not": ({"serve": [{"variant": "x"}]}, "serve[0].variant", "unknown_variant"),
    "an off variant there is not": ({"off_variant": "x"}, "off_variant", "unknown_variant"),
    "variants of several kinds": ({"variants": {"on": True, "off": "no"}}, "variants", "mixed_variants"),
    "a variant twice": ({"serve": [{"variant": "on", "percent": 50}] * 2}, "serve", "repeated"),
    "a rule of words for numbers": (rule(attribute="a", operator="gt", values=["x"]), "rules[0]", "wrong_type"),
    "a rule of times without zone": (
        rule(attribute="a", operator="before", values=["2026-01-01"]), "rules[0].when[0].values[0]", "wrong_type",
    ),
    "a rule that compares with nothing": (rule(attribute="a"), "rules[0].when[0].values", "values_missing"),
    "an end before the start": (
        {"starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}, "ends_at", "schedule_out_of_order",
    ),
    "a flag there is not": (
        {"prerequisites": [{"flag": "nothing", "variants": ["on"]}]}, "prerequisites[0].flag", "unknown_flag",
    ),
    "something we do not know": ({"nonsense": 1}, "nonsense", "invalid"),
    "a schedule without a zone": ({"starts_at": "2026-01-02T00:00:00"}, "starts_at", "invalid"),
}  # fmt: skip


@pytest.mark.parametrize(("definition", "place", "code"), REFUSED.values(), ids=REFUSED)
async def test_what_a_flag_cannot_mean_is_refused_with_its_place(platform, definition, place, code):
    status, _, problem = await ask(platform, "PUT", f"/f-{uuid4().hex}", json=definition)
    assert status == 400
    assert place in json.dumps(problem)
    assert code in json.dumps(problem)


@pytest.mark.parametrize("key", ["UPPER", "with%20space", "-first", "a" * 101])
async def test_keys_are_plain(platform, key):
    assert (await ask(platform, "PUT", f"/{key}", json=ON))[0] == 400


async def test_a_flag_that_recoup_asks_for_is_true_or_false(platform):
    _, _, known = await ask(platform, "GET", "/known")
    assert "contact.email" in [each["key"] for each in known["items"]]
    words = {"variants": {"on": "yes", "off": "no"}}
    status, _, problem = await ask(platform, "PUT", "/contact.email", json=words)
    assert (status, problem["problems"][0]["code"]) == (400, "not_boolean")


async def test_flags_never_wait_for_each_other_in_a_circle(platform):
    first, _, _ = await made(platform)
    second, _, _ = await made(platform, {**ON, "prerequisites": [{"flag": first, "variants": ["on"]}]})
    circle = {**ON, "prerequisites": [{"flag": second, "variants": ["on"]}]}
    status, _, problem = await ask(platform, "PUT", f"/{first}", json=circle)
    assert (status, problem["problems"][0]["code"]) == (400, "cycle")
    status, _, problem = await ask(platform, "DELETE", f"/{first}")
    assert (status, problem["code"]) == (409, "flag_in_use")
    other = {"variants": {"yes": True, "no": False}, "off_variant": "no", "serve": [{"variant": "yes"}]}
    status, _, problem = await ask(platform, "PUT", f"/{first}", json=other)
    assert (status, problem["problems"][0]["code"]) == (400, "variant_in_use")


async def test_flags_do_not_wait_for_too_many(platform):
    last, _, _ = await made(platform)
    for _ in range(8):
        last, _, _ = await made(platform, {**ON, "prerequisites": [{"flag": last, "variants": ["on"]}]})
    one_more = {**ON, "prerequisites": [{"flag": last, "variants": ["on"]}]}
    status, _, problem = await ask(platform, "PUT", f"/f-{uuid4().hex}", json=one_more)
    assert (status, problem["problems"][0]["code"]) == (400, "too_deep")


async def test_a_flag_can_be_tried_out(platform):
    key, _, _ = await made(platform, {**ON, **rule(attribute="country", values=["SE"]), "serve": [{"variant": "off"}]})
    swede = {"targeting_key": "u", "attributes": {"country": "SE"}}
    status, _, answer = await ask(platform, "POST", f"/{key}/evaluate", json=swede)
    assert (status, answer["value"], answer["why"], answer["rule"]) == (200, True, "rule", 0)
    _, _, answer = await ask(platform, "POST", f"/{key}/evaluate", json={})
    assert (answer["value"], answer["why"]) == (False, "otherwise")
    assert (await ask(platform, "POST", "/nothing/evaluate", json={}))[0] == 404
    half = {**ON, "serve": [{"variant": "on", "percent": 50}, {"variant": "off", "percent": 50}]}
    key, _, _ = await made(platform, half)
    status, _, problem = await ask(platform, "POST", f"/{key}/evaluate", json={})
    assert (status, problem["code"]) == (400, "targeting_key_missing")
    assert (await ask(platform, "GET", f"/{key}"))[2]["evaluations"] == 0


async def test_a_flag_nobody_asks_for_or_changes_is_stale(platform):
    key, _, _ = await made(platform)
    kept, _, _ = await made(platform, {**ON, "permanent": True})
    used, _, _ = await made(platform)
    connection = await asyncpg.connect(platform.deps.postgres_url)
    try:
        await connection.execute(
            "update platform.feature_flags set created_at = created_at - $1::interval, changed_at = changed_at"
            " - $1::interval where key = any($2)",
            timedelta(days=31), [key, kept, used],
        )  # fmt: skip
    finally:
        await connection.close()
    told = {"stores": {platform.first.store_id: {used: 3, "nothing": 1}, "no-such-store": {used: 1}}}
    await platform.deps.peers.post("platform", "/internal/flag-uses", told, UsesNoted)
    _, _, page = await ask(platform, "GET", "?stale=true")
    stale = {each["key"]: each["stale"] for each in page["items"]}
    assert stale[key] == ["not_evaluated", "not_changed"]
    assert stale[kept] == ["not_evaluated"]
    assert stale[used] == ["not_changed"]
    assert (await ask(platform, "GET", f"/{used}"))[2]["evaluations"] == 3


async def test_every_process_hears_of_a_change_with_all_flags(platform):
    directory = StoreDirectory(platform.deps.peers)
    store_id = platform.first.store_id
    key, _, _ = await made(platform)
    snapshot = await directory.flags(store_id)
    assert snapshot is not None
    assert snapshot.is_on(key, Context(), platform.deps.clock.now, default=False)
    await ask(platform, "PUT", f"/{key}", json={"enabled": False})
    log = platform.deps.log
    await log.register("hearing-flags", ["config-changes"])
    reader = log.reader("hearing-flags", "0", ["config-changes"])
    records = await reader.read(wait_seconds=1, limit=1000)
    await reader.close()
    told = [msgspec.json.decode(record.value, type=StoreConfigured) for record in records]
    mine = [change for change in told if change.store_id == store_id]
    await directory.on_configured(mine[-1:])
    snapshot = await directory.flags(store_id)
    assert snapshot is not None
    assert not snapshot.is_on(key, Context(), platform.deps.clock.now, default=True)
    await directory.on_configured(mine[:1])
    later = await directory.flags(store_id)
    assert later is snapshot, "an older word that comes later changes nothing"


async def test_flags_of_another_store_are_not_seen(platform):
    key, _, _ = await made(platform)
    store_id, other = await platform.another_store()
    path = f"/api/feature-flags/{key}?store_id={store_id}"
    assert (await platform.ask("GET", path, key=other))[0] == 404


async def test_processes_say_which_flags_they_asked_for(platform):
    key, _, _ = await made(platform)
    stores = platform.deps.stores
    platform.deps.stores._known.clear()
    snapshot = await stores.flags(platform.first.store_id)
    snapshot.evaluate(key, Context(), platform.deps.clock.now)
    telling = asyncio.create_task(tell_uses(platform.deps, timedelta(milliseconds=10)))
    try:
        async with asyncio.timeout(60):
            while (await ask(platform, "GET", f"/{key}"))[2]["evaluations"] == 0:
                await asyncio.sleep(0.02)
    finally:
        telling.cancel()


async def test_a_program_outside_serves_the_listed_flags_by_openfeature(platform):
    words = {"variants": {"warm": "Welcome back", "plain": "Hello"}, "off_variant": "plain"}
    key, _, _ = await made(platform, {**ON, **words, "serve": [{"variant": "warm"}]})
    _, _, page = await ask(platform, "GET", "?limit=1000")
    snapshot = Snapshot({each["key"]: msgspec.convert(each["definition"], Flag) for each in page["items"]})
    openfeature.set_provider(FlagProvider(lambda: snapshot, platform.deps.clock.now), domain="outside")
    client = openfeature.get_client(domain="outside")
    assert client.get_string_value(key, "", EvaluationContext("visitor-7")) == "Welcome back"
