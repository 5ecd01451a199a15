"""JSON Schemas read: the draft, the documents they refer to, every subschema where it lies. Fetches nothing.

Accepted are draft-07 and 2020-12. Without `$schema` a schema is draft-07, as the stock clients of schema registries
take it, unless it uses a keyword that only 2020-12 has. A reference must lead into the schema itself or into a text
that came along.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, urljoin

import msgspec

from recoup.kit.schemas.source import DEEPEST, Source, refuse

if TYPE_CHECKING:
    from jsonschema_rs import Registry, Resolver, Validator

HOME: Final = "https://schemas.invalid/schema"
"""Where a schema lies that does not say where it lies."""
_ELSEWHERE: Final = "https://schemas.invalid/question"
"""Where a question about a schema lies: at home it would be about itself."""
DRAFTS: Final = {"http://json-schema.org/draft-07/schema": 7, "https://json-schema.org/draft/2020-12/schema": 2020}
_NEWER: Final = frozenset({
    "$dynamicRef", "dependentRequired", "dependentSchemas", "maxContains", "minContains", "prefixItems",
    "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip
SUBSCHEMA: Final = frozenset({
    "additionalItems", "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then",
    "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip
_TABLES: Final = frozenset(
    {"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"}
)
CONDITION: Final = frozenset({"if", "then", "else"})
LISTS: Final = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
"""Keywords that hold schemas: one, or one of a list."""
MOST_WAYS: Final = 100_000
"""Ways through a schema beyond which holding a value against it may take very long."""
_LONGEST_WAY: Final = 300

Schema = dict[str, object]
AnySchema = Schema | bool


@dataclass(frozen=True, slots=True)
class Node:
    """A subschema and where it lies; `resolver` follows references from there."""

    schema: AnySchema
    place: str
    """An address that leads to it from anywhere."""
    resolver: "Resolver"

    def child(self, *keys: str | int) -> "Node":
        """The subschema under these keys."""
        found: Any = self.schema
        place = self.place if "#" in self.place else self.place + "#"
        for key in keys:
            found = found[key]
            place += "/" + quote(str(key).replace("~", "~0").replace("/", "~1"), safe="~!$&'()*+,;=:@")
        resolver = _moved(found, self.resolver)
        if resolver is not self.resolver:
            place = resolver.base_uri
        return Node(cast("AnySchema", found), place, resolver)

    def follow(self, reference: str) -> "Node":
        """What a reference leads to."""
        found = self.resolver.lookup(reference)
        base, _, fragment = reference.partition("#")
        # Relative to where the reference stands, not to where it leads.
        home = urljoin(self.resolver.base_uri, base) if base else self.resolver.base_uri
        return Node(cast("AnySchema", found.contents), f"{home}#{fragment}", found.resolver)


@dataclass(frozen=True, slots=True)
class Document:
    """A schema that is one, with all it refers to."""

    root: Node
    draft: int
    registry: "Registry"
    validator: "Validator"

    def accepts(self, node: Node, value: object) -> bool:
        """Whether a value is valid under a subschema; no where that cannot be told."""
        import jsonschema_rs  # noqa: PLC0415 - 5 MB that a process without schemas does without

        # Below an anchor there is no address; a schema that refers nowhere can do without one.
        questions: list[AnySchema] = [{"$ref": node.place}, node.schema]
        for asked in questions:
            try:
                return self.checker(asked).is_valid(value)
            except (jsonschema_rs.ReferencingError, ValueError):
                continue
        return False

    def checker(self, schema: AnySchema) -> "Validator":
        """A validator of this document's draft that knows the same documents."""
        return _validator(schema, self.draft, self.registry, _ELSEWHERE)


def read(source: Source) -> Document:
    """The document; raises Invalid with the place of what is wrong."""
    import jsonschema_rs  # noqa: PLC0415 - 5 MB that a process without schemas does without

    schema = _schema(source.text, "")
    draft = _draft(schema)
    home = _home(schema)
    resources = [(home, schema)]
    for name, text in source.references.items():
        resources.append((urljoin(home, name), _schema(text, f"reference {name}")))
    try:
        registry = jsonschema_rs.Registry(
            cast("Any", resources), draft=jsonschema_rs.Draft7 if draft == 7 else jsonschema_rs.Draft202012,  # noqa: PLR2004
            retriever=_nowhere,
        )  # fmt: skip
        root = Node(schema, home, registry.resolver(home))
        _follow_all(root)
        return Document(root, draft, registry, _validator(schema, draft, registry, home))
    except jsonschema_rs.ValidationError as error:
        return refuse("#/" + "/".join(str(part) for part in error.instance_path), error.message)
    except (jsonschema_rs.ReferencingError, ValueError, RecursionError) as error:
        return refuse("#", str(error))


def _nowhere(uri: str) -> Any:  # noqa: ANN401 - the library's signature
    raise ValueError(f"{uri!r} is neither in the schema nor among its references")


def _validator(schema: AnySchema, draft: int, registry: "Registry", home: str) -> "Validator":
    import jsonschema_rs  # noqa: PLC0415 - see above

    kind = jsonschema_rs.Draft7Validator if draft == 7 else jsonschema_rs.Draft202012Validator  # noqa: PLR2004
    return kind(cast("Any", schema), registry=registry, validate_formats=True, base_uri=home)


def _schema(text: str, place: str) -> AnySchema:
    try:
        found: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return refuse(place, f"this is not JSON: {error}")
    if not isinstance(found, bool | dict):
        refuse(place, "a schema is an object, true or false")
    _measure(found, place)
    return cast("AnySchema", found)


