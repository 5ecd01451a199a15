"""How much work it may be to say what is wrong with a value under a JSON Schema.

Whether a value fits is told quickly however references run. Every reason why not is another matter: a validator goes
into each branch anew, and where branches lead back to where they came from, a few levels of a value are millions of
checks. What is counted here is never less than what a validator does, and known before it begins.
"""

from collections.abc import Iterator
from typing import Final, cast

from recoup.kit.schemas.json_schema import CONDITION, LISTS, SUBSCHEMA, Node, about_the_same

ENDLESS: Final = 10**18
"""A schema that leads back to itself without going into the value, or by a reference that depends on the way to it."""
_PATTERNS: Final = "patternProperties"
_ALWAYS: Final = "contains"


class Work:
    """A schema's subschemas by number, and where each leads: to others about the same value, and into the value."""

    def __init__(self, root: Node) -> None:
        self._same: list[list[int]] = []
        self._inside: list[list[list[int]]] = []
        """For each subschema groups of others; of a group one at most is about a given place."""
        self._number(root)
        self._order = self._from_the_end()
        self._levels: list[list[int]] = []
        """By subschema, how often a validator that begins there looks at one place so deep in the value."""

    def checks(self, value: object) -> int:
        """How often a validator looks at any place in the value, at most."""
        places = _places(value)
        while len(self._levels) < len(places):
            self._levels.append(self._level(self._levels[-1] if self._levels else None))
        return min(ENDLESS, sum(count * level[0] for count, level in zip(places, self._levels, strict=False)))

    def _number(self, root: Node) -> None:
        numbers, nodes = {root.place: 0}, [root]

        def number(node: Node) -> int:
            if node.place not in numbers:
                numbers[node.place] = len(nodes)
                nodes.append(node)
            return numbers[node.place]

        for node in nodes:  # grows on the way
            self._same.append([number(one) for one in about_the_same(node)])
            self._inside.append([[number(one) for one in group] for group in _inside(node)])
            if isinstance(node.schema, dict) and "not" in node.schema:
                self._same[-1].append(number(node.child("not")))
            if isinstance(node.schema, dict) and "$dynamicRef" in node.schema:
                self._same[-1].append(numbers[node.place])

    def _from_the_end(self) -> list[int]:
        """Subschemas behind all they lead to about the same value; those that never end are not among them."""
        open_ = [len(set(leads)) for leads in self._same]
        leading: list[list[int]] = [[] for _ in self._same]
        for number, leads in enumerate(self._same):
            for other in set(leads):
                leading[other].append(number)
        found = [number for number, left in enumerate(open_) if not left]
        for number in found:  # grows on the way
            for other in leading[number]:
                open_[other] -= 1
                if not open_[other]:
                    found.append(other)
        return found

    def _level(self, before: list[int] | None) -> list[int]:
        """The same for places one level deeper; without a level before, for the value itself."""
        level = [ENDLESS] * len(self._same)
        for number in self._order:
            here = 1 if before is None else sum(
                max((before[one] for one in group), default=0) for group in self._inside[number]
            )  # fmt: skip
            level[number] = min(ENDLESS, here + sum(level[one] for one in self._same[number]))
        return level


def _inside(node: Node) -> Iterator[list[Node]]:
    if not isinstance(node.schema, dict):
        return
    one_of_them: list[Node] = []
    for key, value in node.schema.items():
        if key == _ALWAYS:
            yield [node.child(key)]
        elif key == _PATTERNS:
            yield from ([node.child(key, name)] for name in cast("dict[str, object]", value))
        elif key == "properties":
            one_of_them += [node.child(key, name) for name in cast("dict[str, object]", value)]
        elif key in LISTS and key.endswith("tems") and isinstance(value, list):
            one_of_them += [node.child(key, place) for place in range(len(cast("list[object]", value)))]
        elif key in SUBSCHEMA - CONDITION - {"not"}:
            one_of_them.append(node.child(key))
    yield one_of_them


def _places(value: object) -> list[int]:
    """How many places a value has at each depth."""
    layer, places = [value], [1]
    while layer := [inner for outer in layer for inner in _parts(outer)]:
        places.append(len(layer))
    return places


def _parts(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(cast("dict[str, object]", value).values())
    return cast("list[object]", value) if isinstance(value, list) else []
