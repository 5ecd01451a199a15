"""What a JSON Schema says, taken apart for comparing: conjunctions flattened, drafts in one form. Judges nothing.

A *part* is one schema object whose keywords all hold at once; `$ref` and `allOf` are parts of their own. A value must
satisfy every part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol, cast

from recoup.kit.schemas.json_schema import Document, Node, Schema, subschemas

TYPES: Final = {
    "null": {"null"}, "boolean": {"boolean"}, "integer": {"integer"}, "number": {"integer", "fraction"},
    "string": {"string"}, "array": {"array"}, "object": {"object"},
}  # fmt: skip
"""The word `number` covers two kinds, so that kinds never overlap."""
EVERY_TYPE: Final = frozenset[str]().union(*TYPES.values())


@dataclass(frozen=True, slots=True)
class Part:
    """Keywords that hold together."""

    node: Node
    draft: int
    ignored: frozenset[str] = frozenset()
    """Keywords that were taken care of elsewhere."""
    known: frozenset[str] = frozenset()
    """Properties that neighbouring parts speak of, for `unevaluatedProperties`."""

    @property
    def mark(self) -> str:
        """Tells parts apart."""
        return self.node.place + "!" + ",".join(sorted(self.ignored))

    def get(self, keyword: str) -> object:
        """A keyword's value, None where it is not used."""
        return None if keyword in self.ignored else cast("Schema", self.node.schema).get(keyword)

    def child(self, *keys: str | int) -> Node:
        return self.node.child(*keys)

    def table(self, keyword: str) -> dict[str, object]:
        """A keyword whose value is a table; empty where it is not used."""
        found = self.get(keyword)
        return cast("dict[str, object]", found) if isinstance(found, dict) else {}

    def names(self, keyword: str) -> list[str]:
        """A keyword whose value is a list of names."""
        found = self.get(keyword)
        return cast("list[str]", found) if isinstance(found, list) else []

    def branches(self, keyword: str) -> list[Node]:
        """The schemas of `anyOf` or `oneOf`."""
        return [self.child(keyword, place) for place in range(len(self.names(keyword)))]


class Spend(Protocol):
    """Counts work, and ends it where it is too much."""

    def __call__(self, steps: int, /) -> None: ...


def parts(node: Node, draft: int, spend: Spend) -> list[Part] | None:
    """Every part of a schema; None for the schema that nothing satisfies."""
    found: list[Part] = []
    met: set[str] = set()
    fits = _gather(node, draft, found, met)
    # What was met again costs as well: where each leads to each, that is most of it.
    spend(len(met) + sum(len(part.names("allOf")) for part in found))
    if not fits:
        return None
    known = frozenset(name for part in found for name in part.table("properties"))
    return [Part(part.node, draft, part.ignored, known) for part in found]


def _gather(node: Node, draft: int, found: list[Part], met: set[str]) -> bool:
    if isinstance(node.schema, bool):
        return node.schema
    if node.place in met:
        return True
    met.add(node.place)
    reference = node.schema.get("$ref")
    if isinstance(reference, str) and not _gather(node.follow(reference), draft, found, met):
        return False
    if isinstance(reference, str) and draft == 7:  # noqa: PLR2004 - in draft-07 a reference's neighbours don't count
        return True
    part = Part(node, draft)
    found.append(part)
    return all(_gather(branch, draft, found, met) for branch in part.branches("allOf"))


def types(writer: Sequence[Part]) -> frozenset[str]:
    """The kinds of value that all of these allow."""
    left = EVERY_TYPE
    for part in writer:
        named = part.get("type")
        words = cast("list[str]", named) if isinstance(named, list) else [named] if isinstance(named, str) else None
        if words is not None:
            left &= frozenset(kind for word in words for kind in TYPES[word])
    return left


def values(writer: Sequence[Part]) -> list[object] | None:
    """The values to which a part limits us; None without a limit."""
    for part in writer:
        if "const" in cast("Schema", part.node.schema) and "const" not in part.ignored:
            return [part.get("const")]
        found = part.get("enum")
        if isinstance(found, list):
            return cast("list[object]", found)
    return None


def alternatives(writer: Sequence[Part], document: Document, spend: Spend) -> list[list[Part]] | None:
    """The same values as a choice: one list of parts for each branch of the first `anyOf` or `oneOf`."""
    for place, part in enumerate(writer):
        for keyword in ("anyOf", "oneOf"):
            branches = part.branches(keyword)
            if branches:
                rest = Part(part.node, part.draft, part.ignored | {keyword}, part.known)
                others = [*writer[:place], rest, *writer[place + 1 :]]
                made = [parts(branch, document.draft, spend) for branch in branches]
                return [[*others, *branch] for branch in made if branch is not None]
    return None


def narrowed(writer: Sequence[Part], document: Document) -> list[list[Part]] | None:
    """The same values as a choice by type; None where there is only one."""
    kinds = types(writer)
    words = sorted(word for word, covered in TYPES.items() if covered <= kinds)
    if "number" in words:
        words.remove("integer")
    if len(words) < 2:  # noqa: PLR2004 - a choice takes two
        return None
    return [
        [*writer, Part(Node({"type": word}, f"type:{word}", document.root.resolver), document.draft)] for word in words
    ]


def same(one: Part, other: Part) -> bool:
    """Whether two parts are the same words; references may mean something else, so those are never the same."""
    return (
        one.node.schema == other.node.schema
        and one.ignored == other.ignored
        and not any("$ref" in found or "$dynamicRef" in found for _, found in subschemas(one.node.schema))
    )


def items(part: Part) -> tuple[list[Node], Node | None]:
    """The schemas of the first places, and the one of all others."""
    ahead = "items" if isinstance(part.get("items"), list) else "prefixItems"
    rest = "additionalItems" if ahead == "items" else "items"
    first = [part.child(ahead, place) for place in range(len(part.names(ahead)))]
    for keyword in (rest, "unevaluatedItems"):
        if part.get(keyword) is not None and not isinstance(part.get(keyword), list):
            return first, part.child(keyword)
    return first, None


def rest(part: Part) -> Node | None:
    """The schema of properties that nothing else speaks of."""
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        if part.get(keyword) is not None:
            return part.child(keyword)
    return None


def applying(part: Part, name: str) -> Iterator[Node]:
    """The schemas that a property of this name must satisfy."""
    spoken = False
    if name in part.table("properties"):
        spoken = True
        yield part.child("properties", name)
    for pattern in part.table("patternProperties"):
        if matches(pattern, name):
            spoken = True
            yield part.child("patternProperties", pattern)
    last = rest(part)
    if last is not None and not spoken and (part.get("additionalProperties") is not None or name not in part.known):
        yield last


@lru_cache(maxsize=4096)
def matches(pattern: str, text: str) -> bool:
    """Whether a pattern is found in a text, by an engine that gives up on patterns that would take for ever."""
    import jsonschema_rs  # noqa: PLC0415 - 5 MB that a process without schemas does without

    return jsonschema_rs.Draft202012Validator({"pattern": pattern}).is_valid(text)


def dependents(part: Part) -> Iterator[tuple[str, list[str] | Node]]:
    """What the presence of a property asks for: other properties, or a schema of the whole."""
    for keyword in ("dependentRequired", "dependencies", "dependentSchemas"):
        for name, asked in part.table(keyword).items():
            if isinstance(asked, list):
                yield name, cast("list[str]", asked)
            else:
                yield name, part.child(keyword, name)
