"""A schema as it came, and what can be said about it: where two differ, where a value breaks one. Reads nothing."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Never, Protocol

from msgspec import Struct

from recoup.kit.errors import Invalid, Problem

DEEPEST: Final = 64
"""How far brackets may be nested in a schema; deeper is an attack or a mistake."""


MOST_CHECKS: Final = 20_000
"""Checks that may be made, for one value, to tell what is wrong with it; some 40 µs each at the worst."""


class Format(StrEnum):
    """The formats, by the names that registries use for them."""

    AVRO = "AVRO"
    JSON = "JSON"
    PROTOBUF = "PROTOBUF"


class Source(Struct, frozen=True, kw_only=True):
    """A schema's text, and the texts of all that it refers to, by the names it uses; what is needed first stands first.

    Protobuf text is either a .proto file or a file descriptor in base64.
    """

    format: Format
    text: str
    references: Mapping[str, str] = {}


class Difference(Struct, frozen=True, kw_only=True):
    """Why a reader with one schema cannot read what was written under another."""

    rule: str
    path: str
    """Where in the reader's schema, or in the writer's for what the reader has not."""
    detail: str


class Kind(StrEnum):
    """What can be wrong with a value."""

    UNPLANNED_EVENT = "unplanned_event"
    """No schema speaks of such a thing; only whoever chooses the schema can know."""
    REQUIRED_MISSING = "required_missing"
    TYPE_MISMATCH = "type_mismatch"
    ADDITIONAL_PROPERTY = "additional_property"
    RANGE = "range"
    """Too much, too little, too many, or not among the values that are allowed."""
    FORMAT = "format"
    COMBINATION = "combination"
    """A rule about several schemas at once: any of, one of, none of."""


class Violation(Struct, frozen=True, kw_only=True):
    """One broken rule of a schema, and where in the value: a dotted path, with numbers in brackets."""

    kind: Kind
    path: str
    detail: str


class Validator(Protocol):
    """A compiled schema, to be kept."""

    @property
    def names(self) -> frozenset[str]:
        """What the schema speaks of in an object it describes, by the names that the object would use."""
        ...

    def violations(self, value: object) -> list[Violation]:
        """Everything that is wrong with a value, up to a limit; empty if nothing is."""
        ...


def refuse(path: str, detail: str, code: str = "schema_invalid") -> Never:
    """Says where a schema is wrong."""
    place = path or "(root)"
    raise Invalid(f"{detail}, at {place}", code=code, problems=[Problem(code=code, field=path, detail=detail)])


def dotted(parts: "list[str | int] | tuple[str | int, ...]") -> str:
    """A place inside a value, as people write it: `items[0].price`."""
    place = ""
    for part in parts:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    return place
