"""From bytes to events, each with its own verdict.

One bad event never costs its neighbours; nothing is guessed or mended.

The common case, a body whose every event is good, is decoded in one go and checked by column. Only when that fails is
the body read again event by event, to say which one broke which rule.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final, Literal, NamedTuple, cast
from uuid import UUID

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from recoup.kit.errors import Invalid, Problem, TooLarge
from recoup.messages.events import DERIVED, Event, EventType, Item
from recoup.services.pipeline.collect.domain import protobuf
from recoup.services.pipeline.collect.domain.columns import WHOSE, Columns, columns_of
from recoup.services.pipeline.collect.domain.limits import Limits
from recoup.services.pipeline.collect.domain.splitting import elements

_EVENT: Final = msgspec.json.Decoder(Event)
_EVENTS: Final = msgspec.json.Decoder(list[Event])
_PARTS: Final = msgspec.json.Decoder(list[Raw])
_ANY: Final = msgspec.json.Decoder()
_PLACE: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$(?P<place>[^`]*)`)?$", re.DOTALL)
_NAMED: Final = re.compile(r"(?:field|unknown field) `(\w+)`")

# Brackets in brackets without end are a recursion to the decoder.
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
# As JSON writes it; a bare one is no JSON. No database of ours keeps it in text, so it would only fail further on.
_NUL: Final = rb"\u0000"


PLACEHOLDERS: Final = frozenset({
    "undefined", "Undefined", "UNDEFINED", "null", "Null", "NULL", "(null)", "nil", "none", "None", "NONE",
    "NaN", "nan", "[object Object]",
})  # fmt: skip
"""What scripts and templates write where there is no id: taken for one, it would make all such visitors one person."""


class Form(Enum):
    """How events are laid out in a body."""

    ONE = auto()
    ARRAY = auto()
    LINES = auto()
    PROTOBUF = auto()


JsonForm = Literal[Form.ONE, Form.ARRAY, Form.LINES]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that is not taken, why, and what came."""

    problem: Problem
    body: bytes
    event_id: str = ""


class Outcome(NamedTuple):
    """What the sender is told of a request: which events were taken, by id and place, and why others were not."""

    ids: Sequence[UUID]
    indexes: Sequence[int]
    refusals: Sequence[Refusal]


@dataclass(frozen=True, slots=True)
class Reading:
    """The good events with their place in the request, the same as columns, and the refusals."""

    events: Sequence[Event]
    indexes: Sequence[int]
    columns: Columns
    refusals: Sequence[Refusal]

    @property
    def outcome(self) -> Outcome:
        """What is left to be said once the events have become rows."""
        return Outcome(cast("Sequence[UUID]", self.columns.get("event_id", ())), self.indexes, self.refusals)


def read(body: bytes, form: Form, limits: Limits) -> Reading:
    """Events and refusals; raises Invalid where the body as a whole cannot be read, TooLarge for too many events."""
    if form is Form.PROTOBUF:
        return _read_protobuf(body, limits)
    try:
        events = _decode(body, form)
    except _UNREADABLE:
        return _read_each(body, form, limits)
    _demand_room(len(events), limits)
    events = _on_our_clock(events, limits)
    columns = columns_of(events)
    if _NUL not in body and _all_good(columns, limits):
        return Reading(events, range(len(events)), columns, ())
    return _sorted_out([(event, b"") for event in events], limits)


def _decode(body: bytes, form: JsonForm) -> list[Event]:
    match form:
        case Form.ONE:
            return [_EVENT.decode(body)]
        case Form.ARRAY:
            return _EVENTS.decode(body)
        case Form.LINES:
            return _EVENT.decode_lines(body)


def _read_protobuf(body: bytes, limits: Limits) -> Reading:
    batch = protobuf.batch(body)
    _demand_room(len(batch.events), limits)
    parts = protobuf.tables(batch.events)
    if not batch.unknown and not batch.unreadable and all(map(protobuf.has_good_properties, parts)):
        try:
            events = msgspec.convert(parts, list[Event])
        except msgspec.ValidationError:
            events = None
        if events is not None and _NUL not in msgspec.json.encode(events):
            events = _on_our_clock(events, limits)
            columns = columns_of(events)
            if _all_good(columns, limits):
                return Reading(events, range(len(events)), columns, ())
    converted = [_converted(part, batch.unknown.get(index, ())) for index, part in enumerate(parts)]
    for index, unreadable in batch.unreadable.items():
        problem = Problem(code="malformed_protobuf", detail=f"this event is not Protobuf: {unreadable.why}")
        converted[index] = (problem, unreadable.body)
    return _sorted_out([(_on_time(event, limits), part) for event, part in converted], limits)


def _converted(part: protobuf.Table, unknown: Sequence[int]) -> tuple[Event | Problem, bytes]:
    body = protobuf.as_json(part)
    if unknown:
        return Problem(code="unknown_field", detail=f"events.proto has no field number {unknown[0]}"), body
    if not protobuf.has_good_properties(part):
        return Problem(code="bad_properties", field="properties", detail="must be a JSON object"), body
    try:
        return msgspec.convert(part, Event), body
    except msgspec.ValidationError as error:
        return _problem(str(error)), body


