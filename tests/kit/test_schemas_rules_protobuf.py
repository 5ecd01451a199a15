"""Which Protobuf schemas go together: tables from the format's own rules; and that formats do not mix."""

import pytest
from tests.kit.schemas import rules

from recoup.kit.schemas import formats
from recoup.kit.schemas.protobuf import File
from recoup.kit.schemas.source import Format, Source


def message(body: str, syntax: str = "proto3") -> str:
    other = "optional int32 a = 1;" if syntax == "proto2" else "int32 a = 1;"
    return f'syntax = "{syntax}"; message M {{ {body} }} message N {{ {other} }} enum E {{ E_ZERO = 0; E_ONE = 1; }}'


PROTO_TABLE = {
    "a field is renamed": ("int32 a = 1;", "int32 b = 1;", []),
    "a field comes": ("int32 a = 1;", "int32 a = 1; string b = 2;", []),
    "a field goes": ("int32 a = 1; string b = 2;", "int32 a = 1;", []),
    "a field's number changes its type": ("int32 a = 1;", "string a = 1;", ["field_scalar_kind_changed"]),
    **{f"{a} to {b}": (f"{a} a = 1;", f"{b} a = 1;", [] if a in group and b in group else ["field_scalar_kind_changed"])
       for group in [{"int32", "uint32", "int64", "uint64", "bool"}]
       for a in sorted(group) for b in ["int64", "bool", "sint32", "fixed32", "double"]},
    "signed to signed": ("sint32 a = 1;", "sint64 a = 1;", []),
    "fixed to fixed": ("fixed64 a = 1;", "sfixed64 a = 1;", []),
    "fixed to another width": ("fixed32 a = 1;", "fixed64 a = 1;", ["field_scalar_kind_changed"]),
    "float to double": ("float a = 1;", "double a = 1;", ["field_scalar_kind_changed"]),
    "text to bytes": ("string a = 1;", "bytes a = 1;", []),
    "an enum to a number": ("E a = 1;", "int32 a = 1;", []),
    "a message to a number": ("N a = 1;", "int32 a = 1;", ["field_kind_changed"]),
    "a message to another": ("N a = 1;", "M a = 1;", ["field_named_type_changed"]),
    "one number to many": ("int32 a = 1;", "repeated int32 a = 1;", ["field_numeric_label_changed"]),
    "many numbers to one": ("repeated int32 a = 1;", "int32 a = 1;", ["field_numeric_label_changed"]),
    "one text to many": ("string a = 1;", "repeated string a = 1;", []),
    "one message to many": ("N a = 1;", "repeated N a = 1;", []),
    "a map's values change": (
        "map<string, int32> a = 1;", "map<string, string> a = 1;", ["field_scalar_kind_changed"]),
    "a map to a list": ("map<string, N> a = 1;", "repeated N a = 1;", ["field_kind_changed"]),
    "a field becomes optional": ("int32 a = 1;", "optional int32 a = 1;", []),
    "one field moves into a new oneof": ("int32 a = 1;", "oneof o { int32 a = 1; int32 b = 2; }", []),
    "two fields move into a oneof": (
        "int32 a = 1; int32 b = 2;", "oneof o { int32 a = 1; int32 b = 2; }", ["fields_moved_to_oneof"]),
    "a field moves into a oneof that was there": (
        "oneof o { int32 a = 1; } int32 b = 2;", "oneof o { int32 a = 1; int32 b = 2; }", ["fields_moved_to_oneof"]),
    "a oneof grows": ("oneof o { int32 a = 1; }", "oneof o { int32 a = 1; int32 b = 2; }", []),
    "a oneof shrinks": (
        "oneof o { int32 a = 1; int32 b = 2; }", "oneof o { int32 a = 1; }", ["oneof_field_removed"]),
    "a oneof is taken apart": ("oneof o { int32 a = 1; int32 b = 2; }", "int32 a = 1; int32 b = 2;", []),
    "a reserved number comes back": ("reserved 2;", "int32 b = 2;", ["reserved_number_used"]),
    "a reserved name comes back": ('reserved "b";', "int32 b = 2;", ["reserved_name_used"]),
    "a number is reserved": ("int32 a = 1; int32 b = 2;", "int32 a = 1; reserved 2;", []),
    "a nested message goes": ("message Q { int32 a = 1; }", "", ["message_removed"]),
    "a nested message changes": (
        "message Q { int32 a = 1; } Q q = 1;", "message Q { string a = 1; } Q q = 1;", ["field_scalar_kind_changed"]),
}  # fmt: skip
REQUIRED = {
    "required comes": ("", "required int32 a = 1;", ["required_field_added"]),
    "required goes": ("required int32 a = 1;", "", ["required_field_removed"]),
    "optional becomes required": ("optional int32 a = 1;", "required int32 a = 1;", ["required_field_added"]),
    "a group to a message": (
        "optional group G = 1 { optional int32 a = 1; }",
        "optional N G = 1;",
        ["field_kind_changed"],
    ),
}


@pytest.mark.parametrize(("writer", "reader", "expected"), PROTO_TABLE.values(), ids=PROTO_TABLE)
def test_protobuf(writer: str, reader: str, expected: list[str]) -> None:
    assert rules(Format.PROTOBUF, message(writer), message(reader)) == expected


@pytest.mark.parametrize(("writer", "reader", "expected"), REQUIRED.values(), ids=REQUIRED)
def test_protobuf_with_required_fields(writer: str, reader: str, expected: list[str]) -> None:
    assert set(rules(Format.PROTOBUF, message(writer, "proto2"), message(reader, "proto2"))) >= set(expected)


def test_protobuf_packages_are_not_on_the_wire() -> None:
    one, other = (f'syntax = "proto3"; package {name}; message A {{ A next = 1; }}' for name in ("x", "y"))
    assert rules(Format.PROTOBUF, one, other) == []


@pytest.mark.parametrize(
    "name", ["any", "api", "duration", "empty", "field_mask", "struct", "timestamp", "type", "wrappers"]
)
def test_protobufs_own_types_can_be_imported_in_either_form(name: str) -> None:
    text = f'syntax = "proto3"; import "google/protobuf/{name}.proto"; message A {{ int32 a = 1; }}'
    found = formats.read(Source(format=Format.PROTOBUF, text=text))
    assert isinstance(found, File)
    again = formats.read(Source(format=Format.PROTOBUF, text=found.serialized))
    assert isinstance(again, File)
    assert again.serialized == found.serialized


def test_schemas_of_two_formats_do_not_go_together() -> None:
    avro, json_ = (
        formats.read(Source(format=Format.AVRO, text='"int"')),
        formats.read(Source(format=Format.JSON, text="{}")),
    )
    assert [found.rule for found in formats.differences(avro, json_)] == ["format_changed"]
