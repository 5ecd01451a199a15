"""Protobuf says the same as JSON: the same events come of it, and the same refusals."""

import subprocess
import sys
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from tests.services.pipeline.builders import NOON, added, event, limits

from recoup.kit.errors import Invalid, Problem, TooLarge
from recoup.kit.wire import message_class
from recoup.messages.events import Context, Event, Item
from recoup.services.pipeline.collect.domain.protobuf import alone, receipt
from recoup.services.pipeline.collect.domain.reading import Form, read

PROTOBUF: Any = message_class("recoup.messages", "events.binpb", "recoup.events.v1.EventBatch")
EPOCH = "1970-01-01T00:00:00Z"
FULL = added(
    sent_at=NOON.isoformat(), schema_version=2, user_id="ada", session_id="s", amount=0, discount=5, currency="EUR",
    order_id="o", coupon="SPRING", properties={"colour": "red"}, context={"page_url": "https://shop/é", "locale": "de"},
)  # fmt: skip


def batch(*events: dict[str, Any]) -> bytes:
    """The same events as an EventBatch."""
    return PROTOBUF(events=[written(each) for each in events]).SerializeToString()


def written(said: dict[str, Any]) -> dict[str, Any]:
    found = dict(said)
    if isinstance(said.get("event_id"), str):
        found["event_id"] = UUID(said["event_id"]).bytes
    for name in ("occurred_at", "sent_at"):
        if name in said:
            found[name] = round(datetime.fromisoformat(said[name]).timestamp() * 1_000)
    if "properties" in said and not isinstance(said["properties"], str):
        found["properties"] = msgspec.json.encode(said["properties"]).decode()
    return found


def test_the_descriptors_are_those_of_the_published_file(tmp_path: Path) -> None:
    folder, made = files("recoup.messages"), tmp_path / "events.binpb"
    options = [f"--proto_path={folder}", f"--descriptor_set_out={made}", "events.proto"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *options], check=True)
    assert made.read_bytes() == (folder / "events.binpb").read_bytes(), "`make proto` was forgotten"


@pytest.mark.parametrize(("message", "struct"), [("Event", Event), ("Item", Item), ("Context", Context)])
def test_every_field_of_an_event_can_be_said(message: str, struct: type[msgspec.Struct]) -> None:
    kind = PROTOBUF.DESCRIPTOR.file.message_types_by_name[message]
    assert {field.name for field in kind.fields} == set(struct.__struct_fields__)


def test_the_same_events_come_of_both() -> None:
    events = [FULL, event(), event(items=[{"product_id": "mug", "quantity": 0}])]
    from_json = read(msgspec.json.encode(events), Form.ARRAY, limits())
    from_protobuf = read(batch(*events), Form.PROTOBUF, limits())
    assert msgspec.json.encode(from_protobuf.events) == msgspec.json.encode(from_json.events)
    assert len(from_protobuf.events) == 3
    assert from_protobuf.refusals == ()


SILENT = ("", EPOCH)
"""What Protobuf cannot tell from a field that is not there."""
BAD = {
    "no type": {"type": ""},
    "no time": {"occurred_at": EPOCH},
    "a cart id of 129": {"cart_id": "c" * 129},
    "an unknown type": {"type": "teleported"},
    "a negative amount": {"amount": -1},
    "a negative price": {"items": [{"product_id": "mug", "price": -5}]},
    "an item without product": {"items": [{"quantity": 1}]},
    "a year ago": {"occurred_at": (NOON - timedelta(days=365)).isoformat()},
    "somebody else's store": {"store_id": "their-store"},
    "nobody's": {"anonymous_id": ""},
    "a NUL": {"user_id": "a\0"},
    "a NUL in a property": {"properties": {"a": "\0"}},
    "properties that are a list": {"properties": []},
    "a currency in small letters": {"currency": "eur"},
}


@pytest.mark.parametrize("fields", BAD.values(), ids=BAD)
def test_a_bad_event_breaks_the_same_rule_at_the_same_place(fields: dict[str, Any]) -> None:
    events = [event(), event(**fields), event()]
    said = [{name: value for name, value in each.items() if value not in SILENT} for each in events]
    (from_json,) = read(msgspec.json.encode(said), Form.ARRAY, limits()).refusals
    reading = read(batch(*events), Form.PROTOBUF, limits())
    (from_protobuf,) = reading.refusals
    assert from_protobuf.problem == from_json.problem
    assert from_protobuf.problem.index == 1
    assert list(reading.indexes) == [0, 2]
    assert isinstance(msgspec.json.decode(from_protobuf.body), dict)


