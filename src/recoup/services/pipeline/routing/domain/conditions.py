"""The language of conditions: what may be said, and what is wrong with what was said. Runs nothing that was sent.

    {"field": "type", "operator": "in", "value": ["cart_abandoned", "order_completed"]}
    {"all": [ … ]}   {"any": [ … ]}   {"not": … }

A comparison with something that is not there is false, whatever the operator; `not` turns true and false around and
knows no third value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple

import pyarrow as pa

from recoup.kit.clock import milliseconds
from recoup.kit.errors import Invalid, Problem
from recoup.messages.events import ENRICHED

Scalar = str | int | float | bool


class Operator(StrEnum):
    """How a field is compared."""

    EQUALS = "equals"
    IN = "in"
    STARTS_WITH = "starts_with"
    CONTAINS = "contains"
    BELOW = "below"
    AT_MOST = "at_most"
    ABOVE = "above"
    AT_LEAST = "at_least"
    EXISTS = "exists"
    """The field is there; takes no value."""


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    TIME = "time"
    """Compared with an RFC 3339 text."""
    JSON = "json"
    """Whatever the shop put into its properties: compared as what the value is."""


class Source(StrEnum):
    """Where a field is found."""

    COLUMN = "column"
    ITEM = "item"
    """Of any line of the event's items."""
    PROPERTY = "property"
    SEGMENT = "segment"


class Segment(StrEnum):
    """What rows know of who a shopper is."""

    CRAWLER = "crawler"
    VISITOR = "visitor"
    """Nobody has said who it is."""
    UNKNOWN = "unknown"
    """A user whose past could not be asked in time."""
    NEW = "new"
    """A user who has never ordered."""
    CUSTOMER = "customer"
    """One order."""
    REPEAT = "repeat"
    """Two and more."""


