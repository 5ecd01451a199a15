"""JSON values against a Protobuf message, by Protobuf's own mapping to JSON. Pure."""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, cast

from recoup.kit.schemas.protobuf import File, json_name
from recoup.kit.schemas.source import Kind, Violation, dotted

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

Place = tuple[str | int, ...]
_MESSAGES: Final = frozenset({10, 11})
_BOOL, _STRING, _BYTES, _ENUM = 8, 9, 12, 14
_REQUIRED, _REPEATED = 2, 3
_FLOATS: Final = frozenset({1, 2})
_INT32, _UINT32 = (-(2**31), 2**31 - 1), (0, 2**32 - 1)
_INT64, _UINT64 = (-(2**63), 2**63 - 1), (0, 2**64 - 1)
_LIMITS: Final = {
    3: _INT64, 16: _INT64, 18: _INT64, 4: _UINT64, 6: _UINT64, 5: _INT32, 15: _INT32, 17: _INT32, 7: _UINT32,
    13: _UINT32,
}  # fmt: skip
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_DIGITS: Final = re.compile(r"-?\d{1,30}")
_DURATION: Final = re.compile(r"-?\d{1,12}(\.\d{1,9})?s")
_TEXTS: Final = {".google.protobuf.Timestamp": _TIMESTAMP, ".google.protobuf.Duration": _DURATION}
_WRAPPED: Final = {
    "DoubleValue": 1, "FloatValue": 2, "Int64Value": 3, "UInt64Value": 4, "Int32Value": 5, "UInt32Value": 13,
    "BoolValue": 8, "StringValue": 9, "BytesValue": 12,
}  # fmt: skip
_WELL_KNOWN: Final = ".google.protobuf."


def violations(value: object, message: str, file: File, place: Place = ()) -> Iterator[Violation]:
    """Everything that is wrong with a value as a message of that full name."""
    if message.startswith(_WELL_KNOWN):
        yield from _well_known(value, message, place)
        return
    if not isinstance(value, dict):
        yield _said(Kind.TYPE_MISMATCH, place, f"{value!r:.100} is no {message[1:]}")
        return
    declared = file.messages[message]
    fields = {
        name: entry for entry in declared.field for name in (entry.name, entry.json_name or json_name(entry.name))
    }
    seen: set[int] = set()
    for name, inner in cast("dict[str, object]", value).items():
        entry = fields.get(name)
        if entry is None:
            yield _said(Kind.ADDITIONAL_PROPERTY, (*place, name), "the message has no such field")
            continue
        if inner is not None:
            seen.add(entry.number)
            yield from _field(inner, entry, file, (*place, name))
    yield from _absent(declared, seen, place)


def _absent(declared: "DescriptorProto", seen: set[int], place: Place) -> Iterator[Violation]:
    chosen: dict[int, str] = {}
    for entry in declared.field:
        if entry.label == _REQUIRED and entry.number not in seen:
            yield _said(Kind.REQUIRED_MISSING, (*place, entry.name), "it is required and not there")
        if entry.HasField("oneof_index") and not entry.proto3_optional and entry.number in seen:
            other = chosen.setdefault(entry.oneof_index, entry.name)
            if other != entry.name:
                yield _said(Kind.COMBINATION, (*place, entry.name), f"only one of this and {other!r} can be given")


def _field(value: object, entry: "FieldDescriptorProto", file: File, place: Place) -> Iterator[Violation]:
    inner = file.messages.get(entry.type_name)
    if inner is not None and inner.options.map_entry:
        if not isinstance(value, dict):
            yield _said(Kind.TYPE_MISMATCH, place, "a map is an object")
            return
        for name, item in cast("dict[str, object]", value).items():
            yield from _one(item, inner.field[1], file, (*place, name))
    elif entry.label == _REPEATED:
        if not isinstance(value, list):
            yield _said(Kind.TYPE_MISMATCH, place, "this is a list")
            return
        for at, item in enumerate(cast("list[object]", value)):
            yield from _one(item, entry, file, (*place, at))
    else:
        yield from _one(value, entry, file, place)


def _one(value: object, entry: "FieldDescriptorProto", file: File, place: Place) -> Iterator[Violation]:
    if entry.type in _MESSAGES:
        yield from violations(value, entry.type_name, file, place)
    elif entry.type == _ENUM:
        enum = file.enums.get(entry.type_name)
        names = [one.name for one in enum.value] if enum is not None else []
        if isinstance(value, str) and value not in names:
            yield _said(Kind.RANGE, place, f"{value[:100]!r} is none of {', '.join(names[:20])}")
        elif not isinstance(value, str) and (isinstance(value, bool) or not isinstance(value, int)):
            yield _said(Kind.TYPE_MISMATCH, place, f"{value!r:.100} is no {entry.type_name[1:]}")
    else:
        yield from _scalar(value, entry.type, place)


def _scalar(value: object, type_: int, place: Place) -> Iterator[Violation]:
    if type_ in _LIMITS:
        yield from _integer(value, type_, place)
    elif type_ in _FLOATS:
        if isinstance(value, bool) or _number(value) is None:
            yield _said(Kind.TYPE_MISMATCH, place, f"{value!r:.100} is no number")
    elif type_ == _BOOL:
        if not isinstance(value, bool):
            yield _said(Kind.TYPE_MISMATCH, place, f"{value!r:.100} is neither true nor false")
    elif not isinstance(value, str):
        yield _said(Kind.TYPE_MISMATCH, place, f"{value!r:.100} is no text")
    elif type_ == _BYTES and not _is_base64(value):
        yield _said(Kind.FORMAT, place, "bytes are written in base64")


def _integer(value: object, type_: int, place: Place) -> Iterator[Violation]:
    low, high = _LIMITS[type_]
    found = None if isinstance(value, bool) else _whole(value)
    if found is None:
        yield _said(Kind.TYPE_MISMATCH, place, f"{value!r:.100} is no whole number")
    elif not low <= found <= high:
        yield _said(Kind.RANGE, place, f"{value!r:.100} is not between {low} and {high}")


def _whole(value: object) -> int | None:
    """Exactly: 64 bits do not fit into a float."""
    if isinstance(value, int) or (isinstance(value, str) and _DIGITS.fullmatch(value)):
        return int(value)
    found = _number(value)
    return int(found) if found is not None and found.is_integer() else None


def _number(value: object) -> float | None:
    """A number, or the text that Protobuf's JSON has for one."""
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _well_known(value: object, message: str, place: Place) -> Iterator[Violation]:
    wrapped = _WRAPPED.get(message.removeprefix(_WELL_KNOWN))
    if wrapped is not None:
        yield from _scalar(value, wrapped, place)
    elif message in _TEXTS:
        if not isinstance(value, str):
            yield _said(Kind.TYPE_MISMATCH, place, f"{value!r:.100} is no text")
        elif not _TEXTS[message].fullmatch(value):
            yield _said(Kind.FORMAT, place, f"{value[:100]!r} is no {message.removeprefix(_WELL_KNOWN)}")
    elif message.endswith((".Struct", ".Any", ".Empty")) and not isinstance(value, dict):
        yield _said(Kind.TYPE_MISMATCH, place, "this is an object")
    elif message.endswith(".ListValue") and not isinstance(value, list):
        yield _said(Kind.TYPE_MISMATCH, place, "this is a list")


def _said(kind: Kind, place: Place, detail: str) -> Violation:
    return Violation(kind=kind, path=dotted(place), detail=detail)
