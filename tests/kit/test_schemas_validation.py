"""Values against schemas: the official JSON Schema suite, and every kind of violation in each format."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from recoup.kit.errors import Invalid
from recoup.kit.schemas import json_schema
from recoup.kit.schemas.source import Format, Kind, Source
from recoup.kit.schemas.validation import compiled

SHARED = os.environ.get("RECOUP_SHARED")
SUITE = Path(SHARED or "/nowhere") / "data" / "json_schema_test_suite"
DRAFTS = {
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
}
SKIPPED = {
    "draft2020-12/format.json": "formats are checked here, not remarked: optional/format says how",
    "optional/cross-draft.json": "refers to a draft that is not accepted",
    "draft2020-12/optional/format-assertion.json": "only the two drafts' own metaschemas are accepted",
    "custom metaschema": "only the two drafts' own metaschemas are accepted",
    "ignore unrecognized optional vocabulary": "only the two drafts' own metaschemas are accepted",
}
"""Parts of names, with the reason."""


class Case(NamedTuple):
    name: str
    draft: str
    schema: Any
    tests: list[dict[str, Any]]


def cases() -> Iterator[Case]:
    for draft in DRAFTS:
        for path in sorted((SUITE / "tests" / draft).rglob("*.json")):
            place = f"{draft}/{path.relative_to(SUITE / 'tests' / draft)}"
            for group in json.loads(path.read_text()):
                yield Case(f"{place}: {group['description']}", draft, group["schema"], group["tests"])


def remotes(draft: str) -> dict[str, str]:
    """What the suite's schemas of a draft refer to, by address."""
    folder = SUITE / "remotes"
    others = {path.name for path in folder.iterdir() if path.is_dir() and path.name.startswith(("draft", "v1"))} - {
        draft
    }
    paths = (path for path in folder.rglob("*.json") if path.relative_to(folder).parts[0] not in others)
    found = {f"http://localhost:1234/{path.relative_to(folder)}": path.read_text() for path in paths}
    return {name: text for name, text in found.items() if "metaschema" not in name and "format-assertion" not in name}


@pytest.mark.skipif(not SUITE.exists(), reason="the suite is not here: set RECOUP_SHARED")
@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.name)
def test_the_official_suite_is_passed(case: Case) -> None:
    for name, reason in SKIPPED.items():
        if name in case.name:
            pytest.skip(reason)
    schema = case.schema
    if isinstance(schema, dict) and "$schema" not in schema:
        schema = {"$schema": DRAFTS[case.draft], **schema}
    text = json.dumps(schema)
    used = remotes(case.draft) if "localhost:1234" in text else {}
    validator = compiled(Source(format=Format.JSON, text=text, references=used))
    for test in case.tests:
        assert (not validator.violations(test["data"])) is test["valid"], test["description"]


