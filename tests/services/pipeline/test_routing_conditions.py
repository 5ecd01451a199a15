"""Which events a rule means: tables of what may be said, and column by column the same answers as row by row."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup.kit.errors import Invalid
from recoup.messages.events import ENRICHED
from recoup.services.pipeline.routing.domain.columns import Rows, matching
from recoup.services.pipeline.routing.domain.conditions import (
    All,
    AnyOf,
    Compare,
    Condition,
    Kind,
    Limits,
    Not,
    Operator,
    Source,
    parse,
)
from recoup.services.pipeline.routing.domain.rules import Destination, DestinationKind, Routes, Rule, copies, ready

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
LIMITS = Limits(depth=4, comparisons=10, values=5)


def row(**fields: Any) -> dict[str, Any]:
    """An enriched page view, unless `fields` say otherwise."""
    properties = fields.pop("properties", None)
    return {
        "event_id": uuid4().bytes,
        "store_id": "shop-a",
        "type": "page_viewed",
        "occurred_at": NOON,
        "enriched_at": NOON,
        "properties": None if properties is None else json.dumps(properties),
        **fields,
    }


def table(*rows: Mapping[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ENRICHED)


def said(field: str, operator: Any, *value: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator} | ({"value": value[0]} if value else {})


MUG = {"product_id": "mug", "quantity": 1, "price": 900, "category": "kitchen"}
HAT = {"product_id": "hat", "quantity": 2, "price": 2_500, "category": None}

MEANT = [
    (None, row(), True),
    (said("type", "equals", "page_viewed"), row(), True),
    (said("type", "in", ["cart_abandoned", "exit_intent"]), row(type="exit_intent"), True),
    (said("type", "in", ["cart_abandoned", "exit_intent"]), row(), False),
    (said("cart_id", "exists"), row(), False),
    (said("cart_id", "exists"), row(cart_id="c"), True),
    (said("cart_value", "at_least", 5_000), row(cart_value=5_000), True),
    (said("cart_value", "above", 5_000), row(cart_value=5_000), False),
    (said("cart_value", "below", 5_000.5), row(cart_value=5_000), True),
    (said("cart_value", "at_most", 5_000), row(), False),
    ({"not": said("cart_value", "at_most", 5_000)}, row(), True),
    (said("cart_value", "in", [1, 2.0]), row(cart_value=2), True),
    (said("is_weekend", "equals", True), row(is_weekend=True), True),
    (said("is_weekend", "equals", False), row(), False),
    (said("page_url", "starts_with", "https://shop/sale"), row(page_url="https://shop/sale/1"), True),
    (said("page_url", "contains", "%"), row(page_url="https://shop/sale/1"), False),
    (said("page_url", "contains", "SALE"), row(page_url="https://shop/sale/1"), False),
    (said("occurred_at", "below", "2026-06-01T14:00:00+02:00"), row(), False),
    (said("occurred_at", "at_least", "2026-06-01T14:00:00+02:00"), row(), True),
    (said("items.category", "equals", "kitchen"), row(items=[HAT, MUG]), True),
    (said("items.category", "equals", "kitchen"), row(items=[HAT]), False),
    (said("items.category", "exists"), row(items=[HAT]), False),
    (said("items.price", "above", 2_000), row(items=[MUG, HAT]), True),
    (said("items.price", "above", 2_000), row(items=[]), False),
    (said("properties.plan", "equals", "gold"), row(properties={"plan": "gold"}), True),
    (said("properties.plan.name", "equals", "gold"), row(properties={"plan": {"name": "gold"}}), True),
    (said("properties.plan.name", "equals", "gold"), row(properties={"plan": "gold"}), False),
    (said("properties.level", "equals", 5), row(properties={"level": 5}), True),
    (said("properties.level", "equals", 5), row(properties={"level": "5"}), False),
    (said("properties.level", "equals", 1), row(properties={"level": True}), False),
    (said("properties.level", "above", 4), row(properties={"level": 4.5}), True),
    (said("properties.level", "above", 4), row(properties={"level": 10**400}), False),
    (said("properties.level", "in", ["gold", 3, True]), row(properties={"level": True}), True),
    (said("properties.level", "exists"), row(properties={"level": None}), False),
    (said("properties.level", "exists"), row(), False),
    (said("segment", "equals", "visitor"), row(), True),
    (said("segment", "equals", "unknown"), row(user_id="u"), True),
    (said("segment", "equals", "new"), row(user_id="u", user_orders=0), True),
    (said("segment", "equals", "customer"), row(user_id="u", user_orders=1), True),
    (said("segment", "in", ["repeat", "customer"]), row(user_id="u", user_orders=7), True),
    (said("segment", "equals", "crawler"), row(user_id="u", user_orders=7, device_class="crawler"), True),
    ({"all": [said("type", "equals", "page_viewed"), said("cart_id", "exists")]}, row(), False),
    ({"any": [said("type", "equals", "page_viewed"), said("cart_id", "exists")]}, row(), True),
]


@pytest.mark.parametrize(("condition", "event", "meant"), MEANT, ids=[str(case[0]) for case in MEANT])
def test_a_condition_means_an_event_or_does_not(condition: object, event: dict[str, Any], meant: bool) -> None:
    rows = Rows(table(row(type="other"), event))
    assert matching(parse(condition, LIMITS), rows).tolist()[1] is meant


BAD = {
    "nothing": ({}, "when.field", "unknown_field"),
    "a text": ("type = 'x'", "when", "wrong_type"),
    "a list": ([], "when", "wrong_type"),
    "SQL": (said("type; drop table x", "equals", "x"), "when.field", "unknown_field"),
    "a hidden column": (said("store_id", "equals", "x"), "when.field", "unknown_field"),
    "all properties": (said("properties", "equals", "x"), "when.field", "unknown_field"),
    "a path without a name": (said("properties..a", "equals", "x"), "when.field", "unknown_field"),
    "an unknown operator": (said("type", "matches", ".*"), "when.operator", "wrong_operator"),
    "an operator that does not go": (said("type", "above", "x"), "when.operator", "wrong_operator"),
    "an operator that is no text": (said("type", ["equals"], "x"), "when.operator", "wrong_operator"),
    "a number for a text": (said("type", "equals", 5), "when.value", "wrong_type"),
    "a flag for a number": (said("cart_value", "equals", True), "when.value", "wrong_type"),
    "no value": (said("type", "equals"), "when.value", "wrong_type"),
    "a number too large": (said("cart_value", "equals", 10**30), "when.value", "wrong_type"),
    "not a number": (said("cart_value", "equals", float("nan")), "when.value", "wrong_type"),
    "a time without its zone": (said("occurred_at", "below", "2026-06-01T14:00:00"), "when.value", "wrong_type"),
    "a value too many": (said("type", "in", list("abcdef")), "when.value", "wrong_type"),
    "none of many": (said("type", "in", []), "when.value", "wrong_type"),
    "a bad one of many": (said("type", "in", ["a", 5]), "when.value[1]", "wrong_type"),
    "exists with a value": (said("type", "exists", True), "when.value", "unknown_field"),
    "two at once": ({"all": [], "any": []}, "when", "unknown_field"),
    "an empty all": ({"all": []}, "when.all", "wrong_type"),
    "inside": ({"all": [{"not": said("nowhere", "exists")}]}, "when.all[0].not.field", "unknown_field"),
    "too deep": ({"not": {"not": {"not": {"not": said("type", "exists")}}}}, "when.not.not.not.not", "too_deep"),
    "too wide": ({"any": [said("type", "exists")] * 11}, "when.any", "too_many"),
    "too much": ({"all": [{"any": [said("type", "exists")] * 6}] * 2}, "when", "too_many"),
}


@pytest.mark.parametrize(("condition", "place", "code"), BAD.values(), ids=BAD)
def test_what_cannot_be_a_condition_is_refused_with_place_and_reason(condition: object, place: str, code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse(condition, LIMITS)
    assert next((problem.field, problem.code) for problem in refusal.value.problems) == (place, code)


# --- the same, row by row -----------------------------------------------------------------------------------------


def plain(condition: Condition, event: Mapping[str, Any]) -> bool:
    """What a condition says of one row, as one would read it aloud."""
    match condition:
        case All(parts=parts):
            return all(plain(part, event) for part in parts)
        case AnyOf(parts=parts):
            return any(plain(part, event) for part in parts)
        case Not(part=part):
            return not plain(part, event)
        case Compare():
            return any(one_fits(condition, value) for value in candidates(condition, event))


def candidates(condition: Compare, event: Mapping[str, Any]) -> list[Any]:
    match condition.field.source:
        case Source.COLUMN:
            return [event[condition.field.path[0]]]
        case Source.ITEM:
            return [line[condition.field.path[0]] for line in event["items"] or []]
        case Source.SEGMENT:
            return [segment(event)]
        case Source.PROPERTY:
            found = json.loads(event["properties"] or "null")
            for name in condition.field.path:
                found = found.get(name) if isinstance(found, dict) else None
            return [found]


def segment(event: Mapping[str, Any]) -> str:
    if event["device_class"] == "crawler":
        return "crawler"
    if event["user_id"] is None:
        return "visitor"
    orders = event["user_orders"]
    return "unknown" if orders is None else {0: "new", 1: "customer"}.get(orders, "repeat")


def one_fits(condition: Compare, value: Any) -> bool:
    if value is None:
        return False
    if condition.operator is Operator.EXISTS:
        return True
    if isinstance(value, datetime):
        value = round(value.timestamp() * 1000)
    return any(fits(condition.operator, value, wanted) for wanted in condition.values)


FITS: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQUALS: lambda value, wanted: value == wanted,
    Operator.IN: lambda value, wanted: value == wanted,
    Operator.STARTS_WITH: lambda value, wanted: value.startswith(wanted),
    Operator.CONTAINS: lambda value, wanted: wanted in value,
    Operator.BELOW: lambda value, wanted: value < wanted,
    Operator.AT_MOST: lambda value, wanted: value <= wanted,
    Operator.ABOVE: lambda value, wanted: value > wanted,
    Operator.AT_LEAST: lambda value, wanted: value >= wanted,
}
SORTS = {str: "text", bool: "flag", int: "number", float: "number"}


def fits(operator: Operator, value: Any, wanted: Any) -> bool:
    return SORTS.get(type(value)) == SORTS[type(wanted)] and FITS[operator](value, wanted)


TEXTS = st.sampled_from(["", "a", "ab", "b", "é", "a%b", "page_viewed"])
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, 2.0, 10**15])
FLAGS = st.booleans()
ANYTHING = st.none() | TEXTS | NUMBERS | FLAGS | st.lists(TEXTS, max_size=2)
LINES = st.fixed_dictionaries(
    {"product_id": TEXTS, "quantity": st.integers(0, 3), "price": st.integers(0, 3), "category": st.none() | TEXTS}
)
EVENTS = st.fixed_dictionaries(
    {
        "type": TEXTS,
        "cart_id": st.none() | TEXTS,
        "user_id": st.none() | TEXTS,
        "user_orders": st.none() | st.integers(0, 3),
        "device_class": st.sampled_from([None, "mobile", "crawler"]),
        "cart_value": st.none() | st.integers(-3, 3),
        "is_weekend": st.none() | FLAGS,
        "occurred_at": st.integers(-3, 3).map(lambda minutes: NOON + timedelta(minutes=minutes)),
        "items": st.none() | st.lists(LINES, max_size=3),
        "properties": st.none()
        | st.dictionaries(st.sampled_from("xy"), ANYTHING | st.dictionaries(st.sampled_from("xy"), ANYTHING)),
    }
).map(lambda fields: row(**fields))
VALUES = {
    Kind.TEXT: TEXTS,
    Kind.NUMBER: NUMBERS,
    Kind.FLAG: FLAGS,
    Kind.TIME: st.integers(-3, 3).map(lambda minutes: (NOON + timedelta(minutes=minutes)).isoformat()),
}
NAMES = {
    "type": Kind.TEXT, "cart_id": Kind.TEXT, "user_id": Kind.TEXT, "items.category": Kind.TEXT,
    "items.product_id": Kind.TEXT, "cart_value": Kind.NUMBER, "items.price": Kind.NUMBER, "is_weekend": Kind.FLAG,
    "occurred_at": Kind.TIME, "segment": Kind.TEXT, "properties.x": Kind.JSON, "properties.x.y": Kind.JSON,
}  # fmt: skip
ORDERED = ["below", "at_most", "above", "at_least"]


@st.composite
def comparisons(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(NAMES)))
    kind = NAMES[name]
    alike = {Kind.TEXT: ["starts_with", "contains"], Kind.NUMBER: ORDERED, Kind.TIME: ORDERED, Kind.FLAG: []}
    if kind is Kind.JSON:
        kind = draw(st.sampled_from([Kind.TEXT, Kind.NUMBER, Kind.FLAG]))
    exact = [] if kind is Kind.TIME else ["equals", "in"]
    operator = draw(st.sampled_from([*alike[kind], *exact, "exists"]))
    if operator == "exists":
        return said(name, operator)
    value = VALUES[kind]
    return said(name, operator, draw(st.lists(value, min_size=1, max_size=3) if operator == "in" else value))


CONDITIONS = st.recursive(
    comparisons(),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts})
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts})
        | inner.map(lambda part: {"not": part})
    ),
    max_leaves=6,
)


@given(condition=CONDITIONS, events=st.lists(EVENTS, max_size=6))
def test_a_batch_by_column_is_judged_as_its_events_one_by_one(condition: object, events: list[dict[str, Any]]) -> None:
    parsed = parse(condition, Limits(depth=20, comparisons=100, values=5))
    batch = table(*events)
    assert matching(parsed, Rows(batch)).tolist() == [plain(parsed, event) for event in batch.to_pylist()]


# --- rules --------------------------------------------------------------------------------------------------------


def test_an_event_goes_once_to_each_destination_and_says_which_rules_sent_it() -> None:
    first, second = (destination(name) for name in ("first", "second"))
    rules = [
        rule("carts", said("cart_id", "exists"), first.id, second.id),
        rule("exits", said("type", "equals", "exit_intent"), first.id),
    ]
    rows = Rows(table(row(), row(cart_id="c"), row(cart_id="c", type="exit_intent")))
    found = {copy.destination.name: copy for copy in copies(routes(rules, first, second), rows)}
    assert found["first"].places.tolist() == [1, 2]
    assert found["first"].rules == [["carts"], ["carts", "exits"]]
    assert found["second"].rules == [["carts"], ["carts"]]


def test_what_was_enriched_before_a_rule_was_made_is_not_copied() -> None:
    one = destination("one")
    rows = Rows(table(row(enriched_at=NOON - timedelta(milliseconds=1)), row()))
    (found,) = copies(routes([rule("all", None, one.id)], one), rows)
    assert found.places.tolist() == [1]


def destination(name: str) -> Destination:
    return Destination(id=uuid4(), store_id="shop-a", name=name, kind=DestinationKind.TOPIC, created_at=NOON)


def rule(name: str, when: dict[str, Any] | None, *to: UUID) -> Rule:
    return Rule(id=uuid4(), name=name, when=when, to=to, since=NOON)


def routes(rules: list[Rule], *destinations: Destination) -> Routes:
    made = tuple(ready(one, parse(one.when, LIMITS)) for one in rules)
    return Routes(1, made, {one.id: one for one in destinations})
