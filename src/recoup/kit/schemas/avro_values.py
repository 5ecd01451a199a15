"""JSON values against an Avro type. Pure."""

from collections.abc import Iterator
from typing import Final, cast

from recoup.kit.schemas.avro import (
    INT,
    LONG,
    Array,
    Enum,
    Fixed,
    Map,
    Primitive,
    Record,
    Type,
    Union,
    fits,
    kind_of,
)
from recoup.kit.schemas.source import Kind, Violation, dotted

_LIMITS: Final = {"int": INT, "long": LONG}
Place = tuple[str | int, ...]


def violations(value: object, type_: Type, place: Place = ()) -> Iterator[Violation]:
    """Everything that is wrong."""
    match type_:
        case Primitive():
            yield from _primitive(value, type_.kind, place)
        case Union():
            yield from _union(value, type_, place)
        case Enum() | Fixed() if isinstance(value, str):
            yield from _text(value, type_, place)
        case Array() if isinstance(value, list):
            for at, item in enumerate(cast("list[object]", value)):
                yield from violations(item, type_.items, (*place, at))
        case Record() if isinstance(value, dict):
            yield from _record(cast("dict[str, object]", value), type_, place)
        case Map() if isinstance(value, dict):
            for name, item in cast("dict[str, object]", value).items():
                yield from violations(item, type_.values, (*place, name))
        case _:
            yield _mismatch(value, type_, place)


def _text(value: str, type_: Enum | Fixed, place: Place) -> Iterator[Violation]:
    if isinstance(type_, Fixed):
        if len(value) != type_.size:
            yield _said(Kind.RANGE, place, f"{len(value)} bytes, not {type_.size}")
    elif value not in type_.symbols and type_.default is None:
        yield _said(Kind.RANGE, place, f"{value[:100]!r} is none of {', '.join(type_.symbols[:20])}")


def _primitive(value: object, kind: str, place: Place) -> Iterator[Violation]:
    if fits(value, Primitive(kind)):
        return
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and kind in _LIMITS:
        yield _said(Kind.RANGE, place, f"{value} does not fit into {kind}")
    elif not (isinstance(value, float) and value.is_integer() and kind in _LIMITS):
        yield _mismatch(value, Primitive(kind), place)


def _record(value: dict[str, object], record: Record, place: Place) -> Iterator[Violation]:
    known: set[str] = set()
    for entry in record.fields:
        name = next((name for name in (entry.name, *entry.aliases) if name in value), None)
        if name is not None:
            known.add(name)
            yield from violations(value[name], entry.type, (*place, name))
        elif not entry.has_default:
            yield _said(Kind.REQUIRED_MISSING, (*place, entry.name), "it is not there and has no default")
    for name in value:
        if name not in known:
            yield _said(Kind.ADDITIONAL_PROPERTY, (*place, name), "the schema has no such field")


def _union(value: object, union: Union, place: Place) -> Iterator[Violation]:
    """Of the branches whose type fits the first is meant; a value may also stand under its branch's name."""
    tries = [list(violations(value, branch, place)) for branch in union.branches]
    if isinstance(value, dict) and len(cast("dict[str, object]", value)) == 1:
        ((name, inner),) = cast("dict[str, object]", value).items()
        named = [branch for branch in union.branches if name == _name(branch)]
        tries += [list(violations(inner, branch, (*place, name))) for branch in named]
    if any(not found for found in tries):
        return
    close = next((found for found in tries if not any(one.path == dotted(place) for one in found)), None)
    if close is None:
        close = next((found for found in tries if found[0].kind is not Kind.TYPE_MISMATCH), None)
    if close is not None:
        yield from close
        return
    names = ", ".join(kind_of(branch) for branch in union.branches)
    yield _said(Kind.TYPE_MISMATCH, place, f"{_kind(value)} is none of {names}")


def _name(branch: Type) -> str:
    return branch.name if isinstance(branch, Record | Enum | Fixed) else kind_of(branch)


def _mismatch(value: object, type_: Type, place: Place) -> Violation:
    return _said(Kind.TYPE_MISMATCH, place, f"{_kind(value)} is no {kind_of(type_)}")


def _kind(value: object) -> str:
    words: dict[type, str] = {bool: "a boolean", str: "text", int: "a number", float: "a number", list: "a list"}
    return "null" if value is None else words.get(cast("type", type(value)), "an object")


def _said(kind: Kind, place: Place, detail: str) -> Violation:
    return Violation(kind=kind, path=dotted(place), detail=detail)
