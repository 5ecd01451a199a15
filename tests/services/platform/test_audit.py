"""The audit trail: who did what; in a chain that shows where somebody meddled, and that nobody may change."""

import asyncio
import json
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from recoup.kit.ids import new_id
from recoup.kit.migrate import migrate
from recoup.kit.postgres import Postgres
from recoup.services.platform.audit.domain import Entry, verified
from recoup.services.platform.audit.store import AuditLog
from recoup.services.platform.identity.domain import Visit
from recoup.services.platform.identity.store.sessions import Sessions

pytestmark = pytest.mark.asyncio(loop_scope="module")
INSERT = (
    "insert into platform.audit_logs (id, store_id, at, actor, action, subject, address, request_id, detail)"
    " values ($1, $2, now(), $3, 'a', 'b', 'c', 'd', $4)"
)


async def told(platform, path="/api/audit-logs", **options):
    status, _, page = await platform.ask("GET", path, key=platform.first.secret_key, **options)
    assert status == 200, page
    return page


async def made_key(platform, name="n", request_id="r"):
    owner = (await platform.login())["access_token"]
    params, headers = {"store_id": platform.first.store_id}, {"X-Request-Id": request_id}
    wanted = {"kind": "secret_key", "name": name}
    status, _, made = await platform.ask(
        "POST", "/api/api-keys", key=owner, params=params, json=wanted, headers=headers
    )
    assert status == 201, made
    return made


async def test_a_change_says_who_what_to_what_and_with_which_request(platform):
    made = await made_key(platform, request_id="request-17")
    (line,) = (await told(platform, params={"request_id": "request-17"}))["items"]
    assert (line["action"], line["subject"], line["address"]) == ("key_made", made["api_key"]["id"], "127.0.0.1")
    people = (await told(platform, "/api/users"))["items"]
    assert line["actor"] in {person["id"] for person in people}
    assert made["key"] not in json.dumps(line)


@pytest.mark.parametrize("by", ["actor", "action", "subject", "request_id"])
async def test_lines_are_found_by_what_they_say(platform, by):
    await made_key(platform, request_id=str(uuid4()))
    newest = (await told(platform))["items"][0]
    name = {"actor": "who"}.get(by, by)
    found = (await told(platform, params={name: newest[by], "limit": 1000}))["items"]
    assert newest["id"] in {line["id"] for line in found}
    assert {line[by] for line in found} == {newest[by]}
    assert (await told(platform, params={name: "nobody's"}))["items"] == []


async def test_lines_are_found_by_when(platform):
    await made_key(platform)
    newest, before, *_ = (await told(platform))["items"]
    assert (await told(platform, params={"since": newest["at"], "limit": 1}))["items"][0]["id"] == newest["id"]
    assert (await told(platform, params={"until": newest["at"], "limit": 1}))["items"][0]["id"] == before["id"]


async def test_an_export_is_everything_and_can_be_checked_elsewhere(platform):
    for _ in range(3):
        await made_key(platform, "näme, 🧀")
    key = {"X-Api-Key": platform.first.secret_key}
    async with platform.http.get(platform.url + "/api/audit-logs/export", headers=key) as answer:
        body = await answer.read()
    assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
    lines = [msgspec.json.decode(line, type=Entry) for line in body.splitlines()]
    verdict = verified(lines)
    assert verdict.intact, verdict
    assert verdict == msgspec.convert(await told(platform, "/api/audit-logs/verification"), type(verdict))
    assert verified([lines[0], *lines[2:]], gaps=True).intact
    assert verified([lines[0], *lines[2:]]).broken_at == 3
    other = msgspec.structs.replace(lines[1], actor="somebody else")
    assert verified([lines[0], other, *lines[2:]]).broken_at == 2


