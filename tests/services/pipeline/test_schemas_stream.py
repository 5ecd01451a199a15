"""Events against the schemas their store registered, on a real log: what is kept, and what is said of the rest."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from tests.services.pipeline.builders import SHOP, Pipeline, event, ordered, pipeline
from tests.services.pipeline.registry import Registry

from recoup.kit.errors import Unavailable
from recoup.kit.log import arrow
from recoup.kit.schemas.source import Format
from recoup.messages.events import DEAD
from recoup.messages.schemas import Convert, Default, MinorUnits, Move, OnViolation, Rename
from recoup.messages.topics import EVENTS_DEAD
from recoup.services.pipeline.settings import Settings

VIEW = "page_viewed"
SHELF = {
    "type": "object",
    "properties": {
        "shelf": {"type": "integer", "maximum": 9},
        "day": {"type": "string", "format": "date"},
    },
    "required": ["shelf"],
    "additionalProperties": False,
}


def seen(**properties: Any) -> dict[str, object]:
    return event(properties=properties)


async def dead(running: Pipeline, count: int) -> list[dict[str, Any]]:
    """The next dead letters, `count` of them or a few more."""
    await running.log.register("test-dead", [EVENTS_DEAD.name])
    reader = running.log.reader("test-dead", "test", [EVENTS_DEAD.name])
    rows: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(60):
            while len(rows) < count:
                records = await reader.read(wait_seconds=0.2, limit=1_000)
                await reader.commit({(record.topic, record.partition): record.offset for record in records})
                rows += arrow.joined([record.value for record in records], DEAD)[0].to_pylist()
    finally:
        await reader.close()
    return rows


def proto() -> str:
    """A message with a whole number `shelf`, as the registry hands it out."""
    file = FileDescriptorProto(name="a.proto", syntax="proto3")
    message = file.message_type.add(name="Seen")
    message.field.add(
        name="shelf", number=1, type=FieldDescriptorProto.TYPE_INT32, label=FieldDescriptorProto.LABEL_OPTIONAL
    )
    return base64.b64encode(file.SerializeToString()).decode()


AVRO = {"type": "record", "name": "Seen", "fields": [{"name": "shelf", "type": "int"}]}
BROKEN: dict[str, tuple[Format, object, dict[str, Any], str, str]] = {
    "JSON: required": (Format.JSON, SHELF, {}, "required_missing", "properties.shelf"),
    "JSON: type": (Format.JSON, SHELF, {"shelf": "3"}, "type_mismatch", "properties.shelf"),
    "JSON: range": (Format.JSON, SHELF, {"shelf": 10}, "range", "properties.shelf"),
    "JSON: format": (Format.JSON, SHELF, {"shelf": 1, "day": "today"}, "format", "properties.day"),
    "JSON: more": (Format.JSON, SHELF, {"shelf": 1, "row": 2}, "additional_property", "properties.row"),
    "Avro: required": (Format.AVRO, AVRO, {}, "required_missing", "properties.shelf"),
    "Avro: type": (Format.AVRO, AVRO, {"shelf": "3"}, "type_mismatch", "properties.shelf"),
    "Avro: more": (Format.AVRO, AVRO, {"shelf": 1, "row": 2}, "additional_property", "properties.row"),
    "Protobuf: type": (Format.PROTOBUF, proto(), {"shelf": []}, "type_mismatch", "properties.shelf"),
    "Protobuf: range": (Format.PROTOBUF, proto(), {"shelf": 2**31}, "range", "properties.shelf"),
    "Protobuf: more": (Format.PROTOBUF, proto(), {"shelf": 1, "row": 2}, "additional_property", "properties.row"),
}


@pytest.mark.parametrize(("format_", "schema", "properties", "kind", "place"), BROKEN.values(), ids=BROKEN)
async def test_a_row_that_breaks_its_schema_is_set_aside_by_name_and_place(
    valkey_url: str, format_: Format, schema: object, properties: dict[str, Any], kind: str, place: str
) -> None:
    registry = Registry()
    registry.register(VIEW, schema, format_)
    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        good, bad = seen(shelf=1), seen(**properties)
        await running.send(bad, good)

        (row,) = await running.enriched(1)
        (letter,) = await dead(running, 1)

        assert str(row["properties"]) == '{"shelf":1}'
        assert (letter["event_id"], letter["stage"]) == (bad["event_id"], "validate")
        assert (letter["kind"], letter["field"]) == (kind, place), letter["reason"]
        assert letter["reason"].startswith(f"{kind} at {place}: ")
        assert msgspec.json.decode(letter["body"])["properties"] == properties
        assert (await running.stats.read(SHOP)).dead == {"schema_violation": 1}


async def test_fields_of_the_event_that_a_schema_names_are_lent_to_it(valkey_url: str) -> None:
    registry = Registry()
    registry.register("order_completed", {"properties": {"amount": {"minimum": 500}}, "required": ["order_id", "gift"]})
    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        cheap, good = ordered(properties={"gift": True}), ordered(properties={"gift": True})
        await running.send(cheap | {"amount": 400}, good, ordered())

        (row,) = await running.enriched(1)
        letters = await dead(running, 2)

        assert row["amount"] == 1_000
        assert {(one["kind"], one["field"]) for one in letters} == {
            ("range", "amount"), ("required_missing", "properties.gift")
        }  # fmt: skip


async def test_a_schema_that_names_properties_describes_the_whole_event(valkey_url: str) -> None:
    registry = Registry()
    whole = {
        "required": ["type", "context", "properties"],
        "properties": {
            "context": {"required": ["locale"]},
            "properties": {"required": ["shelf"], "additionalProperties": False, "properties": {"shelf": {}}},
        },
    }
    registry.register(VIEW, whole)
    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        await running.send(
            seen(shelf=1) | {"context": {"locale": "de"}},
            seen(shelf=1) | {"context": {"timezone": "UTC"}},
            seen() | {"context": {"locale": "de"}},
        )

        assert len(await running.enriched(1)) == 1
        assert {one["field"] for one in await dead(running, 2)} == {"context.locale", "properties.shelf"}


async def test_where_the_store_wants_to_be_warned_the_row_stays_and_is_counted(valkey_url: str) -> None:
    registry = Registry()
    registry.register(VIEW, SHELF)
    registry.rule(VIEW, OnViolation.WARN)
    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        await running.send(seen(shelf=10), seen(shelf=1), seen(), seen(shelf=11))

        rows = await running.enriched(4)

        assert Counter(str(row["properties"]) for row in rows)['{"shelf":10}'] == 1
        stats = await running.stats.read(SHOP)
        assert (stats.warned, stats.dead) == ({"schema:range": 2, "schema:required_missing": 1}, {})


@asynccontextmanager
async def viewing(valkey_url: str, registry: Registry) -> AsyncGenerator[Pipeline]:
    """A pipeline that has judged an event by the first version of a schema."""
    registry.register(VIEW, SHELF)
    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        await running.send(seen(shelf=1))
        await running.enriched(1)
        yield running


async def test_the_first_event_after_a_rule_was_changed_is_judged_by_the_new_one(valkey_url: str) -> None:
    registry = Registry()
    async with viewing(valkey_url, registry) as running:
        registry.rule(VIEW, OnViolation.WARN)
        await registry.announce(running.collector.stores, SHOP)
        await running.send(seen(shelf=10))

        assert len(await running.enriched(1)) == 1
        stats = await running.stats.read(SHOP)
        assert (stats.warned, stats.dead) == ({"schema:range": 1}, {})


def raising(registry: Registry) -> None:
    """Three versions: `shelf` was text, got a number, and moved under `place`."""
    registry.register(VIEW, {"properties": {"shelf": {"type": "string"}}, "required": ["shelf"]})
    registry.register(VIEW, {"properties": {"shelf": {"type": "integer"}}, "required": ["shelf"]})
    inner = {"properties": {"number": {"type": "integer", "maximum": 9}}, "required": ["number", "floor"]}
    registry.register(VIEW, {"properties": {"place": inner}, "required": ["place"]})
    registry.migrate(VIEW, 1, Convert("shelf", "integer"))
    registry.migrate(VIEW, 2, Move("shelf", "place.number"), Default("place.floor", 0))


async def test_money_of_an_older_version_becomes_minor_units_of_the_events_currency(valkey_url: str) -> None:
    registry = Registry()
    registry.register(VIEW, {"properties": {"price": {"type": "string"}}})
    registry.register(VIEW, {"properties": {"price": {"type": "integer"}}, "required": ["price"]})
    registry.migrate(VIEW, 1, MinorUnits("price"))
    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        await running.send(*(event(properties={"price": "1500"}, currency=code) for code in ("JPY", "EUR")))
        rows = await running.enriched(2)

    assert {row["currency"]: row["properties"] for row in rows} == {"JPY": '{"price":1500}', "EUR": '{"price":150000}'}


async def test_older_versions_are_raised_to_the_newest_and_say_so(valkey_url: str) -> None:
    registry = Registry()
    raising(registry)
    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        newest = seen(place={"number": 3, "floor": 1}) | {"schema_version": 3}
        await running.send(seen(shelf="1"), seen(shelf=2) | {"schema_version": 2}, newest)

        rows = await running.enriched(3)

        found = {msgspec.json.decode(str(row["properties"]))["place"]["number"]: row["schema_version"] for row in rows}
        assert found == {1: 3, 2: 3, 3: 3}


@pytest.mark.parametrize(
    ("rule", "kept", "refused"),
    [
        # What keeps to no version it names, and what migrations cannot make right, goes; what they can stays by rule.
        (OnViolation.REJECT, {"{'place': {'number': 1, 'floor': 0}}"}, {"type_mismatch", "range"}),
        (
            OnViolation.MIGRATE,
            {"{'place': {'number': 1, 'floor': 0}}", "{'place': {'number': 4, 'floor': 0}}"},
            {"range"},
        ),
        (OnViolation.WARN, {"{'place': {'number': 1, 'floor': 0}}", "{'shelf': 4}", "{'shelf': '99'}"}, set()),
    ],
)
async def test_what_a_rule_keeps(valkey_url: str, rule: OnViolation, kept: set[str], refused: set[str]) -> None:
    registry = Registry()
    raising(registry)
    registry.rule(VIEW, rule)
    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        await running.send(seen(shelf="1"), seen(shelf=4), seen(shelf="99"))

        rows = await running.enriched(len(kept))

        assert {str(msgspec.json.decode(str(row["properties"]))) for row in rows} == kept
        assert {one["kind"] for one in await dead(running, len(refused))} == refused


@pytest.mark.parametrize("rule", [OnViolation.REJECT, OnViolation.MIGRATE])
async def test_what_is_nested_too_deeply_to_be_looked_at_is_set_aside_whole(valkey_url: str, rule: OnViolation) -> None:
    registry = Registry()
    registry.register(VIEW, {})
    registry.register(VIEW, {})
    registry.migrate(VIEW, 1, Rename("shelf", "row"))
    registry.rule(VIEW, rule)
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        await running.send(seen(shelf=deep), seen(shelf=1))

        assert [row["properties"] for row in await running.enriched(1)] == ['{"row":1}']
        (letter,) = await dead(running, 1)
        assert (letter["kind"], letter["field"]) == ("range", "properties")
        assert msgspec.json.decode(letter["body"])["properties"] == {"shelf": deep}


@pytest.mark.parametrize(("wanted", "rows", "warned", "refused"), [
    ("accept", 2, {}, {}),
    ("warn", 2, {"schema:unplanned_event": 1}, {}),
    ("reject", 1, {}, {"schema_violation": 1}),
])  # fmt: skip
async def test_a_store_says_what_becomes_of_types_that_nobody_registered(
    valkey_url: str, wanted: str, rows: int, warned: dict[str, int], refused: dict[str, int]
) -> None:
    registry = Registry()
    registry.register(VIEW, SHELF)
    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP, unplanned_events=wanted)
        await running.send(seen(shelf=1), event(type="exit_intent"))

        assert len(await running.enriched(rows)) == rows
        stats = await running.stats.read(SHOP)
        assert (stats.warned, stats.dead) == (warned, refused)


async def test_a_registered_type_of_the_shops_own_is_taken_at_once(valkey_url: str) -> None:
    registry = Registry()
    async with pipeline(valkey_url, registry=registry) as running:
        refused = await running.send(event(type="shelf_dusted"))
        assert [one.problem.code for one in refused.refusals] == ["unknown_type"]
        registry.register("shelf_dusted", SHELF)
        await registry.announce(running.collector.stores, SHOP)

        taken = await running.send(event(type="shelf_dusted", properties={"shelf": 2}))

        assert not taken.refusals
        assert [row["type"] for row in await running.enriched(1)] == ["shelf_dusted"]


async def test_a_version_that_was_registered_a_moment_ago_is_asked_for(valkey_url: str) -> None:
    registry = Registry()
    async with viewing(valkey_url, registry) as running:
        # `config-changes` has not told of it yet.
        registry.register(VIEW, {"required": ["row"]})
        await running.send(seen(row=1) | {"schema_version": 2}, seen(row=1) | {"schema_version": 3})

        assert [row["schema_version"] for row in await running.enriched(1)] == [2]
        assert [(one["kind"], one["field"]) for one in await dead(running, 1)] == [
            ("unplanned_event", "schema_version")
        ]


@pytest.mark.parametrize("silence", ["fails", "hangs"])
async def test_a_silent_registry_holds_nothing_up_and_what_is_known_stays_in_force(
    valkey_url: str, silence: str
) -> None:
    registry = Registry()
    registry.register(VIEW, SHELF)
    settings = Settings(schema_wait_seconds=0.05, schema_pause_seconds=60)
    async with pipeline(valkey_url, registry=registry, settings=settings) as running:
        await registry.announce(running.collector.stores, SHOP)
        await running.send(seen(shelf=1))
        await running.enriched(1)
        setattr(registry, silence, True)
        registry.register(VIEW, {"required": ["row"]})
        await registry.announce(running.collector.stores, SHOP)
        await running.send(seen(shelf=10), seen(shelf=2), seen(row=1) | {"schema_version": 2})

        rows = await running.enriched(2)

        assert {row["schema_version"] for row in rows} == {1, 2}
        stats = await running.stats.read(SHOP)
        assert (stats.dead, stats.warned) == ({"schema_violation": 1}, {"schema:unchecked": 1})


async def test_before_the_registry_ever_answered_events_go_unchecked_and_unknown_types_come_back_later(
    valkey_url: str,
) -> None:
    registry = Registry(fails=True)
    registry.register(VIEW, SHELF)
    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        await running.send(seen(shelf=10))

        assert len(await running.enriched(1)) == 1
        assert (await running.stats.read(SHOP)).warned == {"schema:unchecked": 1}
        with pytest.raises(Unavailable, match="not known yet"):
            await running.send(event(type="shelf_dusted"))


async def test_a_store_without_schemas_asks_nobody(valkey_url: str) -> None:
    registry = Registry()
    async with pipeline(valkey_url, registry=registry) as running:
        await running.send(seen(shelf="any"), ordered())

        assert len(await running.enriched(2)) == 2
        assert registry.asked == 0


async def test_new_versions_go_live_under_load_and_every_event_comes_out_once(valkey_url: str) -> None:
    registry = Registry()
    registry.register(VIEW, {"required": ["a1"]})
    sent: dict[str, int] = {}

    async def load(running: Pipeline, version: int) -> None:
        """The shop sends the newest version it knows of, and the one before from pages that are still open."""
        for _ in range(10):
            batch = [
                seen(**{f"a{used}": True}) | {"schema_version": used}
                for used in (max(1, version - 1), version)
                for _ in range(25)
            ]
            sent.update({str(one["event_id"]): version for one in batch})
            await running.send(*batch)

    async with pipeline(valkey_url, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        for version in range(1, 9):
            loading = asyncio.create_task(load(running, version))
            if version < 8:
                registry.migrate(VIEW, version, Rename(f"a{version}", f"a{version + 1}"))
                registry.register(VIEW, {"required": [f"a{version + 1}"]})
                await registry.announce(running.collector.stores, SHOP)
            await loading

        rows = await running.enriched(len(sent))

        ids = Counter(bytes(row["event_id"]).hex() for row in rows)  # type: ignore[arg-type]
        assert ids == Counter(one.replace("-", "") for one in sent)
        assert len(sent) == 4_000
        assert all(f'"a{row["schema_version"]}":true' in str(row["properties"]) for row in rows)
        assert (await running.stats.read(SHOP)).dead == {}
