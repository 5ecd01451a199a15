"""Schemas over our own REST and GraphQL, through a running gateway."""

import asyncio
import itertools
import json
from uuid import uuid4

import msgspec
import pytest

from recoup.kit.schemas.source import Source
from recoup.kit.schemas.validation import compiled
from recoup.messages.schemas import ActiveSchemas, Default, OnViolation, Rename, SubjectRules
from recoup.messages.stores import StoreConfigured, StoreDirectory

pytestmark = pytest.mark.asyncio(loop_scope="module")
OPEN = {"type": "object", "properties": {"total": {"type": "integer"}}}
CLOSED = {**OPEN, "additionalProperties": False}
WITH_NOTE = {**CLOSED, "properties": {"total": {"type": "integer"}, "note": {"type": "string"}}}


def fresh(word="order") -> str:
    return f"{word}_{uuid4().hex[:8]}"


async def ask(platform, method, path, *, key=None, **options):
    return await platform.ask(method, path, key=key or platform.first.secret_key, **options)


async def register(platform, name, schema, **more):
    text = schema if isinstance(schema, str) else json.dumps(schema)
    return await ask(platform, "POST", "/api/schemas", json={"name": name, "schema": text, **more})


async def query(platform, text, **variables):
    status, _, answer = await ask(platform, "POST", "/api/graphql", json={"query": text, "variables": variables})
    assert status == 200, answer
    return answer


async def test_a_version_says_where_it_comes_from(platform):
    name = fresh()
    status, _, made = await register(platform, name, CLOSED)
    assert (status, made["version"], made["state"], made["format"]) == (201, 1, "active", "JSON")
    assert made["created_by"].startswith("key:")
    _, _, again = await register(platform, name, json.dumps(CLOSED, indent=2))
    assert again == made
    _, _, found = await ask(platform, "GET", f"/api/schemas/{name}/versions/latest")
    assert found == made


async def test_a_refusal_names_every_rule_with_its_place(platform):
    name = fresh()
    await register(platform, name, OPEN)
    broken = {"type": "object", "properties": {"total": {"type": "string"}}, "required": ["note"]}
    status, _, problem = await register(platform, name, broken)
    assert (status, problem["code"]) == (409, "incompatible")
    assert [(one["code"], one["field"]) for one in problem["problems"]] == [
        ("type_changed", "#/properties/total/type"),
        ("required_attribute_added", "#/required"),
    ]
    assert "backward, version 1" in problem["problems"][0]["detail"]


async def test_a_check_changes_nothing(platform):
    name = fresh()
    await register(platform, name, CLOSED)
    path = f"/api/schemas/{name}/check"
    _, _, verdict = await ask(platform, "POST", path, json={"schema": json.dumps(WITH_NOTE)})
    assert verdict == {"compatible": True, "compatibility": "BACKWARD", "problems": []}
    _, _, verdict = await ask(platform, "POST", path, json={"schema": json.dumps({"type": "array"})})
    assert (verdict["compatible"], verdict["problems"][0]["code"]) == (False, "type_changed")
    _, _, subject = await ask(platform, "GET", f"/api/schemas/{name}")
    assert subject["subject"]["versions"] == [1]


@pytest.mark.parametrize(
    ("mode", "first", "last", "third"),
    [
        ("NONE", True, True, {"type": "array"}),
        ("BACKWARD", True, False, CLOSED),
        ("BACKWARD_TRANSITIVE", True, False, CLOSED),
        ("FORWARD", False, True, {**CLOSED, "properties": {}}),
        ("FORWARD_TRANSITIVE", False, True, {**CLOSED, "properties": {}}),
        ("FULL", False, False, CLOSED),
        ("FULL_TRANSITIVE", False, False, CLOSED),
    ],
)
async def test_each_mode_asks_for_its_directions(platform, mode, first, last, third):
    """`first`: may a property come to a closed schema; `last`: may something that was written be forgotten."""
    name = fresh()
    await register(platform, name, CLOSED)
    path = f"/api/schemas/{name}"
    await ask(platform, "PUT", f"{path}/settings", json={"compatibility": mode})
    _, _, widened = await ask(platform, "POST", f"{path}/check", json={"schema": json.dumps(WITH_NOTE)})
    assert widened["compatible"] is first
    narrowed = {"type": "array"} if mode == "NONE" else {**CLOSED, "properties": {}}
    _, _, verdict = await ask(platform, "POST", f"{path}/check", json={"schema": json.dumps(narrowed)})
    assert verdict["compatible"] is last
    _, _, same = await ask(platform, "POST", f"{path}/check", json={"schema": json.dumps(third)})
    assert same["compatible"]


