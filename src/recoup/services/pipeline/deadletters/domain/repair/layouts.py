"""Undoes what serializers do to whole documents: values under the names of their types, tables as rows or as pairs.

Each is a rule about the shape alone; nothing here knows what an event is.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from recoup.services.pipeline.deadletters.domain.repair.naming import squashed
from recoup.services.pipeline.deadletters.domain.repair.notation import Json, Table, strictly

_TYPES: Final = frozenset({
    "s", "n", "m", "l", "b", "ss", "ns", "bool", "boolean", "null", "string", "str", "text", "int", "integer", "long",
    "short", "float", "double", "decimal", "numeric", "array", "list", "map", "record", "struct", "date", "datetime",
    "timestamp", "numberint", "numberlong", "numberdouble", "numberdecimal", "oid", "uuid", "stringvalue", "intvalue",
    "integervalue", "doublevalue", "floatvalue", "booleanvalue", "timestampvalue", "arrayvalue", "mapvalue", "values",
})  # fmt: skip
_NUMBERS: Final = re.compile(r"n$|num|int|long|short|float|double|decimal", re.IGNORECASE)
_NAMES: Final = frozenset({"key", "name", "field", "k", "property", "attribute"})
_VALUES: Final = frozenset({"value", "val", "v"})


def untyped(value: Json) -> Json:
    """Values out of the objects that say their types: `{"S": "x"}`, `{"$numberInt": "1"}`, `{"array": [...]}`."""
    if isinstance(value, list):
        return [untyped(one) for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        name, inner = next(iter(value.items()))
        kind = re.sub(r"[\W_]+", "", name).lower()
        if kind in _TYPES and (name.startswith("$") or name.isupper() or kind != "values"):
            number = strictly(inner) if isinstance(inner, str) and _NUMBERS.search(kind) else None
            return number if isinstance(number, int | float) else untyped(inner)
    return {name: untyped(inner) for name, inner in value.items()}


def tabled(value: Json) -> Table | None:
    """One table out of a list of names with values, or of columns with a single row; None for anything else."""
    if isinstance(value, list) and len(value) > 1 and all(isinstance(one, dict) and len(one) == 2 for one in value):  # noqa: PLR2004 - name and value
        found = [_pair(one) for one in value if isinstance(one, dict)]
        pairs = [pair for pair in found if pair is not None]
        return dict(pairs) if len(pairs) == len(value) == len(dict(pairs)) else None
    if isinstance(value, dict) and len(value) == 2:  # noqa: PLR2004 - the names and the rows
        names, rows = sorted(value.values(), key=lambda one: not _is_header(one))
        if isinstance(names, list) and _is_header(names) and isinstance(rows, list):
            row = rows[0] if len(rows) == 1 and isinstance(rows[0], list) else rows
            if len(row) == len(names):
                return {str(name): inner for name, inner in zip(names, row, strict=True)}
    return None


def _is_header(value: Json) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(one, str) for one in value)


def _pair(table: Table) -> tuple[str, Json] | None:
    name = next((inner for key, inner in table.items() if key.lower() in _NAMES), None)
    rest = [inner for key, inner in table.items() if key.lower() in _VALUES]
    return (name, rest[0]) if isinstance(name, str) and len(rest) == 1 else None


def rows_of(value: Json) -> list[Table] | None:
    """Tables out of a list of rows under a header."""
    if not isinstance(value, list) or len(value) < 2 or not _is_header(value[0]):  # noqa: PLR2004 - header and a row
        return None
    header, *rows = value
    fitting = [row for row in rows if isinstance(row, list) and isinstance(header, list) and len(row) == len(header)]
    if len(fitting) < len(rows) or not isinstance(header, list):
        return None
    return [{str(name): inner for name, inner in zip(header, row, strict=True)} for row in fitting]


def unmarked(table: Table) -> tuple[Table, str]:
    """A table without the ending that all of its names share, and that ending: `type__c`, `cart_id__c`."""
    endings = Counter(found[0] for name in table if (found := re.search(r"[_\-.:]+[A-Za-z0-9]{1,12}$", name)))
    ending, count = endings.most_common(1)[0] if endings else ("", 0)
    if count < max(4, len(table) - 1) or squashed(ending) in {"id", "at"}:  # fewer may share an ending by chance
        return table, ""
    return {name.removesuffix(ending): _cut(value, ending) for name, value in table.items()}, ending


def _cut(value: Json, ending: str) -> Json:
    if isinstance(value, dict):
        return {name.removesuffix(ending): _cut(inner, ending) for name, inner in value.items()}
    return [_cut(one, ending) for one in value] if isinstance(value, list) else value


_PERCENT: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_RESERVED: Final = re.compile(r"[:/?#\[\]@$&+,;= ]")


def undone(value: Json) -> Json:
    """Every text percent-decoded, where all of them show that each was encoded by itself; the same value elsewhere."""
    texts = list(_texts(value))
    encoded = [text for text in texts if _PERCENT.search(text)]
    if not encoded or any(_RESERVED.search(text) for text in texts):
        return value
    return _decoded(value)


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _decoded(value: Json) -> Json:
    if isinstance(value, str):
        return unquote(value)
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    return {name: _decoded(inner) for name, inner in value.items()} if isinstance(value, dict) else value