def _demand_room(count: int, limits: Limits) -> None:
    if count > limits.events:
        raise TooLarge(f"{count} events in one request; at most {limits.events} are taken", code="too_many_events")


def _read_each(body: bytes, form: JsonForm, limits: Limits) -> Reading:
    parts = _parts(body, form)
    _demand_room(len(parts), limits)
    return _sorted_out([(_on_time(_decoded(part), limits), part) for part in parts], limits)


def _parts(body: bytes, form: JsonForm) -> list[bytes]:
    if form is Form.LINES:
        return [line for line in body.splitlines() if line.strip()]
    if form is Form.ONE:
        _demand_json(body)
        return [body]
    try:
        return [bytes(part) for part in _PARTS.decode(body)]
    except _UNREADABLE as error:
        apart = elements(body)
        if apart is not None:
            return apart
        _demand_json(body)
        raise Invalid(f"the body must be a JSON array of events: {error}", code="not_an_array") from error


def _demand_json(body: bytes) -> None:
    try:
        _ANY.decode(body)
    except _UNREADABLE as error:
        raise Invalid(f"the body is not JSON: {error}", code="malformed_json") from error


def _decoded(part: bytes) -> Event | Problem:
    try:
        return _EVENT.decode(part)
    except msgspec.ValidationError as error:
        return _problem(str(error))
    except _UNREADABLE as error:
        return Problem(code="malformed_json", detail=f"this event is not JSON: {error}")


def _problem(message: str) -> Problem:
    """A rule of the envelope in our words, from the decoder's message."""
    found = _PLACE.match(message)
    what, place = (found["what"], found["place"] or "") if found else (message, "")
    named = _NAMED.search(what)
    field = ".".join(part for part in (place.strip("."), named[1] if named else "") if part)
    return Problem(code=_code(what), detail=what, field=field)


def _code(what: str) -> str:
    if "missing required field" in what:
        return "missing_field"
    if "unknown field" in what:
        return "unknown_field"
    if what.startswith("Invalid") or "timezone" in what:
        return "bad_format"
    if "length" in what or ">=" in what or "<=" in what:
        return "out_of_range"
    return "wrong_type"


def _on_our_clock(events: list[Event], limits: Limits) -> list[Event]:
    """Times moved by how far the client's clock was off when it sent, as the Segment spec does."""
    if limits.skew is None or all(event.sent_at is None for event in events):
        return events
    return [cast("Event", _on_time(event, limits)) for event in events]


def _on_time(event: Event | Problem, limits: Limits) -> Event | Problem:
    if limits.skew is None or isinstance(event, Problem) or event.sent_at is None:
        return event
    off = limits.arrived - event.sent_at
    return event if abs(off) <= limits.skew else replace(event, occurred_at=_moved(event.occurred_at, off))


def _moved(time: datetime, off: timedelta) -> datetime:
    try:
        return time + off
    except OverflowError:
        # Beyond the calendar's ends; as it is, it is too far off to be taken.
        return time


def _all_good(columns: Columns, limits: Limits) -> bool:
    """Every rule of `_broken_rule`, asked of all events together."""
    if not columns:
        return True
    times = cast("Sequence[datetime]", columns["occurred_at"])
    ids = cast("Sequence[UUID]", columns["event_id"])
    return (
        max(times) <= limits.newest
        and (limits.oldest is None or min(times) >= limits.oldest)
        and set(columns["type"]) <= limits.types
        and set(columns["store_id"]) <= {None, limits.store_id}
        and max(map(len, cast("Sequence[list[Item]]", columns["items"]))) <= limits.items
        and all(map(_is_currency, set(cast("Sequence[str | None]", columns["currency"]))))
        and (None not in columns["cart_id"] or _all_somebodys(columns))
        and all(PLACEHOLDERS.isdisjoint(columns[name]) for name in WHOSE)
        and _all_properties_fit(cast("Sequence[Raw]", columns["properties"]), limits)
        # Hashing the number inside takes a fifth of what hashing a UUID does.
        and len({event_id.int for event_id in ids}) == len(ids)
    )


def _all_somebodys(columns: Columns) -> bool:
    whose = zip(*(columns[name] for name in WHOSE), columns["type"], strict=True)
    return all(any(ids) or kind == EventType.CLOCK for *ids, kind in whose)


def _is_somebodys(event: Event) -> bool:
    return any(getattr(event, name) for name in WHOSE) or event.type == EventType.CLOCK


def _is_currency(code: str | None) -> bool:
    return code is None or (code.isascii() and code.isalpha() and code.isupper())


def _all_properties_fit(properties: Sequence[msgspec.Raw], limits: Limits) -> bool:
    longest = max(map(len, properties))
    return not longest or (longest <= limits.properties_bytes and {bytes(text)[:1] for text in properties} <= _OBJECT)


# A JSON object, or nothing at all.
_OBJECT: Final = frozenset({b"", b"{"})
_Rule = Callable[[Event, Limits], Problem | None]


