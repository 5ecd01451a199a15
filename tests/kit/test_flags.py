"""What flags serve to whom: the table that docs/guides/feature-flags.md says in words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

from recoup.kit.flags.conditions import MISSING, matcher
from recoup.kit.flags.model import Condition, Context, Evaluation, Flag, Unanswered
from recoup.kit.flags.provider import FlagProvider
from recoup.kit.flags.snapshot import STEPS, Snapshot, place

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ON, OFF = [{"variant": "on"}], [{"variant": "off"}]
SWEDES = {"when": [{"attribute": "country", "values": ["SE"]}], "serve": ON}


def flag(**parts: Any) -> Flag:
    return msgspec.convert({"enabled": True, **parts}, Flag)


def now() -> datetime:
    return NOON


def served(flags: dict[str, Flag], key: str = "f", who: str = "ann", **attributes: Any) -> tuple[Any, str]:
    answer = Snapshot(flags).evaluate(key, Context(targeting_key=who, attributes=attributes), now)
    return (answer.value, answer.why) if isinstance(answer, Evaluation) else (None, answer.why)


def waiting(on: Flag) -> dict[str, Flag]:
    return {"f": flag(prerequisites=[{"flag": "g", "variants": ["on"]}]), "g": on}


HOUR = timedelta(hours=1)
TABLE = {
    "off serves the off variant": ({"f": flag(enabled=False)}, {}, (False, "off")),
    "on serves everybody": ({"f": flag()}, {}, (True, "fixed")),
    "off wins over rules": ({"f": flag(enabled=False, rules=[SWEDES])}, {"country": "SE"}, (False, "off")),
    "before the start": ({"f": flag(starts_at=(NOON + HOUR).isoformat())}, {}, (False, "before_start")),
    "from the start on": ({"f": flag(starts_at=NOON.isoformat())}, {}, (True, "otherwise")),
    "from the end on": ({"f": flag(ends_at=NOON.isoformat())}, {}, (False, "after_end")),
    "before the end": ({"f": flag(ends_at=(NOON + HOUR).isoformat())}, {}, (True, "otherwise")),
    "a prerequisite that holds": (waiting(flag()), {}, (True, "otherwise")),
    "a prerequisite that is off": (waiting(flag(enabled=False)), {}, (False, "prerequisite")),
    "a prerequisite that serves another variant": (waiting(flag(serve=OFF)), {}, (False, "prerequisite")),
    "a prerequisite that has its own rules": (
        waiting(flag(rules=[SWEDES], serve=OFF)), {"country": "SE"}, (True, "otherwise"),
    ),
    "a prerequisite without an answer": (
        waiting(flag(serve=[{"variant": "on", "percent": 50}, {"variant": "off", "percent": 50}], bucket_by="x")), {},
        (None, "targeting_key_missing"),
    ),
    "a rule that fits": ({"f": flag(rules=[SWEDES], serve=OFF)}, {"country": "SE"}, (True, "rule")),
    "a rule that does not": ({"f": flag(rules=[SWEDES], serve=OFF)}, {"country": "NO"}, (False, "otherwise")),
    "the first rule that fits": (
        {"f": flag(rules=[{**SWEDES, "serve": OFF}, SWEDES])}, {"country": "SE"}, (False, "rule"),
    ),
    "every condition of a rule": (
        {"f": flag(rules=[{"when": [*SWEDES["when"], {"attribute": "age", "operator": "ge", "values": [18]}],
                           "serve": OFF}])}, {"country": "SE", "age": 17}, (True, "otherwise"),
    ),
    "no such flag": ({}, {}, (None, "flag_not_found")),
    "a share of nobody is fixed": (
        {"f": flag(serve=[{"variant": "on", "percent": 100}, {"variant": "off", "percent": 0}])}, {}, (True, "fixed"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("flags", "attributes", "expected"), TABLE.values(), ids=TABLE)
def test_what_is_served_and_why(flags, attributes, expected):
    assert served(flags, **attributes) == expected


CONDITIONS = [
    ("in", ["SE", "NO"], "SE", True), ("in", ["SE", "NO"], "DK", False), ("in", ["SE"], MISSING, None),
    ("in", ["SE"], None, None), ("in", ["SE"], {"a": 1}, None), ("in", [1], True, False), ("in", [True], True, True),
    ("in", [1], 1.0, True), ("in", ["1"], 1, False), ("in", ["a"], ["b", "a"], True), ("in", ["a"], ["b"], False),
    ("in", ["a"], [], None), ("contains", ["ell"], "hello", True), ("contains", ["x", "h"], "hello", True),
    ("contains", ["x"], 5, None), ("starts_with", ["he"], "hello", True), ("ends_with", ["he"], "hello", False),
    ("lt", [5], 4.9, True), ("lt", [5], 5, False), ("le", [5], 5, True), ("gt", [5], "6", None), ("gt", [5], 6, True),
    ("ge", [5], 5, True), ("ge", [0], True, None),
    ("before", ["2026-01-01T00:00:00Z"], "2025-12-31T23:59:59Z", True),
    ("before", ["2026-01-01T00:00:00Z"], "2026-01-01T00:30:00+01:00", True),
    ("before", ["2026-01-01T00:00:00Z"], "2025-12-31", None), ("before", ["2026-01-01T00:00:00Z"], "soon", None),
    ("after", ["2026-01-01T00:00:00Z"], "2026-01-01T00:00:00Z", True), ("after", ["2026-01-01T00:00:00Z"], NOON, True),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "values", "value", "fits"), CONDITIONS)
def test_conditions_and_their_opposites(operator, values, value, fits):
    """None: what cannot be compared fulfils neither."""
    condition = msgspec.convert({"attribute": "a", "operator": operator, "values": values}, Condition)
    negated = msgspec.structs.replace(condition, negate=True)
    assert (matcher(condition)(value), matcher(negated)(value)) == (fits is True, fits is False)


@pytest.mark.parametrize(("value", "there"), [(MISSING, False), (None, False), ("", True), (False, True), ([], True)])
def test_exists_alone_sees_what_is_missing(value, there):
    condition = Condition(attribute="a", operator="exists")
    assert matcher(condition)(value) is there
    assert matcher(msgspec.structs.replace(condition, negate=True))(value) is not there


def shared(percent: float, **parts: Any) -> Flag:
    rest = [{"variant": "off", "percent": 100 - percent}]
    return flag(serve=[{"variant": "on", "percent": percent}, *rest], **parts)


def those_on(flag: Flag, key: str = "f") -> set[int]:
    snapshot = Snapshot({key: flag})
    return {n for n in range(10_000) if snapshot.is_on(key, Context(targeting_key=f"u{n}"), now, default=False)}


def test_places_are_the_same_for_ever():
    assert [place("banner", who) for who in ("ann", "bob", "åsa")] == [PLACES[who] for who in ("ann", "bob", "åsa")]


PLACES = {"ann": 70_691, "bob": 40_445, "åsa": 4_970}


def test_shares_are_kept_to():
    # 10,000 people: four standard deviations are under 2 %.
    for percent in (1, 25, 50):
        assert abs(len(those_on(shared(percent))) / 100 - percent) < 2


def test_who_is_in_a_roll_out_stays_in_it_as_it_grows():
    assert those_on(shared(5)) < those_on(shared(20)) < those_on(shared(60))


def test_flags_divide_people_each_in_its_own_way_unless_they_share_a_seed():
    left, right = those_on(shared(50), "left"), those_on(shared(50), "right")
    assert 2_200 < len(left & right) < 2_800
    assert those_on(shared(50, seed="s"), "left") == those_on(shared(50, seed="s"), "right")


def test_shares_can_go_by_another_attribute():
    by_company = Snapshot({"f": shared(50, bucket_by="company")})
    answers = {
        by_company.is_on("f", Context(targeting_key=f"u{n}", attributes={"company": 7}), now, default=False)
        for n in range(50)
    }
    assert len(answers) == 1
    answer = by_company.evaluate("f", Context(targeting_key="u"), now)
    assert isinstance(answer, Unanswered)


def test_each_flag_is_asked_once_however_many_ways_lead_to_it():
    uses: dict[str, int] = {}
    flags = {"level-0": flag()}
    for level in range(1, 30):
        below = f"level-{level - 1}"
        flags[f"level-{level}"] = flag(prerequisites=[{"flag": below, "variants": ["on"]}] * 20)
    assert Snapshot(flags, uses).is_on("level-29", Context(), now, default=False)
    assert set(uses.values()) == {1}


def test_steps_are_thousandths_of_a_percent():
    assert STEPS == 100_000
    assert served({"f": shared(0.001)}) == (False, "split")


def client_of(flags: dict[str, Flag] | None):
    api.set_provider(FlagProvider(lambda: None if flags is None else Snapshot(flags), now), domain="test")
    return api.get_client(domain="test")


VARIANTS = {
    "boolean": (True, False), "string": ("a", "b"), "integer": (1, 2), "float": (1.5, 2), "object": ({"a": [1]}, []),
}  # fmt: skip


@pytest.mark.parametrize("kind", VARIANTS)
def test_openfeature_gets_values_of_every_type_and_its_default_for_another(kind):
    value, default = VARIANTS[kind]
    found = flag(variants={"on": value, "off": default}, rules=[SWEDES], serve=OFF)
    client = client_of({"f": found})
    person = EvaluationContext("ann", {"country": "SE"})
    details = getattr(client, f"get_{kind}_details")("f", default, person)
    assert (details.value, details.variant, details.reason) == (value, "on", "TARGETING_MATCH")
    other = "string" if kind != "string" else "boolean"
    wrong = getattr(client, f"get_{other}_details")("f", VARIANTS[other][0], person)
    assert (wrong.value, wrong.error_code) == (VARIANTS[other][0], ErrorCode.TYPE_MISMATCH)


HALF = shared(50)
FAILURES = {
    "nothing is known yet": (None, "ann", ErrorCode.PROVIDER_NOT_READY),
    "there is no such flag": ({}, "ann", ErrorCode.FLAG_NOT_FOUND),
    "there is nothing to hash": ({"f": HALF}, None, ErrorCode.TARGETING_KEY_MISSING),
}


@pytest.mark.parametrize(("flags", "who", "code"), FAILURES.values(), ids=FAILURES)
def test_openfeature_gets_its_default_where_there_is_no_answer(flags, who, code):
    details = client_of(flags).get_boolean_details("f", True, EvaluationContext(who))
    assert (details.value, details.reason, details.error_code) == (True, "ERROR", code)


REASONS = {
    "off": (flag(enabled=False), "DISABLED"),
    "for everybody": (flag(), "STATIC"),
    "a share": (HALF, "SPLIT"),
    "no rule fits": (flag(rules=[SWEDES]), "DEFAULT"),
    "not yet": (flag(starts_at=(NOON + HOUR).isoformat()), "DISABLED"),
}


@pytest.mark.parametrize(("definition", "reason"), REASONS.values(), ids=REASONS)
def test_openfeature_is_told_why(definition, reason):
    assert client_of({"f": definition}).get_boolean_details("f", False, EvaluationContext("ann")).reason == reason
