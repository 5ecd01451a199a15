"""What goes together with what, in three formats: tables from the formats' own rules, and laws over made-up schemas."""

import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recoup.kit.errors import Invalid
from recoup.kit.schemas import formats
from recoup.kit.schemas.protobuf import File
from recoup.kit.schemas.source import Format, Source
from recoup.kit.schemas.validation import compiled

SHARED = Path(os.environ.get("RECOUP_SHARED") or "/nowhere") / "data" / "schema_compat" / "fastavro"
INT, TEXT, NUMBER, NULL = {"type": "integer"}, {"type": "string"}, {"type": "number"}, {"type": "null"}


def thing(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


def closed(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return thing(properties, additionalProperties=False, **more)


def record(*fields: Any, name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name: str, type_: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def fixed(size: int, **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": "F", "size": size, **more}


def listing(*ahead: Any, rest: Any = None) -> dict[str, Any]:
    return {"type": "array", "prefixItems": list(ahead), **({} if rest is None else {"items": rest})}


def json_rules(writer: Any, reader: Any) -> list[str]:
    return rules(Format.JSON, json.dumps(writer), json.dumps(reader))


def rules(format_: Format, writer: str, reader: str) -> list[str]:
    """The rules by which a reader cannot read what was written."""
    read = [formats.read(Source(format=format_, text=text)) for text in (reader, writer)]
    return [found.rule for found in formats.differences(*read)]


# Each row: what was written under, what is read with, and by which rules that does not go (none: it does).
JSON_TABLE = {
    "the same": (thing({"a": INT}), thing({"a": INT}), []),
    "words for people": (TEXT, {**TEXT, "title": "t", "description": "d", "examples": ["x"], "default": ""}, []),
    "whole numbers to numbers": (INT, NUMBER, []),
    "numbers to whole numbers": (NUMBER, INT, ["type_narrowed"]),
    "text to numbers": (TEXT, INT, ["type_changed"]),
    "one more type": (TEXT, {"type": ["string", "null"]}, []),
    "one type fewer": ({"type": ["string", "null"]}, TEXT, ["type_narrowed"]),
    "anything to something": ({}, TEXT, ["type_narrowed"]),
    "something to anything": (TEXT, {}, []),
    "something to nothing": (TEXT, False, ["nothing_allowed"]),
    "nothing to something": (False, TEXT, []),
    # content models
    "a property comes to an open model": (thing({}), thing({"a": INT}), ["property_added_to_open_content_model"]),
    "an empty one comes to an open model": (thing({}), thing({"a": {}}), []),
    "a property comes to a closed model": (closed({}), closed({"a": INT}), []),
    "a property comes to a partly open model that covers it": (
        thing({}, additionalProperties=INT), thing({"a": NUMBER}, additionalProperties=INT), []),
    "a property comes to a partly open model that does not": (
        thing({}, additionalProperties=TEXT), thing({"a": INT}), ["property_added_to_partially_open_content_model"]),
    "a property goes from an open model": (thing({"a": INT}), thing({}), []),
    "a property goes from a closed model": (
        closed({"a": INT}), closed({}), ["property_removed_from_closed_content_model"]),
    "a forbidden one goes from a closed model": (closed({"a": False}), closed({}), []),
    "a property goes to a partly open model that covers it": (
        closed({"a": INT}), thing({}, additionalProperties=INT), []),
    "a property goes to a partly open model that does not": (
        closed({"a": INT}), thing({}, additionalProperties=TEXT),
        ["property_removed_from_partially_open_content_model"]),
    "a model opens": (closed({"a": INT}), thing({"a": INT}), []),
    "a model closes": (thing({"a": INT}), closed({"a": INT}), ["additional_properties_removed"]),
    "others are narrowed": (
        thing({}, additionalProperties=NUMBER), thing({}, additionalProperties=INT),
        ["additional_properties_narrowed"]),
    "others are widened": (thing({}, additionalProperties=INT), thing({}, additionalProperties=NUMBER), []),
    "a pattern takes over": (closed({"x_a": INT}), closed({}, patternProperties={"^x_": INT}), []),
    "a pattern comes to an open model": (
        thing({}), thing({}, patternProperties={"^x_": INT}), ["pattern_property_changed"]),
    "names are limited": (thing({}), thing({}, propertyNames={"maxLength": 3}), ["property_names_changed"]),
    # required
    "something is required": (thing({"a": INT}), thing({"a": INT}, required=["a"]), ["required_attribute_added"]),
    "something with a default is required": (
        thing({"a": INT}), thing({"a": {**INT, "default": 0}}, required=["a"]), []),
    "nothing is required any more": (thing({"a": INT}, required=["a"]), thing({"a": INT}), []),
    "a required one comes to a closed model": (
        closed({}), closed({"a": INT}, required=["a"]), ["required_attribute_added"]),
    "something brings something": (
        thing({}), thing({}, dependentRequired={"a": ["b"]}), ["dependency_array_extended"]),
    "something required brings nothing new": (
        thing({}, required=["b"]), thing({}, dependentRequired={"a": ["b"]}), []),
    # limits
    "a longer limit": ({**TEXT, "maxLength": 3}, {**TEXT, "maxLength": 5}, []),
    "a shorter limit": ({**TEXT, "maxLength": 5}, {**TEXT, "maxLength": 3}, ["max_length_decreased"]),
    "a new limit": (TEXT, {**TEXT, "maxLength": 3}, ["max_length_added"]),
    "a limit of another type": (INT, {"maxLength": 3}, []),
    "a higher minimum": ({**INT, "minimum": 1}, {**INT, "minimum": 2}, ["minimum_increased"]),
    "an open end": ({**INT, "minimum": 1}, {**INT, "exclusiveMinimum": 1}, ["exclusive_minimum_increased"]),
    "a closed end": ({**INT, "exclusiveMinimum": 1}, {**INT, "minimum": 1}, []),
    "a divisor of what it was": ({**INT, "multipleOf": 6}, {**INT, "multipleOf": 3}, []),
    "no divisor of what it was": ({**INT, "multipleOf": 6}, {**INT, "multipleOf": 4}, ["multiple_of_changed"]),
    "a pattern": (TEXT, {**TEXT, "pattern": "^a"}, ["pattern_added"]),
    "another pattern": ({**TEXT, "pattern": "^b"}, {**TEXT, "pattern": "^a"}, ["pattern_changed"]),
    "a format that is checked": (TEXT, {**TEXT, "format": "email"}, ["format_added"]),
    "a format that is a remark": (TEXT, {**TEXT, "format": "colour"}, []),
    "fewer properties": (thing({}), thing({}, maxProperties=3), ["max_properties_added"]),
    # enumerations
    "one more value": ({"enum": ["a"]}, {"enum": ["a", "b"]}, []),
    "one value fewer": ({"enum": ["a", "b"]}, {"enum": ["a"]}, ["enum_narrowed"]),
    "values to their type": ({"enum": ["a", "b"]}, TEXT, []),
    "values to another type": ({"enum": ["a", 1]}, TEXT, ["enum_narrowed"]),
    "a type to values": (TEXT, {"enum": ["a"]}, ["enum_added"]),
    "one value to many": ({"const": 1}, {"enum": [1, 2]}, []),
    # lists
    "items get a schema": ({"type": "array"}, {"type": "array", "items": INT}, ["additional_items_removed"]),
    "items are widened": ({"type": "array", "items": INT}, {"type": "array", "items": NUMBER}, []),
    "an item comes to an open list": (listing(INT), listing(INT, TEXT), ["item_added_to_open_content_model"]),
    "an item comes to a closed list": (listing(INT, rest=False), listing(INT, TEXT, rest=False), []),
    "an item goes from an open list": (listing(INT, TEXT), listing(INT), []),
    "an item goes from a closed list": (
        listing(INT, TEXT, rest=False), listing(INT, rest=False), ["item_removed_from_closed_content_model"]),
    "items may not repeat": ({"type": "array"}, {"type": "array", "uniqueItems": True}, ["unique_items_added"]),
    "something must be in it": ({"type": "array"}, {"type": "array", "contains": INT}, ["contains_changed"]),
    "less must be in it": ({"type": "array", "contains": INT}, {"type": "array", "contains": NUMBER}, []),
    # combinations
    "one to a choice": (TEXT, {"oneOf": [TEXT, INT]}, []),
    "a choice to one": ({"oneOf": [TEXT, INT]}, TEXT, ["type_changed"]),
    "one more choice": ({"anyOf": [TEXT, INT]}, {"anyOf": [NULL, INT, TEXT]}, []),
    "one choice fewer": ({"anyOf": [TEXT, INT]}, {"anyOf": [TEXT]}, ["combined_type_subschemas_changed"]),
    "types to a choice": ({"type": ["string", "null"]}, {"anyOf": [TEXT, NULL]}, []),
    "one demand more": ({"allOf": [TEXT]}, {"allOf": [TEXT, {"minLength": 1}]}, ["min_length_added"]),
    "one demand fewer": ({"allOf": [TEXT, {"minLength": 1}]}, {"allOf": [TEXT]}, []),
    "demands put together": (
        {"allOf": [thing({"a": INT}), thing({}, required=["a"])]}, thing({"a": INT}, required=["a"]), []),
    "less is ruled out": ({"not": {"type": ["string", "null"]}}, {"not": TEXT}, []),
    "more is ruled out": ({"not": TEXT}, {"not": {"type": ["string", "null"]}}, ["not_type_extended"]),
    "another condition": (
        thing({}), {"if": {"required": ["a"]}, "then": {"required": ["b"]}}, ["conditional_changed"]),
    "a reference to the same": ({"$ref": "#/$defs/a", "$defs": {"a": INT}}, INT, []),
    "a tree with other leaves": (
        {"$ref": "#/$defs/t", "$defs": {"t": thing({"next": {"$ref": "#/$defs/t"}, "leaf": INT})}},
        {"$ref": "#/$defs/t", "$defs": {"t": thing({"next": {"$ref": "#/$defs/t"}, "leaf": TEXT})}},
        ["type_changed"]),
}  # fmt: skip


@pytest.mark.parametrize(("writer", "reader", "expected"), JSON_TABLE.values(), ids=JSON_TABLE)
def test_json_schema(writer: Any, reader: Any, expected: list[str]) -> None:
    assert json_rules(modern(writer), modern(reader)) == expected


def modern(schema: Any) -> Any:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema} if isinstance(schema, dict) else schema


OLD = {
    "tuples": ({"items": [INT]}, {"items": [INT, TEXT]}, ["item_added_to_open_content_model"]),
    "closed tuples": ({"items": [INT], "additionalItems": False}, {"items": [INT, TEXT], "additionalItems": False}, []),
    "dependencies": ({}, {"dependencies": {"a": ["b"]}}, ["dependency_array_extended"]),
    "neighbours of a reference": ({"$ref": "#/definitions/a", "definitions": {"a": {}}},
                                  {"$ref": "#/definitions/a", "definitions": {"a": {}}, "maxLength": 1}, []),
}  # fmt: skip


@pytest.mark.parametrize(("writer", "reader", "expected"), OLD.values(), ids=OLD)
def test_json_schema_in_the_older_draft(writer: Any, reader: Any, expected: list[str]) -> None:
    assert json_rules(writer, reader) == expected


leaves = st.sampled_from([
    INT, TEXT, NUMBER, NULL, {}, True, False, {"type": ["string", "null"]}, {"enum": ["a", 1]}, {"enum": ["a"]},
    {"const": 1}, {**INT, "minimum": 1}, {**INT, "exclusiveMaximum": 9}, {**TEXT, "minLength": 2},
    {**NUMBER, "multipleOf": 3},
])  # fmt: skip


def bigger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    names = st.lists(st.sampled_from("abc"), unique=True, max_size=2)
    shape = st.fixed_dictionaries(
        {"type": st.just("object"), "properties": properties},
        optional={"additionalProperties": inner, "required": names},
    )
    lists = st.fixed_dictionaries({"type": st.just("array")}, optional={"items": inner, "minItems": st.integers(0, 2)})
    some = st.lists(inner, min_size=1, max_size=2)
    choice = st.fixed_dictionaries({}, optional={"anyOf": some, "allOf": some, "not": inner})
    return st.one_of(shape, lists, choice)


schemas = st.recursive(leaves, bigger, max_leaves=6)
values = st.recursive(
    st.sampled_from([None, True, 0, 1, 3, 9, 1.5, "", "a", "ab"]),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=5,
)


@settings(max_examples=1500, deadline=None, database=None)
@given(writer=schemas, reader=schemas, value=values)
def test_what_is_called_compatible_never_refuses_a_value_that_could_be_written(
    writer: Any, reader: Any, value: Any
) -> None:
    writer, reader = modern(writer), modern(reader)
    if jsonschema_rs.Draft202012Validator(writer).is_valid(value) and not json_rules(writer, reader):
        assert jsonschema_rs.Draft202012Validator(reader).is_valid(value)


@settings(max_examples=300, deadline=None, database=None)
@given(schema=schemas)
def test_every_schema_goes_together_with_itself(schema: Any) -> None:
    assert json_rules(schema, schema) == []


@settings(max_examples=300, deadline=None, database=None)
@given(writer=schemas, reader=schemas)
def test_whoever_widens_a_schema_is_never_refused(writer: Any, reader: Any) -> None:
    assert json_rules(writer, {"anyOf": [reader, writer]}) == []
    assert json_rules({"allOf": [reader, writer]}, writer) == []


AVRO_TABLE = {
    **{f"{a} to {b}": (a, b, [] if b in wider else ["type_mismatch"])
       for a, wider in {
           "int": {"int", "long", "float", "double"}, "long": {"long", "float", "double"}, "float": {"float", "double"},
           "double": {"double"}, "string": {"string", "bytes"}, "bytes": {"bytes", "string"}, "boolean": {"boolean"},
           "null": {"null"},
       }.items() for b in ("int", "long", "float", "double", "string", "bytes", "boolean", "null")},
    "a field with a default comes": (record(), record(field("a", "int", default=0)), []),
    "a field without a default comes": (record(), record(field("a", "int")), ["reader_field_missing_default"]),
    "a field goes": (record(field("a", "int")), record(), []),
    "a field is renamed": (record(field("a", "int")), record(field("b", "int")), ["reader_field_missing_default"]),
    "a field is renamed with an alias": (record(field("a", "int")), record(field("b", "int", aliases=["a"])), []),
    "a field's type is promoted": (record(field("a", "int")), record(field("a", "double")), []),
    "a field's type is demoted": (record(field("a", "long")), record(field("a", "int")), ["type_mismatch"]),
    "fields change places": (
        record(field("a", "int"), field("b", "string")), record(field("b", "string"), field("a", "int")), []),
    "a record is renamed": (record(name="A"), record(name="B"), ["name_mismatch"]),
    "a record is renamed with an alias": (record(name="A"), record(name="B", aliases=["A"]), []),
    "a record moves to another namespace": (record(name="x.A"), record(name="y.A"), []),
    "a symbol comes": (enum("A"), enum("A", "B"), []),
    "a symbol goes": (enum("A", "B"), enum("A"), ["missing_enum_symbols"]),
    "a symbol goes and there is a default": (enum("A", "B"), enum("A", default="A"), []),
    "an enum is renamed": (enum("A"), {**enum("A"), "name": "G"}, ["name_mismatch"]),
    "fixed of the same size": (fixed(3), fixed(3), []),
    "fixed of another size": (fixed(3), fixed(4), ["fixed_size_mismatch"]),
    "a union grows": (["null", "int"], ["null", "int", "string"], []),
    "a union shrinks": (["null", "int"], ["null"], ["missing_union_branch"]),
    "a type to a union with it": ("int", ["null", "int"], []),
    "a type to a union that promotes it": ("int", ["null", "double"], []),
    "a union to a type that takes all of it": (["int", "long"], "double", []),
    "a union to one of its types": (["null", "int"], "int", ["type_mismatch"]),
    "a union's branches change places": (["null", "int"], ["int", "null"], []),
    "items are promoted": ({"type": "array", "items": "int"}, {"type": "array", "items": "long"}, []),
    "items change": ({"type": "array", "items": "int"}, {"type": "array", "items": "string"}, ["type_mismatch"]),
    "values are promoted": ({"type": "map", "values": "int"}, {"type": "map", "values": "long"}, []),
    "a map is no list": ({"type": "map", "values": "int"}, {"type": "array", "items": "int"}, ["type_mismatch"]),
    "decimals of the same scale": (
        {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
        {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, []),
    "decimals of another scale": (
        {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
        {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 0}, ["decimal_mismatch"]),
    "a list of itself": (
        record(field("next", ["null", "R"], default=None), field("a", "int")),
        record(field("next", ["null", "R"], default=None), field("a", "long")), []),
    "a list of itself with another leaf": (
        record(field("a", "string"), field("next", ["null", "R"], default=None)),
        record(field("a", "long"), field("next", ["null", "R"], default=None)), ["type_mismatch"]),
}  # fmt: skip


@pytest.mark.parametrize(("writer", "reader", "expected"), AVRO_TABLE.values(), ids=AVRO_TABLE)
def test_avro(writer: Any, reader: Any, expected: list[str]) -> None:
    assert rules(Format.AVRO, json.dumps(writer), json.dumps(reader)) == expected


NOT_AVRO = [
    '{"type": "record", "name": "R"}', '{"type": "record", "fields": []}', '{"type": "enum", "name": "E"}',
    '{"type": "enum", "name": "E", "symbols": ["A", "A"]}', '{"type": "enum", "name": "E", "symbols": ["1"]}',
    '{"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}', '{"type": "fixed", "name": "F", "size": -1}',
    '["int", "int"]', '["null", ["int"]]', '{"type": "array"}', '{"type": "map"}', '"money"', "3", "null", "[3]",
    '{"type": "record", "name": "1R", "fields": []}', '{"type": "record", "name": "R", "fields": 3}',
    '{"type": "record", "name": "R", "fields": [3]}', '{"type": "record", "name": "R", "fields": [{"name": "a"}]}',
    json.dumps(record(field("a", "int"), field("a", "int"))), json.dumps(record(field("a", "int", default="x"))),
    json.dumps(record(field("a", ["null", "int"], default="x"))), json.dumps(record(field("a", "int", aliases=3))),
    json.dumps(record(field("a", record()), field("b", record()))), '{"type": "record", "name": "int", "fields": []}',
    '{"type": {"type": []}', '{"type": "record", "name": "R", "namespace": 5, "fields": []}',
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_AVRO)
def test_what_is_no_avro_schema_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        formats.read(Source(format=Format.AVRO, text=text))


avro_types = st.recursive(
    st.sampled_from(["null", "int", "long", "float", "double", "string", "bytes", "boolean"]),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"type": st.just("map"), "values": inner}),
        st.lists(st.sampled_from(["null", "int", "string", "double"]), min_size=1, max_size=3, unique=True),
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None, database=None)
@given(data=st.data(), writer=avro_types, reader=avro_types)
def test_avro_that_is_called_compatible_can_be_read_by_another_library(data: Any, writer: Any, reader: Any) -> None:
    if rules(Format.AVRO, json.dumps(writer), json.dumps(reader)):
        return
    value = data.draw(avro_values(writer))
    raw = encoded(writer, value)
    assert fastavro.schemaless_reader(raw, writer, reader) is not ...


def avro_values(type_: Any) -> st.SearchStrategy[Any]:
    if isinstance(type_, list):
        return st.one_of(*(avro_values(branch) for branch in type_))
    if isinstance(type_, dict):
        inner = avro_values(type_.get("items", type_.get("values")))
        return (
            st.lists(inner, max_size=2)
            if type_["type"] == "array"
            else st.dictionaries(st.text(max_size=2), inner, max_size=2)
        )
    plain: dict[str, st.SearchStrategy[Any]] = {
        "null": st.none(), "int": st.integers(-9, 9), "long": st.integers(-9, 9), "float": st.just(0.5),
        "double": st.just(0.5), "string": st.text(max_size=2), "bytes": st.just(b"x"), "boolean": st.booleans(),
    }  # fmt: skip
    return plain[type_]


def encoded(schema: Any, value: Any) -> Any:
    from io import BytesIO  # noqa: PLC0415 - of no use elsewhere

    raw = BytesIO()
    fastavro.schemaless_writer(raw, schema, value)
    raw.seek(0)
    return raw


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


def test_entangled_schemas_are_given_up_on_before_long() -> None:
    branches = [
        {"anyOf": [{"properties": {f"p{n}": {"type": kind}}} for kind in ("integer", "string")]} for n in range(24)
    ]
    with pytest.raises(Invalid, match="too entangled"):
        json_rules({"allOf": branches}, {"type": "object", "required": ["x"], "anyOf": [thing({}, required=["y"])]})


def avro_files() -> list[Path]:
    return sorted((SHARED / "avro-files").glob("*.avro"))


@pytest.mark.skipif(not SHARED.exists(), reason="the files are not here: set RECOUP_SHARED")
@pytest.mark.parametrize("path", avro_files(), ids=lambda path: path.name)
def test_other_peoples_avro_files_have_schemas_and_their_data_keep_to_them(path: Path) -> None:
    with path.open("rb") as file:
        reader = fastavro.reader(file)
        text = str(reader.metadata["avro.schema"])
        schema = Source(format=Format.AVRO, text=text)
        assert formats.differences(formats.read(schema), formats.read(schema)) == []
        # Snappy is no codec of ours: such a file shows its schema only.
        rows = [] if reader.codec == "snappy" else [row for row, _ in zip(reader, range(20), strict=False)]
    check = compiled(schema)
    for row in rows:
        assert check.violations(plain(row)) == []


def plain(value: Any) -> Any:
    """Bytes as the text that Avro's JSON has for them."""
    if isinstance(value, bytes):
        return value.decode("latin1")
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, UUID):
        return str(value)
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def load_tests() -> list[Path]:
    return sorted(SHARED.glob("load_schema_test*/A.avsc"))


@pytest.mark.skipif(not SHARED.exists(), reason="the files are not here: set RECOUP_SHARED")
@pytest.mark.parametrize("path", load_tests(), ids=lambda path: path.parent.name)
def test_other_peoples_schemas_find_each_other(path: Path) -> None:
    found: dict[str, str] = {}
    others = sorted(other for other in path.parent.rglob("*.avsc") if other != path)
    for _ in others:
        for other in others:
            gather(other, found)
    formats.read(Source(format=Format.AVRO, text=path.read_text(), references=found))


def gather(path: Path, found: dict[str, str]) -> None:
    """Takes a file as a reference as soon as all it refers to is there."""
    if path.stem in found:
        return
    try:
        formats.read(Source(format=Format.AVRO, text=path.read_text(), references=found))
    except Invalid:
        return
    found[path.stem] = path.read_text()