@pytest.mark.parametrize(("mode", "good"), [("BACKWARD", True), ("BACKWARD_TRANSITIVE", False)])
async def test_a_transitive_mode_remembers_versions_before_the_last(platform, mode, good):
    name = fresh()
    versions = [{"name": "a", "type": "int"}], [], [{"name": "a", "type": "string", "default": ""}]
    texts = [json.dumps({"type": "record", "name": "R", "fields": fields}) for fields in versions]
    for text in texts[:2]:
        assert (await register(platform, name, text, format="AVRO"))[0] == 201
    await ask(platform, "PUT", f"/api/schemas/{name}/settings", json={"compatibility": mode})
    assert ((await register(platform, name, texts[2], format="AVRO"))[0] == 201) is good


async def test_what_the_store_sets_holds_where_the_subject_sets_nothing(platform):
    name = fresh()
    await register(platform, name, CLOSED)
    await ask(platform, "PUT", "/api/schema-settings", json={"compatibility": "FULL"})
    _, _, subject = await ask(platform, "GET", f"/api/schemas/{name}")
    assert subject["subject"]["compatibility"] == "FULL"
    await ask(platform, "PUT", "/api/schema-settings", json={"compatibility": "BACKWARD"})


async def test_subjects_come_in_pages_and_only_ones_own(platform):
    store_id, key = await platform.another_store()
    names = sorted(fresh("page") for _ in range(3))
    for name in names:
        body = {"name": name, "schema": "{}"}
        assert (await ask(platform, "POST", "/api/schemas", key=key, json=body))[0] == 201
    _, _, first = await ask(platform, "GET", "/api/schemas?limit=2&prefix=page", key=key)
    assert [item["name"] for item in first["items"]] == names[:2]
    _, _, rest = await ask(platform, "GET", f"/api/schemas?limit=2&cursor={first['next_cursor']}", key=key)
    assert [item["name"] for item in rest["items"]] == names[2:]
    assert (await ask(platform, "GET", f"/api/schemas/{names[0]}"))[0] == 404
    assert (await ask(platform, "GET", f"/api/schemas?store_id={store_id}"))[0] == 403


async def test_many_at_once_make_one_version(platform):
    name = fresh()
    made = await asyncio.gather(*(register(platform, name, CLOSED) for _ in range(6)))
    assert {(status, answer["version"], answer["id"]) for status, _, answer in made} == {(201, 1, made[0][2]["id"])}


async def test_a_name_may_hold_any_printable_sign(platform):
    name = f"shop/{uuid4().hex}%2F ü.proto"
    await register(platform, name, CLOSED)
    path = name.replace("%", "%25").replace("/", "%2F").replace(" ", "%20").replace("ü", "%C3%BC")
    status, _, subject = await ask(platform, "GET", f"/api/schemas/{path}")
    assert (status, subject["subject"]["name"]) == (200, name)


async def test_others_hear_of_a_change_by_its_revision(platform):
    log, directory = platform.deps.log, StoreDirectory(platform.deps.peers)
    before = await directory.schemas(platform.first.store_id)
    await log.register("hearing", ["config-changes"])
    reader = log.reader("hearing", "hearing-0", ["config-changes"])
    await reader.read(wait_seconds=1, limit=100)
    name = fresh()
    await register(platform, name, CLOSED)
    records = await reader.read(wait_seconds=5, limit=100)
    await reader.close()
    await directory.on_configured([msgspec.json.decode(records[-1].value, type=StoreConfigured)])
    assert await directory.schemas(platform.first.store_id) == before + 1


async def test_a_service_gets_all_schemas_in_use_ready_to_be_compiled_without_a_compiler(platform):
    store_id, key = await platform.another_store()
    money, order = fresh("money"), fresh("order")
    message = 'syntax = "proto3"; message Money { int64 minor = 1; }'
    outer = 'syntax = "proto3"; import "money.proto"; message Order { Money total = 1; }'
    record = '{"type": "record", "name": "R", "fields": [{"name": "total", "type": "long"}]}'
    for body in (
        {"name": money, "format": "PROTOBUF", "schema": message},
        {
            "name": order, "format": "PROTOBUF", "schema": outer,
            "references": [{"name": "money.proto", "subject": money, "version": 1}],
        },
        {"name": fresh(), "format": "AVRO", "schema": record},
        {"name": fresh(), "schema": json.dumps(CLOSED)},
    ):  # fmt: skip
        status, _, answer = await ask(platform, "POST", "/api/schemas", key=key, json=body)
        assert status == 201, answer
    found = await platform.deps.peers.get("platform", f"/internal/schemas/{store_id}", ActiveSchemas)
    assert (found.revision, len(found.items)) == (4, 4)
    for item in found.items:
        source = Source(format=item.format, text=item.schema, references=item.references)
        assert "proto3" not in item.schema
        value = {"total": {"minor": 1}} if item.name == order else {"minor": 1} if item.name == money else {"total": 1}
        assert compiled(source).violations(value) == []
    assert (await ask(platform, "GET", f"/api/internal/schemas/{store_id}", key=key))[0] == 404


