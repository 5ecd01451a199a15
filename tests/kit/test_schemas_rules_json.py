"""Which JSON Schemas go together: a table from the format's own rules, and laws over made-up schemas."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.schemas import rules

from recoup.kit.errors import Invalid
from recoup.kit.schemas.source import Format

INT, TEXT, NUMBER, NULL = {"type": "integer"}, {"type": "string"}, {"type": "number"}, {"type": "null"}


def thing(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


def closed(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return thing(properties, additionalProperties=False, **more)


def listing(*ahead: Any, rest: Any = None) -> dict[str, Any]:
    return {"type": "array", "prefixItems": list(ahead), **({} if rest is None else {"items": rest})}


def json_rules(writer: Any, reader: Any) -> list[str]:
    return rules(Format.JSON, json.dumps(writer), json.dumps(reader))


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


def test_entangled_schemas_are_given_up_on_before_long() -> None:
    branches = [
        {"anyOf": [{"properties": {f"p{n}": {"type": kind}}} for kind in ("integer", "string")]} for n in range(24)
    ]
    with pytest.raises(Invalid, match="too entangled"):
        json_rules({"allOf": branches}, {"type": "object", "required": ["x"], "anyOf": [thing({}, required=["y"])]})
