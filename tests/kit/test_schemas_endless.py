"""JSON Schemas whose references lead back to themselves: read, compared and held against values within bounds."""

import json
from typing import Any

import pytest

from recoup.kit.errors import Invalid
from recoup.kit.schemas import formats, json_schema
from recoup.kit.schemas.json_work import ENDLESS, Work
from recoup.kit.schemas.source import Format, Kind, Source
from recoup.kit.schemas.validation import compiled

AGAIN = {"$ref": "#"}
INSIDE = {"properties": {"c": AGAIN}}
NEWER = "https://json-schema.org/draft/2020-12/schema"


def source(schema: Any) -> Source:
    return Source(format=Format.JSON, text=json.dumps(schema))


def chain(length: int, last: object, keyword: str = "allOf", times: int = 1) -> dict[str, Any]:
    """Definitions of which each leads to the next one, so many times."""
    steps = {f"d{at}": {keyword: [{"$ref": f"#/definitions/d{at + 1}"}] * times} for at in range(length)}
    return {"$ref": "#/definitions/d0", "definitions": {**steps, f"d{length}": last}}


def nested(depth: int, inmost: object) -> object:
    value = inmost
    for _ in range(depth):
        value = {"c": value}
    return value


ENTANGLED = {
    "each with each": {
        "$ref": "#/definitions/d0",
        "definitions": {
            f"d{one}": {"allOf": [*({"$ref": f"#/definitions/d{other}"} for other in range(9) if other != one)],
                        "type": "object", "properties": {"c": {"$ref": "#/definitions/d0"}}}
            for one in range(9)
        },
    },
    "any of itself": {"type": "object", "properties": {"c": {"anyOf": [AGAIN, AGAIN]}}},
    "all of itself": {"type": "object", "allOf": [INSIDE, INSIDE]},
    "one of itself": {"type": "object", "properties": {"c": {"oneOf": [AGAIN, {"allOf": [AGAIN]}]}}},
    "by patterns": {"type": "object", "patternProperties": {"c": AGAIN, "^c": AGAIN}},
    "by dependencies": {"type": "object", **INSIDE, "dependencies": {"c": INSIDE}},
    "by dynamic references": {
        "$schema": NEWER, "$dynamicAnchor": "n", "type": "object",
        "allOf": [{"properties": {"c": {"$dynamicRef": "#n"}}}] * 2,
    },
}  # fmt: skip


@pytest.mark.parametrize("schema", ENTANGLED.values(), ids=ENTANGLED)
def test_a_deep_value_is_told_from_one_that_fits_even_where_all_reasons_would_take_for_ever(schema: Any) -> None:
    validator = compiled(source(schema))

    assert validator.violations(nested(60, "no object"))[0].kind in {Kind.COMBINATION, Kind.TYPE_MISMATCH}


def test_reasons_are_given_as_far_as_the_limit_allows() -> None:
    schema = source(ENTANGLED["all of itself"])
    shallow, deep = nested(2, 1), nested(30, 1)

    assert next(one.path for one in compiled(schema).violations(shallow)) == "c.c"
    assert [one.path for one in compiled(schema, most_checks=5).violations(shallow)] == [""]
    assert [one.detail for one in compiled(schema).violations(deep)] == [
        "it does not fit; to find out why would take too long"
    ]


def test_a_tree_of_any_depth_and_width_has_its_reasons() -> None:
    tree = {
        "type": "object", "properties": {"children": {"type": "array", "items": AGAIN}, "value": {"type": "integer"}},
        "additionalProperties": AGAIN,
    }  # fmt: skip
    value: dict[str, object] = {"value": "one"}
    for _ in range(30):
        value = {"children": [value, {"value": 1}, {"value": 2}], "value": 3}

    assert [one.path for one in compiled(source(tree)).violations(value)] == ["children[0]." * 30 + "value"]


@pytest.mark.parametrize(
    ("schema", "value", "least"),
    [
        ({"type": "object"}, {"a": 1}, 1),
        ({"allOf": [{}, {}]}, 1, 3),
        ({"allOf": [INSIDE, INSIDE]}, nested(10, 1), 2**10),
        (chain(10, {}, times=2), 1, 2**10),
        (AGAIN, 1, ENDLESS),
    ],
)
def test_work_is_never_told_to_be_less_than_it_is(schema: Any, value: object, least: int) -> None:
    assert least <= Work(json_schema.read(source(schema)).root).checks(value)


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_ways_that_multiply_are_neither_held_against_values_nor_compared_by_them(keyword: str) -> None:
    schema = source(chain(40, {"type": "object"}, keyword, times=2))
    values = source({"enum": [{}, {"a": 1}]})

    with pytest.raises(Invalid, match="multiply"):
        compiled(schema)
    with pytest.raises(Invalid, match="multiply"):
        formats.differences(formats.read(schema), formats.read(values))


LONG = {
    "a long way": chain(4_000, {"type": "object"}),
    "a long way round": chain(4_000, AGAIN),
    "not itself": {"not": AGAIN},
    "not the one inside": {"not": INSIDE},
    "each other, all ways": ENTANGLED["each with each"],
}


@pytest.mark.parametrize("schema", LONG.values(), ids=LONG)
@pytest.mark.parametrize("other", [{"type": "object", "properties": {"z": {"type": "string"}}}, None])
def test_a_comparison_ends_with_an_answer_or_says_that_it_has_none(schema: Any, other: Any) -> None:
    one = formats.read(source(schema))
    two = formats.read(source(schema if other is None else other))

    assert {_answer(one, two), _answer(two, one)} <= {"compared", "too_complex"}


def _answer(reader: formats.Read, writer: formats.Read) -> str:
    try:
        formats.differences(reader, writer)
    except Invalid as refusal:
        return refusal.reason
    return "compared"