JSON = {
    "type": "object",
    "properties": {
        "total": {"type": "integer", "minimum": 0},
        "currency": {"enum": ["USD", "EUR"]},
        "day": {"type": "string", "format": "date"},
        "note": {"type": ["string", "null"], "maxLength": 3, "pattern": "^[a-z]*$"},
        "items": {"type": "array", "items": {"type": "object", "required": ["id"]}},
        "by": {"oneOf": [{"type": "string"}, {"type": "object", "required": ["id"]}]},
    },
    "required": ["total"],
    "additionalProperties": False,
}
AVRO = {
    "type": "record", "name": "Order", "fields": [
        {"name": "total", "type": "int"},
        {"name": "currency", "type": {"type": "enum", "name": "Currency", "symbols": ["USD", "EUR"]}, "default": "USD"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "items", "default": [], "type": {"type": "array", "items": {
            "type": "record", "name": "Item", "fields": [{"name": "id", "type": "string"}]}}},
    ],
}  # fmt: skip
PROTO = """
syntax = "proto3";
import "google/protobuf/timestamp.proto";
message Order {
  int32 total = 1;
  enum Currency { USD = 0; EUR = 1; }
  Currency currency = 2;
  repeated Item items = 3;
  google.protobuf.Timestamp placed_at = 4;
  oneof by { string person = 5; string machine = 6; }
  map<string, int64> counts = 7;
  message Item { string id = 1; bytes mark = 2; }
}
"""
REQUIRED = 'syntax = "proto2"; message Order { required int32 total = 1; }'
FOUND = [
    (JSON, {"total": 1, "currency": "EUR", "day": "2026-11-22", "note": None, "items": [{"id": 1}], "by": "x"}, []),
    (JSON, {}, [(Kind.REQUIRED_MISSING, "total")]),
    (JSON, {"total": "1"}, [(Kind.TYPE_MISMATCH, "total")]),
    (JSON, {"total": -1}, [(Kind.RANGE, "total")]),
    (JSON, {"total": 1, "colour": "red"}, [(Kind.ADDITIONAL_PROPERTY, "colour")]),
    (JSON, {"total": 1, "currency": "GBP"}, [(Kind.RANGE, "currency")]),
    (JSON, {"total": 1, "day": "yesterday"}, [(Kind.FORMAT, "day")]),
    (JSON, {"total": 1, "note": "A"}, [(Kind.FORMAT, "note")]),
    (JSON, {"total": 1, "note": "long"}, [(Kind.RANGE, "note")]),
    (JSON, {"total": 1, "items": [{"id": 1}, {}]}, [(Kind.REQUIRED_MISSING, "items[1].id")]),
    (JSON, {"total": 1, "by": {}}, [(Kind.REQUIRED_MISSING, "by.id")]),
    (JSON, {"total": 1, "by": 7}, [(Kind.TYPE_MISMATCH, "by")]),
    (JSON, [], [(Kind.TYPE_MISMATCH, "")]),
    (AVRO, {"total": 1, "currency": "EUR", "note": "x", "items": [{"id": "a"}]}, []),
    (AVRO, {"total": 1, "note": {"string": "x"}}, []),
    (AVRO, {}, [(Kind.REQUIRED_MISSING, "total")]),
    (AVRO, {"total": 2**31}, [(Kind.RANGE, "total")]),
    (AVRO, {"total": True}, [(Kind.TYPE_MISMATCH, "total")]),
    (AVRO, {"total": 1, "currency": "GBP"}, [(Kind.RANGE, "currency")]),
    (AVRO, {"total": 1, "note": 7}, [(Kind.TYPE_MISMATCH, "note")]),
    (AVRO, {"total": 1, "colour": 7}, [(Kind.ADDITIONAL_PROPERTY, "colour")]),
    (AVRO, {"total": 1, "items": [{}]}, [(Kind.REQUIRED_MISSING, "items[0].id")]),
    (PROTO, {"total": 1, "currency": "EUR", "items": [{"id": "a", "mark": "YQ=="}], "counts": {"a": "12"}}, []),
    (PROTO, {"placed_at": "2026-11-22T18:00:00Z", "person": "x"}, []),
    (PROTO, {"placedAt": "2026-11-22T18:00:00.5+01:00", "currency": 1}, []),
    (PROTO, {"total": 2**31}, [(Kind.RANGE, "total")]),
    (PROTO, {"total": 1.5}, [(Kind.TYPE_MISMATCH, "total")]),
    (PROTO, {"currency": "GBP"}, [(Kind.RANGE, "currency")]),
    (PROTO, {"colour": "red"}, [(Kind.ADDITIONAL_PROPERTY, "colour")]),
    (PROTO, {"placed_at": "yesterday"}, [(Kind.FORMAT, "placed_at")]),
    (PROTO, {"person": "x", "machine": "y"}, [(Kind.COMBINATION, "machine")]),
    (PROTO, {"items": [{"id": 1}]}, [(Kind.TYPE_MISMATCH, "items[0].id")]),
    (PROTO, {"counts": {"a": 2**63}}, [(Kind.RANGE, "counts.a")]),
    (PROTO, {"items": [{"mark": "?"}]}, [(Kind.FORMAT, "items[0].mark")]),
    (REQUIRED, {}, [(Kind.REQUIRED_MISSING, "total")]),
]


@pytest.mark.parametrize(("schema", "value", "expected"), FOUND)
def test_what_is_wrong_is_named_with_its_place(schema: Any, value: object, expected: list[tuple[Kind, str]]) -> None:
    found = compiled(source_of(schema)).violations(value)
    assert [(one.kind, one.path) for one in found] == expected


def source_of(schema: Any) -> Source:
    if isinstance(schema, str):
        return Source(format=Format.PROTOBUF, text=schema)
    return Source(format=Format.AVRO if "fields" in schema else Format.JSON, text=json.dumps(schema))


@pytest.mark.parametrize(
    ("schema", "draft"),
    [
        ({"type": "string"}, 7),
        ({"items": [{"type": "string"}]}, 7),
        ({"prefixItems": [{"type": "string"}]}, 2020),
        ({"properties": {"a": {"dependentRequired": {"a": ["b"]}}}}, 2020),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "prefixItems": []}, 7),
    ],
)
def test_a_schema_without_a_draft_is_read_by_the_keywords_it_uses(schema: dict[str, Any], draft: int) -> None:
    assert json_schema.read(Source(format=Format.JSON, text=json.dumps(schema))).draft == draft


def test_a_schema_that_asks_for_itself_ends() -> None:
    assert compiled(source_of({"$ref": "#"})).violations(1) == []
    with pytest.raises(Invalid, match="is known here"):
        compiled(Source(format=Format.AVRO, text='{"type": "array", "items": "Self"}'))