def _measure(found: object, place: str) -> None:
    layer = [found]
    for _ in range(2 * DEEPEST):
        layer = [inner for value in layer for inner in _inner(value)]
        if not layer:
            return
    refuse(place, f"nested deeper than {2 * DEEPEST}", "too_deep")


def _inner(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(cast("Schema", value).values())
    return cast("list[object]", value) if isinstance(value, list) else []


def _draft(schema: AnySchema) -> int:
    if isinstance(schema, bool):
        return 2020
    named = schema.get("$schema")
    if named is None:
        return 2020 if any(_NEWER & sub.keys() for sub in _objects(schema)) else 7
    found = DRAFTS.get(named.rstrip("#")) if isinstance(named, str) else None
    return found or refuse("#/$schema", f"{named!r} is neither draft-07 nor 2020-12", "draft_unknown")


def _home(schema: AnySchema) -> str:
    name = schema.get("$id") if isinstance(schema, dict) else None
    try:
        return urljoin(HOME, name).partition("#")[0] if isinstance(name, str) else HOME
    except ValueError as error:
        return refuse("#/$id", str(error))


def _objects(schema: object) -> Iterator[Schema]:
    """Every subschema, without following references."""
    for _, found in subschemas(schema):
        yield found


def subschemas(schema: object, *path: str | int) -> Iterator[tuple[tuple[str | int, ...], Schema]]:
    """Every subschema that is an object, with its keys from the top."""
    if not isinstance(schema, dict):
        return
    table = cast("Schema", schema)
    yield path, table
    for key, value in table.items():
        if key in SUBSCHEMA:
            yield from subschemas(value, *path, key)
        if key in LISTS and isinstance(value, list):
            for place, entry in enumerate(cast("list[object]", value)):
                yield from subschemas(entry, *path, key, place)
        if key in _TABLES and isinstance(value, dict):
            for name, entry in cast("Mapping[str, object]", value).items():
                yield from subschemas(entry, *path, key, name)


def names(node: Node) -> Iterator[str]:
    """The properties that a schema speaks of, wherever it says so about the same object."""
    waiting, seen = [node], {node.place}
    while waiting:
        here = waiting.pop()
        if not isinstance(here.schema, dict):
            continue
        schema = here.schema
        yield from cast("Mapping[str, object]", schema.get("properties", {}))
        yield from cast("list[str]", schema.get("required", []))
        for other in about_the_same(here):
            if other.place not in seen:
                seen.add(other.place)
                waiting.append(other)


def about_the_same(node: Node) -> Iterator[Node]:
    """The schemas that a schema holds against the very value it is held against."""
    if not isinstance(node.schema, dict):
        return
    schema = node.schema
    if isinstance(schema.get("$ref"), str):
        yield node.follow(cast("str", schema["$ref"]))
    for key in CONDITION & schema.keys():
        yield node.child(key)
    for key in ("allOf", "anyOf", "oneOf"):
        for place in range(len(cast("list[object]", schema.get(key, [])))):
            yield node.child(key, place)
    for key in ("dependencies", "dependentSchemas"):
        for name, found in cast("Mapping[str, object]", schema.get(key, {})).items():
            if isinstance(found, bool | dict):
                yield node.child(key, name)


def check_ways(document: Document) -> None:
    """Raises Invalid where even to tell whether a value fits would take very long."""
    if ways(document.root, {}) >= MOST_WAYS:
        refuse("#", "its references multiply beyond what can be held against a value", "too_complex")


def ways(node: Node, known: dict[str, int], depth: int = 0) -> int:
    """How many ways lead a validator from a schema to others; the way back to where it came from counts for nothing.

    References make this grow with the power of a schema's length. Gives up, with a large number, on very long ways.
    """
    if node.place not in known:
        known[node.place] = 0
        if depth >= _LONGEST_WAY:
            return MOST_WAYS
        known[node.place] = min(MOST_WAYS, 1 + sum(ways(one, known, depth + 1) for one in _next(node)))
    return known[node.place]


def _next(node: Node) -> Iterator[Node]:
    """The schemas that a validator goes on with."""
    if not isinstance(node.schema, dict):
        return
    yield from about_the_same(node)
    if isinstance(node.schema.get("$dynamicRef"), str):
        yield node.follow(cast("str", node.schema["$dynamicRef"]))
    for key, value in node.schema.items():
        if key in SUBSCHEMA - CONDITION and isinstance(value, bool | dict):
            yield node.child(key)
        if key in {"items", "prefixItems"} and isinstance(value, list):
            for place in range(len(cast("list[object]", value))):
                yield node.child(key, place)
        if key in {"patternProperties", "properties"} and isinstance(value, dict):
            for name in cast("Mapping[str, object]", value):
                yield node.child(key, name)


def _moved(schema: object, resolver: "Resolver") -> "Resolver":
    """The resolver inside a schema: another one where the schema says that it lies elsewhere."""
    import jsonschema_rs  # noqa: PLC0415 - see above

    name = cast("Schema", schema).get("$id") if isinstance(schema, dict) else None
    if not isinstance(name, str) or name.startswith("#"):
        return resolver
    try:
        return resolver.lookup(name).resolver
    except jsonschema_rs.ReferencingError:
        return resolver  # beside a `$ref` draft-07 has no `$id`


def _follow_all(root: Node) -> None:
    """A reference that leads nowhere is found now, not when the first value comes."""
    for keys, found in subschemas(root.schema):
        reference = found.get("$ref")
        if isinstance(reference, str):
            here, resolver = cast("Any", root.schema), root.resolver
            for key in keys:
                here = here[key]
                resolver = _moved(here, resolver)
            target: object = resolver.lookup(reference).contents
            if not isinstance(target, bool | dict):
                refuse("#/" + "/".join(str(key) for key in keys), f"{reference!r} leads to no schema")