async def test_the_database_refuses_whoever_owns_it(platform):
    connection = await asyncpg.connect(platform.deps.postgres_url)
    try:
        for statement in (
            "delete from platform.audit_logs", "update platform.audit_logs set actor = 'x'",
            "truncate platform.audit_logs",
            "set session_replication_role = replica; delete from platform.audit_logs",
        ):  # fmt: skip
            with pytest.raises(asyncpg.RaiseError, match="append-only"):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_an_account_that_owns_the_tables_has_no_right_to_change_them(database):
    name = f"owner_{uuid4().hex}"
    superuser = await asyncpg.connect(database)
    try:
        await superuser.execute(f"create role {name} login")
        await superuser.execute(
            f"grant create on database {await superuser.fetchval('select current_database()')} to {name}"
        )
        theirs = database.replace("postgres@", f"{name}@")
        await migrate(theirs, ["platform"])
        owner = await asyncpg.connect(theirs)
        await owner.execute(INSERT, new_id(), "s", "somebody", "{}")
        for statement in (
            "delete from platform.audit_logs",
            "update platform.audit_logs set actor = 'x'",
            "truncate platform.audit_logs",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await owner.execute(statement)
        await owner.close()
    finally:
        await superuser.execute(f"drop owned by {name} cascade; drop role {name}")
        await superuser.close()


WHERE = "where store_id = $1 and seq ="
MEDDLING = {
    "a word was changed": ([f"update platform.audit_logs set action = 'z' {WHERE} 2"], 2),
    "a word was changed and its line hashed anew": (
        [
            f"update platform.audit_logs set action = 'z' {WHERE} 2",
            f"update platform.audit_logs line set digest = platform.audit_digest(line) {WHERE} 2",
        ],
        3,
    ),
    "a line was taken out": ([f"delete from platform.audit_logs {WHERE} 2"], 3),
    "a detail was changed": ([f"update platform.audit_logs set detail = '{{}}' {WHERE} 3"], 3),
}


@pytest.mark.parametrize(("statements", "where"), MEDDLING.values(), ids=MEDDLING)
async def test_the_chain_says_where_somebody_meddled_who_had_every_right(platform, statements, where):
    store_id, key = await platform.another_store()
    for _ in range(3):
        await platform.ask("PUT", "/api/config", key=key, json=(await platform.ask("GET", "/api/config", key=key))[2])

    async def verdict(query=""):
        return (await platform.ask("GET", f"/api/audit-logs/verification{query}", key=key))[2]

    assert (await verdict())["intact"]
    connection = await asyncpg.connect(platform.deps.postgres_url)
    try:
        await connection.execute("alter table platform.audit_logs disable trigger all")
        for statement in statements:
            await connection.execute(statement, store_id)
        await connection.execute(
            "alter table platform.audit_logs enable always trigger audit_logs_append_only;"
            "alter table platform.audit_logs enable always trigger audit_logs_chain"
        )
    finally:
        await connection.close()
    assert (await verdict())["broken_at"] == where


async def test_an_end_that_was_cut_off_is_noticed_by_who_noted_it_down(platform):
    head = await told(platform, "/api/audit-logs/verification")
    noted = {"seq": head["last_seq"], "hash": head["last_hash"]}
    await made_key(platform)
    assert (await told(platform, "/api/audit-logs/verification", params=noted))["intact"]
    for lost in ({**noted, "seq": 10**9}, {**noted, "hash": "00" * 32}):
        verdict = await told(platform, "/api/audit-logs/verification", params=lost)
        assert (verdict["intact"], verdict["broken_at"]) == (False, lost["seq"])


async def test_people_who_share_stores_sign_in_at_once_and_do_not_wait_for_each_other_in_a_circle(platform):
    first, (second, _) = platform.first.store_id, await platform.another_store()
    db = Postgres(platform.deps.postgres_url, "platform", size=6)
    sessions, now = Sessions(db, AuditLog(db), timedelta(days=1)), platform.deps.clock.now()
    people: list[UUID] = []
    for stores in ((first, second), (second, first)):
        people.append(new_id())
        await db.execute(
            "insert into users (id, email, password_hash, created_at) values ($1, $2, '', $3)",
            people[-1], f"{people[-1]}@example.com", now,
        )  # fmt: skip
        for store_id in stores:
            await db.execute(
                "insert into memberships (store_id, user_id, role, created_at) values ($1, $2, 'viewer', $3)",
                store_id, people[-1], now,
            )  # fmt: skip
    try:
        for _ in range(10):
            await asyncio.gather(*(sessions.begin(each, str(uuid4()), Visit("here"), now) for each in people * 3))
    finally:
        await db.close()
    assert (await told(platform, "/api/audit-logs/verification"))["intact"]
