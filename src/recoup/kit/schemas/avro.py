"""Avro schemas read into a tree, strictly by the specification. Refuses what a lenient reader would let pass.

Names, redefinitions, nested unions, sizes, symbols and defaults are all checked, as a schema that one library takes and
another does not is no agreement.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

import msgspec

from recoup.kit.schemas.source import DEEPEST, Source, refuse

PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
INT: Final = (-(2**31), 2**31 - 1)
LONG: Final = (-(2**63), 2**63 - 1)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Java's tools put the names of inner classes, with their dollar sign, into namespaces.
_FULL_NAME: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_$]*\.)*[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True, eq=False)
class Decimal:
    """How a decimal is kept; two that differ would read another number."""

    precision: int
    scale: int


@dataclass(slots=True, eq=False)
class Primitive:
    kind: str
    decimal: Decimal | None = None


@dataclass(slots=True, eq=False)
class Array:
    items: "Type"


@dataclass(slots=True, eq=False)
class Map:
    values: "Type"


@dataclass(slots=True, eq=False)
class Union:
    branches: "list[Type]"


@dataclass(slots=True, eq=False)
class Enum:
    name: str
    aliases: list[str]
    symbols: list[str]
    default: str | None


@dataclass(slots=True, eq=False)
class Fixed:
    name: str
    aliases: list[str]
    size: int
    decimal: Decimal | None = None


@dataclass(slots=True, eq=False)
class Field:
    name: str
    aliases: list[str]
    type: "Type"
    has_default: bool


@dataclass(slots=True, eq=False)
class Record:
    name: str
    aliases: list[str]
    fields: list[Field] = field(default_factory=list)


Named = Enum | Fixed | Record
Type = Primitive | Array | Map | Union | Named
Json = dict[str, object]


def kind_of(type_: Type) -> str:
    """The word the specification has for a type."""
    return type_.kind if isinstance(type_, Primitive) else type(type_).__name__.lower()


def read(source: Source) -> Type:
    """The type of a schema; raises Invalid with the place of what is wrong."""
    reader = _Reader({})
    for name, text in source.references.items():
        reader.read(_json(text, f"reference {name}"), "", "")
    return reader.read(_json(source.text, ""), "", "")


def _json(text: str, place: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        # A bare word is the short form of a primitive's or a known type's schema.
        if _FULL_NAME.fullmatch(text.strip()):
            return text.strip()
        return refuse(place, f"this is not JSON: {error}")


@dataclass(slots=True)
class _Reader:
    names: dict[str, Named]
    depth: int = 0

    def read(self, schema: object, namespace: str, path: str) -> Type:
        self.depth += 1
        if self.depth > DEEPEST:
            refuse(path, f"nested deeper than {DEEPEST}", "too_deep")
        try:
            match schema:
                case str():
                    return self._named(schema, namespace, path)
                case list():
                    return self._union(cast("list[object]", schema), namespace, path)
                case dict():
                    return self._complex(cast("Json", schema), namespace, path)
                case _:
                    return refuse(path, f"a schema is a name, a list or an object, not {schema!r}")
        finally:
            self.depth -= 1

    def _named(self, name: str, namespace: str, path: str) -> Type:
        if name in PRIMITIVES:
            return Primitive(name)
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        found = self.names.get(full) or self.names.get(name)
        return found if found is not None else refuse(path, f"no type {full!r} is known here", "unknown_type")

    def _union(self, branches: list[object], namespace: str, path: str) -> Union:
        union = Union([self.read(branch, namespace, f"{path}/{place}") for place, branch in enumerate(branches)])
        seen: set[str] = set()
        for place, branch in enumerate(union.branches):
            if isinstance(branch, Union):
                refuse(f"{path}/{place}", "a union may not hold a union directly")
            mark = branch.name if isinstance(branch, Named) else kind_of(branch)
            if mark in seen:
                refuse(f"{path}/{place}", f"{mark} stands twice in a union")
            seen.add(mark)
        return union

    def _complex(self, schema: Json, namespace: str, path: str) -> Type:
        kind = schema.get("type")
        if kind is None:
            refuse(path, "an object without a type")
        naming = {"record": self._record, "error": self._record, "enum": self._enum, "fixed": self._fixed}
        if isinstance(kind, str) and kind in naming:
            return naming[kind](schema, namespace, path)
        if kind == "array":
            return Array(self.read(_member(schema, "items", path), namespace, f"{path}/items"))
        if kind == "map":
            return Map(self.read(_member(schema, "values", path), namespace, f"{path}/values"))
        found = self.read(kind, namespace, f"{path}/type")
        if isinstance(found, Primitive) and found.kind == "bytes":
            return Primitive("bytes", _decimal(schema))
        return found

    def _record(self, schema: Json, namespace: str, path: str) -> Record:
        name, aliases, inner = self._naming(schema, namespace, path)
        record = Record(name, aliases)
        self.names[name] = record
        fields = _member(schema, "fields", path)
        if not isinstance(fields, list):
            refuse(f"{path}/fields", "fields are a list")
        seen: set[str] = set()
        for place, entry in enumerate(cast("list[object]", fields)):
            made = self._field(entry, inner, f"{path}/fields/{place}")
            if made.name in seen:
                refuse(f"{path}/fields/{place}", f"field {made.name!r} stands there twice")
            seen.add(made.name)
            record.fields.append(made)
        return record

    def _field(self, entry: object, namespace: str, path: str) -> Field:
        if not isinstance(entry, dict):
            refuse(path, "a field is an object")
        schema = cast("Json", entry)
        name = _text(schema, "name", path)
        if not _NAME.fullmatch(name):
            refuse(f"{path}/name", f"{name!r} cannot be a name")
        type_ = self.read(_member(schema, "type", path), namespace, f"{path}/type")
        if "default" in schema and not fits(schema["default"], type_):
            refuse(f"{path}/default", f"the default {schema['default']!r} is no {kind_of(type_)}")
        return Field(name, _texts(schema, "aliases", path), type_, "default" in schema)

    def _enum(self, schema: Json, namespace: str, path: str) -> Enum:
        name, aliases, _ = self._naming(schema, namespace, path)
        if "symbols" not in schema:
            refuse(path, "an enum without symbols")
        symbols = _texts(schema, "symbols", path)
        if len(set(symbols)) != len(symbols) or not all(_NAME.fullmatch(symbol) for symbol in symbols):
            refuse(f"{path}/symbols", "symbols are names, each once")
        default = schema.get("default")
        if default is not None and default not in symbols:
            refuse(f"{path}/default", f"{default!r} is none of the symbols")
        made = self.names[name] = Enum(name, aliases, symbols, cast("str | None", default))
        return made

    def _fixed(self, schema: Json, namespace: str, path: str) -> Fixed:
        name, aliases, _ = self._naming(schema, namespace, path)
        size = _member(schema, "size", path)
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            refuse(f"{path}/size", f"{size!r} is no size")
        made = self.names[name] = Fixed(name, aliases, size, _decimal(schema))
        return made

    def _naming(self, schema: Json, namespace: str, path: str) -> tuple[str, list[str], str]:
        """Full name, full aliases, and the namespace for what is inside."""
        name = _text(schema, "name", path)
        inner = name.rpartition(".")[0] if "." in name else cast("str", schema.get("namespace", namespace)) or ""
        full = name if "." in name or not inner else f"{inner}.{name}"
        if not isinstance(cast("object", inner), str) or not _FULL_NAME.fullmatch(full):
            refuse(f"{path}/name", f"{full!r} cannot be a name")
        if full in self.names or full in PRIMITIVES:
            refuse(f"{path}/name", f"the name {full!r} is taken")
        aliases = _texts(schema, "aliases", path)
        return full, [alias if "." in alias or not inner else f"{inner}.{alias}" for alias in aliases], inner


def _decimal(schema: Json) -> Decimal | None:
    """By the specification a logical type that makes no sense is no logical type, and no mistake."""
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if schema.get("logicalType") != "decimal" or not isinstance(precision, int) or not isinstance(scale, int):
        return None
    return Decimal(precision, scale) if 0 <= scale <= precision and precision > 0 else None


def _member(schema: Json, key: str, path: str) -> object:
    return schema[key] if key in schema else refuse(path, f"{key} is missing")


def _text(schema: Json, key: str, path: str) -> str:
    found = _member(schema, key, path)
    return found if isinstance(found, str) else refuse(f"{path}/{key}", f"{key} is text, not {found!r}")


def _texts(schema: Json, key: str, path: str) -> list[str]:
    found = schema.get(key, [])
    texts = cast("list[object]", found) if isinstance(found, list) else [None]
    if not all(isinstance(text, str) for text in texts):
        refuse(f"{path}/{key}", f"{key} are a list of text")
    return cast("list[str]", texts)


def fits(value: object, type_: Type) -> bool:
    """Whether a default is of a type; of a union, whether it is of any branch."""
    match type_:
        case Primitive():
            found = _fits_primitive(value, type_.kind)
        case Array():
            found = isinstance(value, list) and all(fits(item, type_.items) for item in cast("list[object]", value))
        case Map():
            found = isinstance(value, dict) and all(fits(item, type_.values) for item in cast("Json", value).values())
        case Union():
            found = any(fits(value, branch) for branch in type_.branches)
        case Enum():
            found = value in type_.symbols
        case Fixed():
            found = isinstance(value, str) and len(value) == type_.size
        case Record():
            found = isinstance(value, dict) and _fits_record(cast("Mapping[str, object]", value), type_)
    return found


def _fits_record(value: Mapping[str, object], record: Record) -> bool:
    return all(
        fits(value[entry.name], entry.type) if entry.name in value else entry.has_default for entry in record.fields
    )


def _fits_primitive(value: object, kind: str) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "int" | "long":
            low, high = INT if kind == "int" else LONG
            return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        case "float" | "double":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return number or (isinstance(value, str) and value in {"NaN", "Infinity", "-Infinity"})
        case _:
            return isinstance(value, str)