async def test_services_are_told_what_becomes_of_events_that_break_a_schema(platform):
    store_id, key = await platform.another_store()
    name, other = fresh(), fresh()
    for subject in (name, other):
        path = f"/api/schemas/{subject}"
        status, _, made = await ask(platform, "PUT", path, key=key, json={"schema": json.dumps(CLOSED)})
        assert (status, made["name"], made["version"]) == (200, subject, 1)
    for path, word in (("/api/schema-settings", "warn"), (f"/api/schemas/{name}/settings", "migrate")):
        assert (await ask(platform, "PUT", path, key=key, json={"on_violation": word}))[0] == 200
    await ask(platform, "PUT", f"/api/schemas/{name}/settings", key=key, json={"compatibility": "NONE"})
    steps = [{"op": "rename", "path": "sum", "to": "total"}, {"op": "default", "path": "total", "value": 0}]
    status, _, set_ = await ask(platform, "PUT", f"/api/schemas/{name}/migrations/1", key=key, json={"steps": steps})
    assert (status, set_["from_version"], set_["steps"]) == (200, 1, steps)

    found = await platform.deps.peers.get("platform", f"/internal/schemas/{store_id}", ActiveSchemas)

    assert found.rules[other] == SubjectRules(on_violation=OnViolation.WARN)
    assert found.rules[name].on_violation is OnViolation.MIGRATE
    assert found.rules[name].migrations == {1: (Rename("sum", "total"), Default("total", 0))}
    _, _, subject = await ask(platform, "GET", f"/api/schemas/{name}", key=key)
    assert (subject["subject"]["on_violation"], subject["subject"]["compatibility"]) == ("migrate", "NONE")


async def test_a_migration_is_set_for_a_version_that_is_there_and_can_be_taken_back(platform):
    name = fresh()
    await register(platform, name, CLOSED)
    path = f"/api/schemas/{name}/migrations"
    steps = {"steps": [{"op": "drop", "path": "lines[].sku"}]}
    assert (await ask(platform, "PUT", f"{path}/2", json=steps))[0] == 404
    for bad in ([], [{"op": "run", "path": "a"}], [{"op": "drop", "path": "a..b"}], [{"op": "drop", "path": "a[]"}]):
        assert (await ask(platform, "PUT", f"{path}/1", json={"steps": bad}))[0] == 400
    assert (await ask(platform, "PUT", f"{path}/1", json=steps))[0] == 200

    _, _, listed = await ask(platform, "GET", path)
    assert [one["from_version"] for one in listed["items"]] == [1]
    assert (await ask(platform, "DELETE", f"{path}/1"))[0] == 204
    assert (await ask(platform, "GET", path))[2] == {"items": []}
    for nothing in (1, 2, 2**60):
        assert (await ask(platform, "DELETE", f"{path}/{nothing}"))[0] == 404
        assert (await ask(platform, "DELETE", f"/api/schemas/{fresh()}/migrations/{nothing}"))[0] == 404


BAD = {
    "no JSON": ("JSON", "{", "schema_invalid"),
    "no schema": ("JSON", "[1]", "schema_invalid"),
    "an unknown type": ("JSON", '{"type": "money"}', "schema_invalid"),
    "an unknown draft": ("JSON", '{"$schema": "http://json-schema.org/draft-03/schema#"}', "draft_unknown"),
    "a reference to nowhere": ("JSON", '{"$ref": "#/definitions/x"}', "schema_invalid"),
    "a reference to the machine": ("JSON", '{"$ref": "file:///etc/passwd"}', "schema_invalid"),
    "a reference to the net": ("JSON", '{"$ref": "http://169.254.169.254/"}', "schema_invalid"),
    "brackets without end": ("JSON", '{"not":' * 500 + "{}" + "}" * 500, "too_deep"),
    "brackets beyond reason": ("JSON", "[" * 50_000, "schema_invalid"),
    "half a pattern": ("JSON", '{"pattern": "("}', "schema_invalid"),
    "nothing": ("JSON", " ", "schema_invalid"),
    "a NUL": ("JSON", '{"title": "\\u0000"}\0', "schema_invalid"),
    "an unknown Avro type": ("AVRO", '"money"', "unknown_type"),
    "an Avro default of another type": (
        "AVRO", '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "default": "x"}]}',
        "schema_invalid",
    ),
    "Avro without end": ("AVRO", '{"type":"array","items":' * 100 + '"int"' + "}" * 100, "too_deep"),
    "half a message": ("PROTOBUF", 'syntax = "proto3"; message A {', "schema_invalid"),
    "an import of the machine": ("PROTOBUF", 'syntax = "proto3"; import "/etc/passwd"; message A {}', "schema_invalid"),
    "an import from above": ("PROTOBUF", 'import "../../etc/passwd"; message A {}', "schema_invalid"),
    "no message": ("PROTOBUF", 'syntax = "proto3";', "schema_invalid"),
    "a descriptor of rubbish": ("PROTOBUF", "Cg==", "schema_invalid"),
    "too much": ("JSON", json.dumps({"title": "x" * 270_000}), "schema_too_large"),
}  # fmt: skip


