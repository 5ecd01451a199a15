"""Registered schemas elsewhere than in the stream: types of the shop's own, and trying out dead letters."""

import json
from datetime import timedelta

from tests.services.pipeline.builders import NOON, SHOP, event
from tests.services.pipeline.registry import Registry
from tests.services.pipeline.workbench import bench, edited

from recoup.kit.config import Secret
from recoup.kit.ids import new_id
from recoup.messages.schemas import Convert, OnViolation
from recoup.services.pipeline.deadletters.domain.letters import Kind, Status
from recoup.services.pipeline.segment.domain.mapping import Call, event_of

VIEW = "page_viewed"
SHELF = {"required": ["shelf"], "properties": {"shelf": {"type": "integer", "maximum": 9}}}


async def test_a_dry_run_asks_the_registered_schemas_and_what_is_right_then_goes_through(
    valkey_url: str, database: str
) -> None:
    registry = Registry()
    registry.register(VIEW, SHELF)
    async with bench(valkey_url, database, registry=registry) as desk:
        await registry.announce(desk.running.collector.stores, SHOP)
        await desk.running.send(event(properties={"shelf": 12}))
        (letter,) = await desk.arrive(1)
        assert (letter.kind, letter.code, letter.field) == (Kind.SCHEMA_VIOLATION, "range", "properties.shelf")

        wrong = await desk.workbench.try_out(letter, edited(letter, properties={"shelf": "12"}))
        other = await desk.workbench.try_out(letter, edited(letter, schema_version=2))
        right = await desk.workbench.try_out(letter, edited(letter, properties={"shelf": 2}))

        assert wrong.problem is not None
        assert (wrong.problem.code, wrong.problem.field) == ("type_mismatch", "properties.shelf")
        assert other.problem is not None
        assert (other.problem.code, other.problem.field) == ("unplanned_event", "schema_version")
        assert right.valid
        sent = await desk.workbench.send(letter, edited(letter, properties={"shelf": 2}), "ada")
        assert (sent.sent, sent.status) == (True, Status.REPLAYED)
        assert [row["properties"] for row in await desk.running.enriched(1)] == ['{"shelf":2}']


async def test_a_dry_run_knows_migrations_rules_and_types_of_the_shops_own(valkey_url: str, database: str) -> None:
    registry = Registry()
    registry.register(VIEW, {"required": ["shelf"], "properties": {"shelf": {"type": "string"}}})
    registry.register(VIEW, SHELF)
    registry.migrate(VIEW, 1, Convert("shelf", "integer"))
    registry.register("shelf_dusted", SHELF)
    registry.rule("shelf_dusted", OnViolation.WARN)
    async with bench(valkey_url, database, registry=registry) as desk:
        await registry.announce(desk.running.collector.stores, SHOP, unplanned_events="reject")
        await desk.running.send(event(properties={"shelf": "12"}))
        (letter,) = await desk.arrive(1)
        assert letter.code == "range"

        tries = {
            "raised": edited(letter, properties={"shelf": "3"}),
            "too far": edited(letter, properties={"shelf": "10"}),
            "of the shop's own": edited(letter, type="shelf_dusted", properties={}),
            "nobody's": edited(letter, type="exit_intent", properties={}),
        }
        found = {name: (await desk.workbench.try_out(letter, body)).problem for name, body in tries.items()}

        codes = {name: problem and problem.code for name, problem in found.items()}
        assert codes == {"raised": None, "too far": "range", "of the shop's own": None, "nobody's": "unplanned_event"}


async def test_the_repairer_proposes_only_what_the_schema_takes(valkey_url: str, database: str) -> None:
    registry = Registry()
    registry.register(VIEW, SHELF)
    async with bench(valkey_url, database, registry=registry) as desk:
        await registry.announce(desk.running.collector.stores, SHOP)
        await desk.running.send(event(amount="x", properties={"shelf": 12}))
        (letter,) = await desk.arrive(1)

        proposals = await desk.mender.examine(letter)

        valid = [json.loads(one.body) for one in proposals if one.valid]
        assert all(one["properties"]["shelf"] <= 9 for one in valid)


def test_a_call_of_segments_becomes_an_event_of_the_registered_type() -> None:
    call = Call(
        store_id=SHOP, currency="USD", types=frozenset({"shelf_dusted"}), received_at=NOON + timedelta(seconds=1),
        request_id=new_id(), salt=Secret("salt"),
    )  # fmt: skip
    message = {"type": "track", "event": "Shelf Dusted", "anonymousId": "a", "properties": {"shelf": 3}}

    made = event_of(message, call, 0).event

    assert (made.type, bytes(made.properties)) == ("shelf_dusted", b'{"shelf":3}')