@pytest.mark.parametrize(
    ("raw", "code", "field"),
    [
        ({"event_id": b"seven"}, "bad_format", "event_id"),
        ({"event_id": b""}, "missing_field", "event_id"),
        ({"occurred_at": 2**62}, "bad_format", "occurred_at"),
        ({"properties": "{"}, "bad_properties", "properties"),
        ({"properties": '{}, "x": {}'}, "bad_properties", "properties"),
    ],
)
def test_what_only_protobuf_can_say_wrongly_is_named(raw: dict[str, Any], code: str, field: str) -> None:
    body = PROTOBUF(events=[written(event()), {**written(event()), **raw}]).SerializeToString()
    (refusal,) = read(body, Form.PROTOBUF, limits()).refusals
    assert (refusal.problem.code, refusal.problem.field, refusal.problem.index) == (code, field, 1)
    assert isinstance(msgspec.json.decode(refusal.body), dict)


def test_a_field_of_a_later_version_is_refused_like_an_unknown_name() -> None:
    strange = PROTOBUF(events=[written(event())]).events[0].SerializeToString() + b"\x9a\x06\x01x"
    body = batch(event()) + b"\x0a" + bytes([len(strange)]) + strange
    reading = read(body, Form.PROTOBUF, limits())
    assert [(each.problem.code, each.problem.index) for each in reading.refusals] == [("unknown_field", 1)]
    assert len(reading.events) == 1


@pytest.mark.parametrize("body", [b"\xff\xff", b"\x0a\x7f", b'{"events": []}', b"\x1a\x01x"])
def test_what_is_no_batch_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        read(body, Form.PROTOBUF, limits())
    assert refused.value.reason == "malformed_protobuf"


def test_too_many_events_are_refused_before_they_are_looked_at() -> None:
    with pytest.raises(TooLarge):
        read(b"\x0a\x00" * 500_000, Form.PROTOBUF, limits())


def test_an_id_given_to_two_events_counts_for_the_first() -> None:
    same = event(event_id=str(uuid4()))
    reading = read(batch(same, {**same, "type": "exit_intent"}, same), Form.PROTOBUF, limits())
    assert [(each.problem.code, each.problem.index) for each in reading.refusals] == [("conflicting_id", 1)]


def test_an_event_in_another_encoding_costs_its_neighbours_nothing() -> None:
    body = batch(event(), event(cart_id="spoil-me"), event())
    reading = read(body.replace(b"spoil-me", b"spoil-m\xff"), Form.PROTOBUF, limits())
    assert list(reading.indexes) == [0, 2]
    (refusal,) = reading.refusals
    assert (refusal.problem.code, refusal.problem.index) == ("malformed_protobuf", 1)
    assert b"spoil-m\xff" in refusal.body


def test_a_name_of_a_frame_in_another_encoding_is_refused_as_a_whole() -> None:
    body = PROTOBUF(id="spoil-me", events=[written(event())]).SerializeToString()
    with pytest.raises(Invalid):
        read(body.replace(b"spoil-me", b"spoil-m\xff"), Form.PROTOBUF, limits())


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000])
def test_an_event_alone_is_a_batch_of_one(size: int) -> None:
    said = added(properties={"note": "x" * size})
    one = PROTOBUF(events=[written(said)]).events[0].SerializeToString()
    assert alone(one) == batch(said)


def test_what_became_of_a_request_can_be_said_in_protobuf() -> None:
    refused = [Problem(code="no_visitor", field="anonymous_id", detail="nobody's", index=3)]
    kind = message_class("recoup.messages", "events.binpb", "recoup.events.v1.Receipt")
    found = kind.FromString(receipt(2, refused))
    assert found.accepted == 2
    assert [(each.index, each.field, each.code, each.detail) for each in found.refused] == [
        (3, "anonymous_id", "no_visitor", "nobody's")
    ]