def _broken_rule(event: Event, limits: Limits) -> Problem | None:
    return next((problem for rule in _RULES if (problem := rule(event, limits)) is not None), None)


def _time_rule(event: Event, limits: Limits) -> Problem | None:
    if event.occurred_at > limits.newest:
        return Problem(code="future_time", field="occurred_at", detail=f"{event.occurred_at} is too far in the future")
    if limits.oldest is not None and event.occurred_at < limits.oldest:
        return Problem(code="too_old", field="occurred_at", detail=f"older than this store takes ({limits.oldest})")
    return None


def _type_rule(event: Event, limits: Limits) -> Problem | None:
    if event.type in limits.types:
        return None
    if event.type in DERIVED:
        return Problem(code="derived_type", field="type", detail=f"{event.type!r} is found out by us, not sent")
    if event.type == EventType.CLOCK:
        return Problem(code="wall_clock", field="type", detail="only a store on an event clock can move its clock")
    return Problem(code="unknown_type", field="type", detail=f"no such type of event: {event.type!r}")


def _store_rule(event: Event, limits: Limits) -> Problem | None:
    if event.store_id in {None, limits.store_id}:
        return None
    return Problem(code="foreign_store", field="store_id", detail=f"this key is not for store {event.store_id!r}")


def _size_rule(event: Event, limits: Limits) -> Problem | None:
    if len(event.items) > limits.items:
        detail = f"{len(event.items)} items; at most {limits.items} are taken"
        return Problem(code="too_many_items", field="items", detail=detail)
    if not _all_properties_fit([event.properties], limits):
        detail = f"must be a JSON object of at most {limits.properties_bytes} bytes"
        return Problem(code="bad_properties", field="properties", detail=detail)
    return None


def _currency_rule(event: Event, _: Limits) -> Problem | None:
    if _is_currency(event.currency):
        return None
    return Problem(code="bad_currency", field="currency", detail=f"not an ISO 4217 code: {event.currency!r}")


def _visitor_rule(event: Event, _: Limits) -> Problem | None:
    if _is_somebodys(event):
        return None
    detail = "one of cart_id, anonymous_id, user_id, session_id must say whose event this is"
    return Problem(code="no_visitor", field="anonymous_id", detail=detail)


def _placeholder_rule(event: Event, _: Limits) -> Problem | None:
    name = next((name for name in WHOSE if getattr(event, name) in PLACEHOLDERS), None)
    if name is None:
        return None
    return Problem(code="placeholder_id", field=name, detail=f"{getattr(event, name)!r} is no id: leave the field out")


def _text_rule(event: Event, _: Limits) -> Problem | None:
    encoded = msgspec.json.encode(event)
    if _NUL not in encoded:
        return None
    try:
        place = _place_of_nul(_ANY.decode(encoded))
    except RecursionError:
        return Problem(code="bad_properties", field="properties", detail="nested too deeply to be checked")
    if place is None:
        return None
    return Problem(code="bad_text", field=place, detail=r"text must not hold the character \u0000")


def _place_of_nul(value: object) -> str | None:
    """Where a NUL stands, as a dotted path; None where what looks like one is an escaped backslash before digits."""
    if isinstance(value, str):
        return "" if "\0" in value else None
    if isinstance(value, dict):
        for name, part in cast("dict[str, object]", value).items():
            inner = "" if "\0" in name else _place_of_nul(part)
            if inner is not None:
                return f"{name.replace(chr(0), '')}.{inner}".strip(".")
    if isinstance(value, list):
        for index, part in enumerate(cast("list[object]", value)):
            inner = _place_of_nul(part)
            if inner is not None:
                return f"{index}.{inner}".strip(".")
    return None


_RULES: Final[tuple[_Rule, ...]] = (
    _time_rule, _type_rule, _store_rule, _size_rule, _currency_rule, _visitor_rule, _placeholder_rule, _text_rule,
)  # fmt: skip


def _sorted_out(candidates: Iterable[tuple[Event | Problem, bytes]], limits: Limits) -> Reading:
    events: list[Event] = []
    indexes: list[int] = []
    refusals: list[Refusal] = []
    first: dict[object, Event] = {}
    for index, (candidate, part) in enumerate(candidates):
        problem = candidate if isinstance(candidate, Problem) else _broken_rule(candidate, limits)
        if problem is None and isinstance(candidate, Event):
            problem = _conflict(candidate, first.setdefault(candidate.event_id, candidate))
        if problem is None and isinstance(candidate, Event):
            events.append(candidate)
            indexes.append(index)
        elif problem is not None:
            body = part or msgspec.json.encode(candidate)
            event_id = str(candidate.event_id) if isinstance(candidate, Event) else ""
            refusals.append(Refusal(replace(problem, index=index), body, event_id))
    return Reading(events, indexes, columns_of(events), refusals)


def _conflict(event: Event, first: Event) -> Problem | None:
    if event is first or msgspec.json.encode(event) == msgspec.json.encode(first):
        return None
    return Problem(
        code="conflicting_id", field="event_id", detail=f"{event.event_id} was given to another event already"
    )