class Field(NamedTuple):
    """What a comparison looks at."""

    source: Source
    path: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class Compare:
    """One field against one value, or several of which one has to fit."""

    field: Field
    operator: Operator
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class All:
    """True where every part is; without parts always."""

    parts: tuple["Condition", ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True where one part is."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True where its part is not."""

    part: "Condition"


Condition = Compare | All | AnyOf | Not


class Limits(NamedTuple):
    """How much a condition may say."""

    depth: int
    comparisons: int
    values: int


_LONGEST_TEXT: Final = 512
_LONGEST_PATH: Final = 5
_EXACT: Final = 2**53
_HIDDEN: Final = frozenset({"event_id", "store_id", "raw_partition", "raw_offset", "properties", "items"})
_ORDERED: Final = frozenset({Operator.BELOW, Operator.AT_MOST, Operator.ABOVE, Operator.AT_LEAST})
_ALWAYS: Final = frozenset({Operator.EQUALS, Operator.IN, Operator.EXISTS})
_OPERATORS: Final[Mapping[Kind, frozenset[Operator]]] = {
    Kind.TEXT: _ALWAYS | {Operator.STARTS_WITH, Operator.CONTAINS},
    Kind.NUMBER: _ALWAYS | _ORDERED,
    Kind.FLAG: _ALWAYS,
    Kind.TIME: _ORDERED | {Operator.EXISTS},
    Kind.JSON: frozenset(Operator),
}
_OF_TEXT: Final = frozenset({Operator.STARTS_WITH, Operator.CONTAINS})


_KINDS: Final = {
    pa.string(): Kind.TEXT,
    pa.int64(): Kind.NUMBER,
    pa.bool_(): Kind.FLAG,
    pa.timestamp("ms", "UTC"): Kind.TIME,
}


def _fields() -> dict[str, Field]:
    """Every field by name but those of properties."""
    found = {"segment": Field(Source.SEGMENT, (), Kind.TEXT)}
    columns = [column for column in ENRICHED if column.name not in _HIDDEN]
    found |= {c.name: Field(Source.COLUMN, (c.name,), kind) for c in columns if (kind := _KINDS.get(c.type))}
    lines = ENRICHED.field("items").type.value_type
    return found | {
        f"items.{line.name}": Field(Source.ITEM, (line.name,), kind)
        for line in lines
        if (kind := _KINDS.get(line.type))
    }


FIELDS: Final = _fields()


def operators_of(field: Field) -> list[Operator]:
    """What a field can be compared with, in the order of their definition."""
    return [operator for operator in Operator if operator in _OPERATORS[field.kind]]


def parse(said: object, limits: Limits, place: str = "when") -> Condition:
    """The condition that was said; raises Invalid with the place and reason of everything that is wrong with it."""
    reading = _Reading(limits, [])
    found = All() if said is None else reading.condition(said, place, 1)
    if reading.comparisons > limits.comparisons:
        reading.wrong(place, "too_many", f"{reading.comparisons} comparisons; {limits.comparisons} at most")
    if reading.problems:
        raise Invalid("the condition cannot be used", code="condition_invalid", problems=reading.problems)
    return found


@dataclass(slots=True)
class _Reading:
    limits: Limits
    problems: list[Problem]
    comparisons: int = 0

    def wrong(self, place: str, code: str, detail: str) -> All:
        self.problems.append(Problem(code=code, detail=detail, field=place))
        return All()

    def condition(self, said: object, place: str, depth: int) -> Condition:
        if depth > self.limits.depth:
            return self.wrong(place, "too_deep", f"conditions nest at most {self.limits.depth} deep")
        if not isinstance(said, dict):
            return self.wrong(place, "wrong_type", "a condition is an object")
        match [*said]:
            case ["all"]:
                return All(self.parts(said["all"], f"{place}.all", depth))
            case ["any"]:
                return AnyOf(self.parts(said["any"], f"{place}.any", depth))
            case ["not"]:
                return Not(self.condition(said["not"], f"{place}.not", depth + 1))
            case _:
                return self.comparison(said, place)

    def parts(self, said: object, place: str, depth: int) -> tuple[Condition, ...]:
        if not isinstance(said, list) or not said:
            self.wrong(place, "wrong_type", "a list of one condition at least")
            return ()
        if len(said) > self.limits.comparisons:
            self.wrong(place, "too_many", f"{len(said)} conditions; {self.limits.comparisons} at most")
            return ()
        return tuple(self.condition(part, f"{place}[{index}]", depth + 1) for index, part in enumerate(said))

    def comparison(self, said: Mapping[object, object], place: str) -> Condition:
        self.comparisons += 1
        unknown = sorted(str(name) for name in said.keys() - {"field", "operator", "value"})
        if unknown:
            return self.wrong(
                place, "unknown_field",
                f"{unknown[0]!r}: a condition has all, any or not alone, or else field, operator and value",
            )  # fmt: skip
        field = field_named(said.get("field"))
        if field is None:
            return self.wrong(f"{place}.field", "unknown_field", f"{said.get('field')!r} is no field of an event")
        operator = said.get("operator")
        allowed = _OPERATORS[field.kind]
        if operator not in [each.value for each in allowed]:
            names = ", ".join(sorted(allowed))
            return self.wrong(f"{place}.operator", "wrong_operator", f"{operator!r}: this field takes {names}")
        known = Operator(str(operator))
        return Compare(field, known, self.values(said, field, known, place))

    def values(self, said: Mapping[object, object], field: Field, operator: Operator, place: str) -> tuple[Scalar, ...]:
        place = f"{place}.value"
        if operator is Operator.EXISTS:
            if "value" in said:
                self.wrong(place, "unknown_field", "exists takes no value")
            return ()
        given = said.get("value")
        if operator is not Operator.IN:
            return self.value(given, field, operator, place)
        if not isinstance(given, list) or not 0 < len(given) <= self.limits.values:
            self.wrong(place, "wrong_type", f"a list of 1 to {self.limits.values} values")
            return ()
        each = [self.value(one, field, operator, f"{place}[{index}]") for index, one in enumerate(given)]
        return tuple(value for found in each for value in found)

    def value(self, given: object, field: Field, operator: Operator, place: str) -> tuple[Scalar, ...]:
        wanted = _wanted(field.kind, operator)
        found = _scalar(given, wanted)
        if found is None:
            names = " or ".join(sorted(kind.value for kind in wanted))
            self.wrong(place, "wrong_type", f"{_shown(given)} is not a {names} that can be compared")
            return ()
        return (found,)


def _wanted(kind: Kind, operator: Operator) -> frozenset[Kind]:
    """What a value may be."""
    if kind is not Kind.JSON:
        return frozenset({kind})
    if operator in _ORDERED:
        return frozenset({Kind.NUMBER})
    return frozenset({Kind.TEXT}) if operator in _OF_TEXT else frozenset({Kind.TEXT, Kind.NUMBER, Kind.FLAG})


def _scalar(given: object, wanted: frozenset[Kind]) -> Scalar | None:
    if isinstance(given, bool):
        return given if Kind.FLAG in wanted else None
    if isinstance(given, int | float):
        return given if Kind.NUMBER in wanted and abs(given) <= _EXACT else None
    if not isinstance(given, str) or len(given) > _LONGEST_TEXT:
        return None
    if Kind.TIME in wanted:
        return time_of(given)
    return given if Kind.TEXT in wanted and "\0" not in given else None


def time_of(given: str) -> int | None:
    """An RFC 3339 text as milliseconds."""
    try:
        found = datetime.fromisoformat(given)
        return milliseconds(found.astimezone(UTC)) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _shown(given: object) -> str:
    said = repr(given)
    return said if len(said) <= 60 else f"{said[:60]}…"  # noqa: PLR2004 - enough to recognise it


def field_named(name: object) -> Field | None:
    """The field of a name; None where there is none."""
    if not isinstance(name, str) or len(name) > _LONGEST_TEXT:
        return None
    root, *path = name.split(".")
    if root == "properties" and 0 < len(path) <= _LONGEST_PATH and all(path):
        return Field(Source.PROPERTY, tuple(path), Kind.JSON)
    return FIELDS.get(name)
