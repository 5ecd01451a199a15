"""Steps of migrations, one by one and in chains, over made-up properties."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup.kit.errors import Invalid
from recoup.kit.money import major_units
from recoup.kit.schemas.source import Format, Source
from recoup.kit.schemas.validation import compiled
from recoup.messages.schemas import (
    ActiveSchemas,
    ActiveVersion,
    Convert,
    Default,
    Drop,
    MinorUnits,
    Move,
    Rename,
    Step,
    SubjectRules,
)
from recoup.services.pipeline.schemas.domain.catalog import catalog_of
from recoup.services.pipeline.schemas.domain.migrating import migrated

LINES = {"lines": [{"sku": "a", "n": "1"}, {"sku": "b"}, "odd"], "tags": ["1", "x", 2.0]}
STEPS: dict[str, tuple[Step, dict[str, Any], dict[str, Any]]] = {
    "rename": (Rename("a", "b"), {"a": 1}, {"b": 1}),
    "rename, nothing there": (Rename("a", "b"), {"c": 1}, {"c": 1}),
    "rename writes nothing over": (Rename("a", "b"), {"a": 1, "b": 2}, {"a": 1, "b": 2}),
    "rename further in": (Rename("x.a", "b"), {"x": {"a": 1}}, {"x": {"b": 1}}),
    "rename in every line": (
        Rename("lines[].sku", "id"), LINES, {**LINES, "lines": [{"id": "a", "n": "1"}, {"id": "b"}, "odd"]},
    ),
    "move": (Move("a", "x.y.b"), {"a": 1}, {"x": {"y": {"b": 1}}}),
    "move out": (Move("x.a", "a"), {"x": {"a": 1}}, {"x": {}, "a": 1}),
    "move into no object": (Move("a", "x.b"), {"a": 1, "x": 3}, {"a": 1, "x": 3}),
    "move nothing makes nothing": (Move("a", "x.b"), {}, {}),
    "default": (Default("x.a", [1]), {}, {"x": {"a": [1]}}),
    "default, something there": (Default("a", 1), {"a": None}, {"a": None}),
    "default in every line": (
        Default("lines[].n", 0), LINES, {**LINES, "lines": [{"sku": "a", "n": "1"}, {"sku": "b", "n": 0}, "odd"]},
    ),
    "drop": (Drop("x.a"), {"x": {"a": 1, "b": 2}}, {"x": {"b": 2}}),
    "drop nothing": (Drop("x.a"), {"x": 1}, {"x": 1}),
    "to whole": (Convert("a", "integer"), {"a": " 12 "}, {"a": 12}),
    "to whole from a float": (Convert("a", "integer"), {"a": 3.0}, {"a": 3}),
    "to whole, not whole": (Convert("a", "integer"), {"a": "3.5"}, {"a": "3.5"}),
    "to whole, words": (Convert("a", "integer"), {"a": "three"}, {"a": "three"}),
    "to number": (Convert("a", "number"), {"a": "3.5"}, {"a": 3.5}),
    "to text": (Convert("a", "string"), {"a": 3}, {"a": "3"}),
    "to text from truth": (Convert("a", "string"), {"a": True}, {"a": "true"}),
    "to truth": (Convert("a", "boolean"), {"a": "Yes"}, {"a": True}),
    "to truth, nothing said": (Convert("a", "boolean"), {"a": ""}, {"a": ""}),
    "to text, an object": (Convert("a", "string"), {"a": {}}, {"a": {}}),
    "every value of a list": (Convert("tags[]", "integer"), LINES, {**LINES, "tags": [1, "x", 2]}),
    "money in text": (MinorUnits("a", "EUR"), {"a": " 19.99 "}, {"a": 1999}),
    "money as a float": (MinorUnits("a", "USD"), {"a": 0.29}, {"a": 29}),
    "money in whole units": (MinorUnits("a", "USD"), {"a": 19}, {"a": 1900}),
    "money of a currency without cents": (MinorUnits("a", "JPY"), {"a": "1500"}, {"a": 1500}),
    "money of a currency with thousandths": (MinorUnits("a", "KWD"), {"a": "1.5"}, {"a": 1500}),
    "money, its currency beside it": (
        MinorUnits("a", currency_at="x.c"), {"a": "1500.0", "x": {"c": "jpy"}}, {"a": 1500, "x": {"c": "jpy"}},
    ),
    "money, no currency": (MinorUnits("a"), {"a": "19.99"}, {"a": "19.99"}),
    "money, no currency there": (MinorUnits("a", currency_at="c"), {"a": "1", "c": 3}, {"a": "1", "c": 3}),
    "money, more digits than there are": (MinorUnits("a", "USD"), {"a": "19.999"}, {"a": "19.999"}),
    "money, words": (MinorUnits("a", "USD"), {"a": "free"}, {"a": "free"}),
    "money, truth": (MinorUnits("a", "USD"), {"a": True}, {"a": True}),
    "money of every line": (
        MinorUnits("lines[].p", "EUR"), {"lines": [{"p": "1.10"}, {}]}, {"lines": [{"p": 110}, {}]},
    ),
    "money in a list": (MinorUnits("p[]", "EUR"), {"p": ["1.10", 2]}, {"p": [110, 200]}),
}  # fmt: skip


@pytest.mark.parametrize(("step", "before", "after"), STEPS.values(), ids=STEPS)
def test_a_step(step: Step, before: dict[str, Any], after: dict[str, Any]) -> None:
    assert migrated([step], before) == after


@given(amount=st.integers(min_value=0, max_value=10**12), currency=st.sampled_from(["USD", "JPY", "KWD", "XYZ"]))
def test_money_of_the_events_own_currency_becomes_minor_units_without_a_cent_lost(amount: int, currency: str) -> None:
    before: dict[str, object] = {"price": str(major_units(amount, currency))}

    assert migrated([MinorUnits("price")], before, currency) == {"price": amount}


NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
PROPERTIES = st.dictionaries(NAMES, VALUES, max_size=3)
PLACES = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
EACH = st.lists(st.sampled_from(["a", "b[]", "c"]), max_size=2).flatmap(
    lambda way: NAMES.map(lambda name: ".".join([*way, name]))
)
ALL_STEPS = (
    st.builds(Rename, EACH, NAMES)
    | st.builds(Move, PLACES, PLACES)
    | st.builds(Default, EACH, VALUES)
    | st.builds(Convert, EACH, st.sampled_from(["string", "integer", "number", "boolean"]))
    | st.builds(Drop, EACH)
)


@given(PROPERTIES, st.lists(ALL_STEPS, max_size=6), st.integers(0, 6))
def test_a_chain_is_its_parts_one_after_the_other_and_touches_nothing_it_was_given(
    properties: dict[str, Any], steps: list[Step], at: int
) -> None:
    before = deepcopy(properties)
    made = migrated(steps, properties)
    assert properties == before
    assert made == migrated(steps[at:], migrated(steps[:at], properties))
    json.dumps(made)


@given(PROPERTIES, EACH, VALUES, st.sampled_from(["string", "integer", "number", "boolean"]))
def test_a_default_a_drop_and_a_conversion_done_twice_are_done_once(
    properties: dict[str, Any], place: str, value: Any, kind: Any
) -> None:
    for step in (Default(place, value), Drop(place), Convert(place, kind)):
        once = migrated([step], properties)
        assert migrated([step], once) == once


@given(st.sets(st.integers(1, 9)), st.sets(st.integers(1, 9)), st.integers(1, 9))
def test_an_event_lands_on_the_highest_version_in_use_that_is_reached_without_a_gap(
    in_use: set[int], migrations: set[int], version: int
) -> None:
    items = [
        ActiveVersion(name="x", version=one, id=one, format=Format.JSON, schema="{}", references={}) for one in in_use
    ]
    rules = SubjectRules(migrations=dict.fromkeys(migrations, (Drop("a"),)))
    found = catalog_of(ActiveSchemas(revision=1, items=items, rules={"x": rules}), lambda _: None)
    reached = [at for at in in_use if at > version and migrations >= set(range(version, at))]
    if in_use:
        subject = found.subjects["x"]
        assert subject.landing(version) == max(reached, default=version)
        assert len(subject.steps(version, subject.landing(version))) == subject.landing(version) - version


SPOKEN = {
    "JSON": (
        Format.JSON,
        {
            "properties": {"a": {}}, "required": ["b"], "allOf": [{"$ref": "#/definitions/more"}],
            "if": {"properties": {"d": {}}}, "definitions": {"more": {"properties": {"c": {"properties": {"x": {}}}}}},
        },
        {"a", "b", "c", "d"},
    ),
    "JSON about itself": (Format.JSON, {"properties": {"a": {}}, "anyOf": [{"$ref": "#"}]}, {"a"}),
    "JSON true": (Format.JSON, True, set()),
    "Avro": (
        Format.AVRO,
        {"type": "record", "name": "R", "fields": [{"name": "a", "aliases": ["b"], "type": "int"}]},
        {"a", "b"},
    ),
    "Avro, no record": (Format.AVRO, "int", set()),
}  # fmt: skip


@pytest.mark.parametrize(("format_", "schema", "names"), SPOKEN.values(), ids=SPOKEN)
def test_what_a_schema_speaks_of(format_: Format, schema: Any, names: set[str]) -> None:
    assert compiled(Source(format=format_, text=json.dumps(schema))).names == names


def test_a_schema_whose_references_multiply_is_held_against_nothing() -> None:
    doubling = {f"d{at}": {"anyOf": [{"$ref": f"#/definitions/d{at + 1}"}] * 2} for at in range(30)}
    schema = {"$ref": "#/definitions/d0", "definitions": {**doubling, "d30": {"type": "string"}}}

    with pytest.raises(Invalid, match="multiply"):
        compiled(Source(format=Format.JSON, text=json.dumps(schema)))


def test_a_schema_that_refers_to_itself_is_as_good_as_any() -> None:
    tree = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "name": {"type": "string"}}}
    validator = compiled(Source(format=Format.JSON, text=json.dumps(tree)))

    assert [one.path for one in validator.violations({"left": {"right": {"name": 1}}})] == ["left.right.name"]
