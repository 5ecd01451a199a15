"""One event as a receiver gets it, made a row again, and what a condition says about it, comparison by comparison.

Refuses what no row could hold, by name: an event that was misspelt would otherwise be one that lacks something.
"""

from collections.abc import Iterator, Mapping
from typing import Final
from uuid import UUID

import msgspec
import pyarrow as pa
from msgspec import Struct

from recoup.kit.errors import Invalid, Problem
from recoup.messages.events import ENRICHED
from recoup.services.pipeline.routing.domain.columns import Rows, matching
from recoup.services.pipeline.routing.domain.conditions import All, AnyOf, Compare, Condition, Not, time_of

_MOMENT: Final = pa.timestamp("ms", "UTC")
_OF_RECEIVERS: Final = frozenset({"routed_by"})
"""What receivers get beside the row."""


class Answer(Struct, frozen=True, kw_only=True):
    """What one comparison says about an event."""

    place: str
    """Where it stands, as in `when.all[1]`."""
    matches: bool


def row_of(event: Mapping[str, object]) -> Rows:
    """The event as a batch of one row; raises Invalid with everything that no row could hold."""
    problems = [
        Problem(code="unknown_field", field=f"event.{name}", detail=f"an enriched event has no {name[:100]!r}")
        for name in event.keys() - set(ENRICHED.names) - _OF_RECEIVERS
    ]
    columns: dict[str, pa.Array] = {}
    for field in ENRICHED:
        try:
            columns[field.name] = pa.array([_value(field, event.get(field.name))], field.type)
        except (pa.ArrowException, msgspec.MsgspecError, ValueError, TypeError, OverflowError):
            problems.append(Problem(code="wrong_type", field=f"event.{field.name}", detail=f"is not {_kind(field)}"))
    if problems:
        raise Invalid("the event cannot be used", code="event_invalid", problems=problems)
    return Rows(pa.table(columns, schema=ENRICHED))


def answers(condition: Condition, rows: Rows, place: str = "when") -> Iterator[Answer]:
    """What each comparison of a condition says about the one row, in their order."""
    match condition:
        case All(parts=parts):
            for index, part in enumerate(parts):
                yield from answers(part, rows, f"{place}.all[{index}]")
        case AnyOf(parts=parts):
            for index, part in enumerate(parts):
                yield from answers(part, rows, f"{place}.any[{index}]")
        case Not(part=part):
            yield from answers(part, rows, f"{place}.not")
        case Compare():
            yield Answer(place=place, matches=bool(matching(condition, rows)[0]))


def _value(field: pa.Field, given: object) -> object:
    if given is None:
        return None
    if field.name == "event_id":
        return UUID(str(given)).bytes
    if field.name == "properties":
        return msgspec.json.encode(msgspec.convert(given, dict[str, object])).decode()
    if field.type == _MOMENT:
        return _moment(given)
    return given


def _moment(given: object) -> int:
    found = time_of(given) if isinstance(given, str) else None
    if found is None:
        raise ValueError(given)
    return found


def _kind(field: pa.Field) -> str:
    if field.type == _MOMENT:
        return "a time with its offset"
    names = {"string": "text", "int64": "a whole number", "bool": "true or false"}
    return {"event_id": "a UUID", "properties": "an object", "items": "a list of items"}.get(
        field.name, names.get(str(field.type), "what this field holds")
    )
