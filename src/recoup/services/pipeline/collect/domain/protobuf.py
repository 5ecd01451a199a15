"""Batches in Protobuf as the tables that JSON would have been, so that one set of rules judges both.

Measured on a core that others use too, 500 events with an item, a context and properties, until they are checked: 11.1
µs an event of 159 bytes, where JSON of 444 bytes takes 1.7. The library reads bytes into messages in 0.2; the rest goes
into messages and texts, each of which it hands out as an object of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Final, NamedTuple, cast
from uuid import UUID

import msgspec
from msgspec import Raw

from recoup.kit import wire
from recoup.kit.errors import Invalid, Problem

Table = dict[str, object]
_JSON: Final = msgspec.json.Decoder(Raw)
_UUID_BYTES: Final = 16
_EVENTS, _ID = 1, 2
"""Numbers of the fields of an EventBatch."""


class Unreadable(NamedTuple):
    """An event whose bytes are no message, or hold text that is no UTF-8."""

    body: bytes
    why: str


class Batch(NamedTuple):
    """A message EventBatch."""

    id: str
    events: Sequence[object]
    unknown: Mapping[int, Sequence[int]]
    """Numbers of unknown fields, by the place of the event that has them."""
    unreadable: Mapping[int, Unreadable]
    """By their places; `events` has an empty one there."""


@cache
def _kind() -> tuple[object, wire.Tables]:
    kind = wire.message_class("recoup.messages", "events.binpb", "recoup.events.v1.EventBatch")
    return kind, wire.Tables(kind.DESCRIPTOR.fields_by_name["events"].message_type)


def batch(body: bytes) -> Batch:
    """What the bytes say; raises Invalid where they are no EventBatch."""
    kind, _ = _kind()
    try:
        found = wire.parsed(kind, body)
    except Invalid as refusal:
        return _one_by_one(body, refusal)
    if wire.knows_all(found, len(body)):
        return Batch(found.id, found.events, {}, {})
    again = wire.parsed(kind, body)
    events = list(again.events)
    numbers = {index: wire.unknown_numbers(event) for index, event in enumerate(events)}
    if len(wire.unknown_numbers(again)) > sum(map(len, numbers.values())):
        raise Invalid("the body is no EventBatch of events.proto: it holds other fields", code="malformed_protobuf")
    return Batch(again.id, events, {index: found for index, found in numbers.items() if found}, {})


def _one_by_one(body: bytes, refusal: Invalid) -> Batch:
    """The same where single events are to blame; raises `refusal` where the batch around them is."""
    kind = wire.message_class("recoup.messages", "events.binpb", "recoup.events.v1.Event")
    batch_id, contents = "", list[bytes]()
    for number, content in wire.fields(body):
        if number == _EVENTS and isinstance(content, bytes):
            contents.append(content)
        elif number == _ID and isinstance(content, bytes) and _is_text(content):
            batch_id = content.decode()
        else:
            raise refusal
    events, unreadable = list[object](), dict[int, Unreadable]()
    for index, content in enumerate(contents):
        try:
            events.append(wire.parsed(kind, content))
        except Invalid as wrong:
            unreadable[index] = Unreadable(content, wrong.detail)
            events.append(wire.parsed(kind, b""))
    numbers = {index: found for index, event in enumerate(events) if (found := wire.unknown_numbers(event))}
    return Batch(batch_id, events, numbers, unreadable)


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def alone(event: bytes) -> bytes:
    """The EventBatch whose one event these bytes are."""
    return wire.enclosed(_EVENTS, event)


def receipt(accepted: int, refused: Iterable[Problem]) -> bytes:
    """What became of a request, as a message Receipt."""
    kind = wire.message_class("recoup.messages", "events.binpb", "recoup.events.v1.Receipt")
    said = [
        {"index": problem.index or 0, "field": problem.field, "code": problem.code, "detail": problem.detail}
        for problem in refused
    ]
    return cast("bytes", kind(accepted=accepted, refused=said).SerializeToString())


def tables(events: Iterable[object]) -> list[Table]:
    """Each event as what the decoder of JSON would have made of it, for `msgspec.convert` to judge."""
    found = _kind()[1].of(events)
    for table in found:
        for name in ("occurred_at", "sent_at"):
            if name in table:
                table[name] = _moment(cast("int", table[name]))
        if "properties" in table:
            table["properties"] = Raw(cast("str", table["properties"]))
    return found


def _moment(milliseconds: int) -> datetime | str:
    """A time, or what cannot be one, for the rule about times to refuse."""
    try:
        return datetime.fromtimestamp(milliseconds / 1_000, UTC)
    except (OverflowError, ValueError, OSError):
        return str(milliseconds)


def has_good_properties(table: Table) -> bool:
    """Whether the properties, if any, are JSON; whether an object, and of what size, other rules ask."""
    found = table.get("properties")
    if found is None:
        return True
    try:
        _JSON.decode(cast("Raw", found))
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def as_json(table: Table) -> bytes:
    """The event as JSON, for people who look at what was refused."""
    said = dict(table)
    event_id = said.get("event_id")
    if isinstance(event_id, bytes):
        said["event_id"] = str(UUID(bytes=event_id)) if len(event_id) == _UUID_BYTES else event_id.hex()
    if not has_good_properties(table):
        said["properties"] = bytes(cast("Raw", table["properties"])).decode()
    return msgspec.json.encode(said)
