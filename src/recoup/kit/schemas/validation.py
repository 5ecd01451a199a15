"""A decoded JSON value against a schema: everything that is wrong with it, by name and place. Pure once compiled.

JSON Schema by the library; Avro and Protobuf by the JSON that their data has: an Avro union's value stands bare or
under its branch's name, and a Protobuf message may use the names of the .proto file or their camel case.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from recoup.kit.schemas import avro, avro_values, formats, json_schema, proto_values, protobuf
from recoup.kit.schemas.json_schema import Document
from recoup.kit.schemas.json_work import Work
from recoup.kit.schemas.source import MOST_CHECKS, Kind, Source, Validator, Violation, dotted, refuse

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

MOST: Final = 50
"""Violations of one value that are told."""

_KINDS: Final = {
    "required": Kind.REQUIRED_MISSING, "type": Kind.TYPE_MISMATCH,
    "additionalProperties": Kind.ADDITIONAL_PROPERTY, "unevaluatedProperties": Kind.ADDITIONAL_PROPERTY,
    "propertyNames": Kind.ADDITIONAL_PROPERTY, "falseSchema": Kind.ADDITIONAL_PROPERTY,
    "minimum": Kind.RANGE, "maximum": Kind.RANGE, "exclusiveMinimum": Kind.RANGE, "exclusiveMaximum": Kind.RANGE,
    "multipleOf": Kind.RANGE, "minLength": Kind.RANGE, "maxLength": Kind.RANGE, "minItems": Kind.RANGE,
    "maxItems": Kind.RANGE, "minProperties": Kind.RANGE, "maxProperties": Kind.RANGE, "uniqueItems": Kind.RANGE,
    "additionalItems": Kind.RANGE, "unevaluatedItems": Kind.RANGE, "contains": Kind.RANGE, "enum": Kind.RANGE,
    "const": Kind.RANGE, "format": Kind.FORMAT, "pattern": Kind.FORMAT, "contentEncoding": Kind.FORMAT,
    "contentMediaType": Kind.FORMAT, "fromUtf8": Kind.FORMAT, "backtrackLimitExceeded": Kind.FORMAT,
}  # fmt: skip
"""What the library's findings are called here; whatever else there is concerns several schemas at once."""


def compiled(source: Source, most_checks: int = MOST_CHECKS) -> Validator:
    """A validator to be kept; raises Invalid for a schema that is none. Protobuf text takes a process for it.

    Where a value could take more than `most_checks` of a JSON Schema, it is only said that it does not fit.
    """
    found = formats.read(source)
    match found:
        case Document():
            return _Json(found, most_checks)
        case protobuf.File():
            return _Proto(found)
        case _:
            return _Avro(found)


class _Json:
    def __init__(self, document: Document, most_checks: int) -> None:
        json_schema.check_ways(document)
        self._validator = document.validator
        self._work = Work(document.root)
        self._most_checks = most_checks
        self.names = frozenset(json_schema.names(document.root))

    def violations(self, value: object) -> list[Violation]:
        if self._validator.is_valid(value):
            return []
        if self._work.checks(value) > self._most_checks:
            return [_said(Kind.COMBINATION, [], "it does not fit; to find out why would take too long")]
        found: list[Violation] = []
        for error in self._validator.iter_errors(value):
            found += _named(error)
            if len(found) >= MOST:
                break
        return found[:MOST]


class _Avro:
    def __init__(self, type_: avro.Type) -> None:
        self._type = type_
        fields = type_.fields if isinstance(type_, avro.Record) else ()
        self.names = frozenset(name for field in fields for name in (field.name, *field.aliases))

    def violations(self, value: object) -> list[Violation]:
        return _first(avro_values.violations(value, self._type))


class _Proto:
    """Of several messages in a file the first is meant, as in the clients of registries."""

    def __init__(self, file: protobuf.File) -> None:
        self._file = file
        name = next((name for name, _ in file.own_messages()), None)
        self._message = name if name is not None else refuse("", "the file declares no message")
        fields = file.messages[self._message].field
        self.names = frozenset(
            name for field in fields for name in (field.name, field.json_name or protobuf.json_name(field.name))
        )

    def violations(self, value: object) -> list[Violation]:
        return _first(proto_values.violations(value, self._message, self._file))


def _first(found: Iterator[Violation]) -> list[Violation]:
    return [one for _, one in zip(range(MOST), found, strict=False)]


def _named(error: "ValidationError") -> list[Violation]:
    place = list(error.instance_path)
    name = error.kind.name
    value: Any = getattr(error.kind, "value", None)
    if name == "required":
        return [_said(Kind.REQUIRED_MISSING, [*place, str(value)], "it is not there")]
    if name in {"additionalProperties", "unevaluatedProperties"}:
        return [_said(Kind.ADDITIONAL_PROPERTY, [*place, one], "the schema has no such property") for one in value]
    if name in {"anyOf", "oneOf"} and all(value):
        return _of_branches(error, value)
    return [_said(_KINDS.get(name, Kind.COMBINATION), place, error.message)]


def _of_branches(error: "ValidationError", branches: "list[list[ValidationError]]") -> list[Violation]:
    """What is wrong in the one branch whose type fits; all of them together where that does not decide."""
    place = list(error.instance_path)
    likely = [
        branch for branch in branches
        if not any(one.kind.name in {"type", "const", "enum"} and list(one.instance_path) == place for one in branch)
    ]  # fmt: skip
    if len(likely) == 1:
        return [found for one in likely[0] for found in _named(one)]
    typed = not likely and all(branch and branch[0].kind.name == "type" for branch in branches)
    return [_said(Kind.TYPE_MISMATCH if typed else Kind.COMBINATION, place, error.message)]


def _said(kind: Kind, place: list[str | int], detail: str) -> Violation:
    return Violation(kind=kind, path=dotted(place), detail=detail[:500])
