"""What a Struct says of its fields: the sentences under them, their defaults, and what values they take.

A sentence stands under its field, as everywhere in the house; units stand in the types, as `Meta` with an
`extra_json_schema` of `x-unit`.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct


class Described(Struct, frozen=True, kw_only=True):
    """A field for whoever has to fill it in."""

    name: str
    description: str
    unit: str
    """Empty for what has none."""
    default: Any
    accepts: dict[str, Any]
    """JSON Schema of its values."""


def described(kind: type[Struct]) -> Sequence[Described]:
    """Every field, in order."""
    _, components = msgspec.json.schema_components([kind])
    properties: Mapping[str, dict[str, Any]] = components[kind.__name__]["properties"]
    sentences = _sentences(kind)
    return [
        Described(
            name=name,
            description=sentences.get(name, ""),
            unit=_unit(schema),
            default=schema.get("default"),
            accepts={key: value for key, value in schema.items() if key not in {"default", "x-unit"}},
        )
        for name, schema in properties.items()
    ]


def _unit(schema: Mapping[str, Any]) -> str:
    return str(schema.get("x-unit") or schema.get("items", {}).get("x-unit", ""))


def _sentences(kind: type[Struct]) -> Mapping[str, str]:
    """The text under each field."""
    (declared,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    found: dict[str, str] = {}
    field = ""
    for line in declared.body if isinstance(declared, ast.ClassDef) else []:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            field = line.target.id
        elif isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and field:
            found[field] = inspect.cleandoc(str(line.value.value)).replace("\n", " ")
    return found
