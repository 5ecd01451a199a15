"""Which Avro schemas go together: a table from the format's own rules, another library's word, other people's files."""

import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.schemas import rules

from recoup.kit.errors import Invalid
from recoup.kit.schemas import formats
from recoup.kit.schemas.source import Format, Source
from recoup.kit.schemas.validation import compiled

SHARED = Path(os.environ.get("RECOUP_SHARED") or "/nowhere") / "data" / "schema_compat" / "fastavro"


def record(*fields: Any, name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name: str, type_: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def fixed(size: int, **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": "F", "size": size, **more}


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