@pytest.mark.parametrize(("format_", "text", "code"), BAD.values(), ids=BAD)
async def test_what_is_no_schema_is_refused_with_its_reason(platform, format_, text, code):
    status, headers, problem = await register(platform, fresh(), text, format=format_)
    assert (status, problem["code"]) == (400, code), problem
    assert headers["Content-Type"] == "application/problem+json"


async def test_a_body_that_is_no_registration_is_refused(platform):
    for body in ({}, {"name": "", "schema": "{}"}, {"name": "a", "schema": "{}", "format": "XML"}, [], None):
        assert (await ask(platform, "POST", "/api/schemas", json=body))[0] == 400
    status, headers, fault = await ask(
        platform, "POST", "/registry/subjects/a/versions", data=b"{", headers={"Content-Type": "application/json"}
    )
    assert (status, fault["error_code"]) == (422, 42201)
    assert headers["Content-Type"] == "application/vnd.schemaregistry.v1+json"


async def test_references_of_references_are_followed_so_far(platform):
    names = [fresh("deep") for _ in range(10)]
    status = 0
    await register(platform, names[0], {"type": "integer"})
    for before, name in itertools.pairwise(names):
        schema = {"properties": {"a": {"$ref": f"{before}.json"}}}
        reference = {"name": f"{before}.json", "subject": before, "version": 1}
        status, _, problem = await register(platform, name, schema, references=[reference])
        if status == 400:
            assert (problem["code"], name) == ("references_too_deep", names[9])
    assert status == 400


async def test_graphql_answers_about_a_subject(platform):
    name = fresh()
    await register(platform, name, CLOSED)
    await register(platform, name, WITH_NOTE)
    text = """query($name: String!) {
        schema(name: $name) { name format compatibility latest { version schema } versions(first: 5) { version } }
    }"""
    found = (await query(platform, text, name=name))["data"]["schema"]
    assert (found["name"], found["format"], found["compatibility"]) == (name, "JSON", "BACKWARD")
    assert [one["version"] for one in found["versions"]] == [2, 1]
    assert json.loads(found["latest"]["schema"]) == WITH_NOTE
    assert (await query(platform, '{ schema(name: "nowhere") { name } }'))["data"] == {"schema": None}


async def test_graphql_is_a_subgraph_of_a_federation(platform):
    name = fresh()
    await register(platform, name, CLOSED)
    service = (await query(platform, "{ _service { sdl } }"))["data"]["_service"]["sdl"]
    assert 'type EventSchema @key(fields: "name")' in service
    text = """query($who: [_Any!]!) {
        _entities(representations: $who) { ... on EventSchema { name latest { version } } }
    }"""
    who = [{"__typename": "EventSchema", "name": name}, {"__typename": "EventSchema", "name": "nowhere"}]
    assert (await query(platform, text, who=who))["data"]["_entities"] == [
        {"name": name, "latest": {"version": 1}},
        None,
    ]


async def test_graphql_shows_a_store_its_own(platform):
    name = fresh()
    await register(platform, name, CLOSED)
    _, key = await platform.another_store()
    body = {"query": f'{{ schema(name: "{name}") {{ name }} schemas {{ name }} }}'}
    _, _, answer = await ask(platform, "POST", "/graphql", key=key, json=body)
    assert answer["data"] == {"schema": None, "schemas": []}


TOO_MUCH = {
    "no query": ("{", "Syntax Error"),
    "an unknown field": ("{ nonsense }", "Cannot query field"),
    "too deep": ("{" + "a {" * 20 + "b" + "}" * 20 + "}", "nested deeper"),
    "too many at once": ("{ schemas(first: 100) { versions(first: 100) { id } } }", "too much at once"),
    "the same again and again": ("{" + " ".join(f"a{n}: schemas {{ name }}" for n in range(200)) + "}", "too much"),
    "a fragment of itself": ("{ ...f } fragment f on Query { ...f }", "nested deeper"),
    "too many words": ("{ " + "a " * 6000 + "}", "tokens"),
}


@pytest.mark.parametrize(("text", "word"), TOO_MUCH.values(), ids=TOO_MUCH)
async def test_a_query_that_asks_for_too_much_or_nonsense_is_told_so(platform, text, word):
    answer = await query(platform, text)
    assert word in answer["errors"][0]["message"]
