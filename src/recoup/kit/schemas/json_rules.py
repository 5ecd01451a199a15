"""JSON Schema: is every value that the writer's schema allows allowed by the reader's. Pure, and bounded in work.

The content model decides what a new property means: where the writer may write anything under that name already (open),
a rule about it refuses what was fine before; where it could not (closed), the rule refuses nothing. A required property
with a default counts as present, as readers fill it in. What cannot be decided is refused, never let pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, cast

from recoup.kit.errors import Invalid
from recoup.kit.schemas import json_parts
from recoup.kit.schemas.json_parts import Part, parts, types
from recoup.kit.schemas.json_schema import HOME, Document, Node, check_ways
from recoup.kit.schemas.source import Difference

STEPS: Final = 50_000
"""Parts looked at, after which we give up: a second or two."""
_TOO_COMPLEX: Final = "these schemas are too entangled to be compared"
FORMATS: Final = frozenset({
    "date", "date-time", "duration", "email", "hostname", "idn-email", "idn-hostname", "ipv4", "ipv6", "iri",
    "iri-reference", "json-pointer", "regex", "relative-json-pointer", "time", "uri", "uri-reference", "uri-template",
    "uuid",
})  # fmt: skip
"""Those that are checked; any other is a remark."""
_LIMITS: Final = (
    ("string", "minLength", 1), ("string", "maxLength", -1), ("array", "minItems", 1), ("array", "maxItems", -1),
    ("object", "minProperties", 1), ("object", "maxProperties", -1),
)  # fmt: skip


def differences(reader: Document, writer: Document) -> list[Difference]:
    """Every reason why not; none if all that was written can be read. Raises Invalid where it would take too long."""
    comparison = _Comparison(reader, writer)
    try:
        comparison.accept([writer.root], reader.root)
    except RecursionError as error:
        raise Invalid(_TOO_COMPLEX, code="too_complex") from error
    return list(dict.fromkeys(comparison.found))


@dataclass(slots=True)
class _Comparison:
    reader: Document
    writer: Document
    found: list[Difference] = field(default_factory=list)
    met: set[tuple[tuple[str, ...], str]] = field(default_factory=set)
    steps: list[int] = field(default_factory=lambda: [STEPS])

    def accept(self, written: Sequence[Node], node: Node) -> None:
        """Whatever satisfies all of `written` must satisfy `node`."""
        made = [parts(one, self.writer.draft, self.spend) for one in written]
        if None not in made:
            self._accept([part for one in made if one is not None for part in one], node)

    def _accept(self, writer: list[Part], node: Node) -> None:
        key = (tuple(sorted(part.mark for part in writer)), node.place)
        if key in self.met:
            return
        self.met.add(key)
        self.spend(1 + len(writer))
        wanted = parts(node, self.reader.draft, self.spend)
        if wanted is None:
            if types(writer):
                self.say("nothing_allowed", node, "the reader allows nothing here")
            return
        for part in wanted:
            self._part(writer, part)

    def spend(self, steps: int) -> None:
        self.steps[0] -= steps
        if self.steps[0] < 0:
            raise Invalid(_TOO_COMPLEX, code="too_complex")

    def _part(self, writer: list[Part], part: Part) -> None:
        """Directly, or else branch by branch of what the writer may choose from."""
        self.spend(1 + len(writer))
        complaints = self.trial(lambda trial: trial.rules(writer, part))
        if not complaints:
            return
        choices = json_parts.alternatives(writer, self.writer, self.spend)
        if choices is None and (part.get("anyOf") or part.get("oneOf")):
            choices = json_parts.narrowed(writer, self.writer)
        if choices is None:
            self.found += complaints
            return
        for choice in choices:
            self._part(choice, part)

    def trial(self, attempt: Callable[["_Comparison"], None]) -> list[Difference]:
        """What an attempt complains of; what it learned is kept only if it complains of nothing."""
        trial = _Comparison(self.reader, self.writer, met=set(self.met), steps=self.steps)
        attempt(trial)
        if not trial.found:
            self.met = trial.met
        return trial.found

    def rules(self, writer: list[Part], part: Part) -> None:
        if any(json_parts.same(part, one) for one in writer):
            return
        values = json_parts.values(writer)
        if values is not None:
            self._values(values, writer, part)
            return
        kinds = types(writer)
        allowed = types([part])
        if not kinds <= allowed:
            rule = "type_narrowed" if kinds & allowed else "type_changed"
            extra = ", ".join(sorted(kinds - allowed)).replace("fraction", "number")
            self.say(rule, part.node, f"the writer may write {extra}", "type")
        for keyword in ("enum", "const"):
            if kinds and part.get(keyword) is not None:
                self.say(f"{keyword}_added", part.node, "the writer is not limited to these values", keyword)
        _scalars(self, writer, part, kinds & allowed)
        if "array" in kinds & allowed:
            _arrays(self, writer, part)
        if "object" in kinds & allowed:
            _objects(self, writer, part)
        _combined(self, writer, part)

    def _values(self, values: list[object], writer: Sequence[Part], part: Part) -> None:
        self.spend(len(values))
        check_ways(self.writer)
        check_ways(self.reader)
        for value in values:
            written = all(self.writer.accepts(one.node, value) for one in writer)
            if written and not self.reader.accepts(part.node, value):
                self.say("enum_narrowed", part.node, f"the writer may write {value!r}", "enum")

    def fits(self, writer: list[Part], node: Node) -> bool:
        return not self.trial(lambda trial: trial._accept(writer, node))  # noqa: SLF001 - one of us

    def explain(self, rule: str, writer: Sequence[Node], node: Node, detail: str) -> None:
        """Like `accept`, but says what it means in our own words, with the first complaint."""
        complaints = self.trial(lambda trial: trial.accept(writer, node))
        if complaints:
            self.say(rule, node, f"{detail}; {complaints[0].rule}: {complaints[0].detail}")

    def say(self, rule: str, node: Node, detail: str, keyword: str = "") -> None:
        place = node.place.removeprefix(HOME) or "#"
        self.found.append(Difference(rule=rule, path=f"{place}/{keyword}" if keyword else place, detail=detail))


def _scalars(to: _Comparison, writer: Sequence[Part], part: Part, kinds: frozenset[str]) -> None:
    if kinds & {"integer", "fraction"}:
        _bound(to, writer, part, "minimum", "exclusiveMinimum", 1)
        _bound(to, writer, part, "maximum", "exclusiveMaximum", -1)
        _multiple(to, writer, part, kinds)
    for kind, keyword, sign in _LIMITS:
        if kind in kinds:
            _limit(to, writer, part, keyword, sign)
    if "string" in kinds:
        for keyword in ("pattern", "format"):
            asked = part.get(keyword)
            checked = keyword == "pattern" or asked in FORMATS
            if asked is not None and checked and all(one.get(keyword) != asked for one in writer):
                known = any(one.get(keyword) is not None for one in writer)
                to.say(f"{keyword}_{'changed' if known else 'added'}", part.node, f"now {asked!r}", keyword)


def _limit(to: _Comparison, writer: Sequence[Part], part: Part, keyword: str, sign: int) -> None:
    limit = part.get(keyword)
    if not isinstance(limit, int | float) or (sign == 1 and limit == 0):
        return
    kept = [found for one in writer if isinstance(found := one.get(keyword), int | float)]
    if any(sign * (found - limit) >= 0 for found in kept):
        return
    change = "added" if not kept else "increased" if sign == 1 else "decreased"
    to.say(f"{_snake(keyword)}_{change}", part.node, f"now {limit}, was {kept[0] if kept else 'free'}", keyword)


def _bound(to: _Comparison, writer: Sequence[Part], part: Part, closed: str, open_: str, sign: int) -> None:
    for keyword in (closed, open_):
        limit = part.get(keyword)
        if not isinstance(limit, int | float):
            continue
        at = [sign * (found - limit) for one in writer if isinstance(found := one.get(closed), int | float)]
        beyond = [sign * (found - limit) for one in writer if isinstance(found := one.get(open_), int | float)]
        if any(gap > 0 or (gap == 0 and keyword == closed) for gap in at) or any(gap >= 0 for gap in beyond):
            continue
        change = ("increased" if sign == 1 else "decreased") if at or beyond else "added"
        to.say(f"{_snake(keyword)}_{change}", part.node, f"now {limit}", keyword)


def _multiple(to: _Comparison, writer: Sequence[Part], part: Part, kinds: frozenset[str]) -> None:
    asked = part.get("multipleOf")
    if not isinstance(asked, int | float):
        return
    kept = [found for one in writer if isinstance(found := one.get("multipleOf"), int | float)]
    if "fraction" not in kinds:
        kept.append(1)
    if not any((Fraction(str(found)) / Fraction(str(asked))).denominator == 1 for found in kept):
        change = "changed" if any(one.get("multipleOf") is not None for one in writer) else "added"
        to.say(f"multiple_of_{change}", part.node, f"now {asked}", "multipleOf")


def _arrays(to: _Comparison, writer: list[Part], part: Part) -> None:
    if part.get("uniqueItems") is True and all(one.get("uniqueItems") is not True for one in writer):
        to.say("unique_items_added", part.node, "items may repeat where they were written", "uniqueItems")
    ahead, last = json_parts.items(part)
    written = [json_parts.items(one) for one in writer]
    longest = max([len(first) for first, _ in written], default=0)
    for place in range(max(len(ahead), longest)):
        node = ahead[place] if place < len(ahead) else last
        if node is None:
            continue
        olds = [found for first, rest in written if (found := first[place] if place < len(first) else rest) is not None]
        if place < len(ahead) and place < longest:
            to.accept(olds, node)
        elif place < longest:
            model = _model(last)
            to.explain(f"item_removed_from_{model}_content_model", olds, node, f"item {place} had a schema of its own")
        else:
            model = _model(next((rest for _, rest in written if rest is not None), None))
            to.explain(f"item_added_to_{model}_content_model", olds, node, f"item {place} has a schema of its own")
    if last is not None:
        olds = [rest for _, rest in written if rest is not None]
        if olds and last.schema is not False:
            to.accept(olds, last)
        else:
            to.explain("additional_items_removed", olds, last, "the writer may write more items")
    _contains(to, writer, part)


def _contains(to: _Comparison, writer: list[Part], part: Part) -> None:
    if part.get("contains") is None:
        return
    least = cast("int", part.get("minContains") or 1)
    for one in writer:
        enough = cast("int", one.get("minContains") or 1) >= least and one.get("maxContains") == part.get("maxContains")
        inner = parts(one.child("contains"), to.writer.draft, to.spend) if one.get("contains") is not None else None
        if enough and inner is not None and to.fits(inner, part.child("contains")):
            return
    to.say("contains_changed", part.node, "what a list must hold is not what was asked before", "contains")


def _objects(to: _Comparison, writer: list[Part], part: Part) -> None:
    names = {name for one in (*writer, part) for name in one.table("properties")}
    for name in sorted(names):
        _property(to, writer, part, name)
    _patterns(to, writer, part)
    _required(to, writer, part)
    asked = part.get("propertyNames")
    if asked is not None:
        text = Node({"type": "string"}, "kind:string", to.writer.root.resolver)
        kept = [one.child("propertyNames") for one in writer if one.get("propertyNames") is not None]
        to.explain("property_names_changed", [text, *kept], part.child("propertyNames"), "names are limited")
    for name, dependent in json_parts.dependents(part):
        _dependent(to, writer, part, name, dependent)


def _property(to: _Comparison, writer: list[Part], part: Part, name: str) -> None:
    to.spend(len(writer))
    olds = [node for one in writer for node in json_parts.applying(one, name)]
    before = any(name in one.table("properties") for one in writer)
    for node in json_parts.applying(part, name):
        if before and name in part.table("properties"):
            to.accept(olds, node)
        elif before:
            model = _model(json_parts.rest(part))
            to.explain(f"property_removed_from_{model}_content_model", olds, node, f"property {name!r} was removed")
        elif name in part.table("properties"):
            model = _model(next((rest for one in writer if (rest := json_parts.rest(one)) is not None), None))
            to.explain(f"property_added_to_{model}_content_model", olds, node, f"property {name!r} was added")


def _patterns(to: _Comparison, writer: list[Part], part: Part) -> None:
    plain = [
        last for one in writer if not one.table("patternProperties") and (last := json_parts.rest(one)) is not None
    ]
    for pattern in part.table("patternProperties"):
        kept = [one.child("patternProperties", pattern) for one in writer if pattern in one.table("patternProperties")]
        node = part.child("patternProperties", pattern)
        to.explain("pattern_property_changed", [*kept, *plain], node, f"names like {pattern!r} have a schema")
    last = json_parts.rest(part)
    if last is None:
        return
    rests = [found for one in writer if (found := json_parts.rest(one)) is not None]
    rule = "additional_properties_removed" if last.schema is False else "additional_properties_narrowed"
    to.explain(rule, rests, last, "the writer may write other properties")
    for one in writer:
        for pattern in one.table("patternProperties").keys() - part.table("patternProperties").keys():
            node = one.child("patternProperties", pattern)
            to.explain("pattern_property_removed", [node, *plain], last, f"names like {pattern!r} had a schema")


def _required(to: _Comparison, writer: Sequence[Part], part: Part) -> None:
    always = {name for one in writer for name in one.names("required")}
    for name in part.names("required"):
        if name in always or any(
            isinstance(node.schema, dict) and "default" in node.schema for node in json_parts.applying(part, name)
        ):
            continue
        to.say("required_attribute_added", part.node, f"{name!r} need not be written and has no default", "required")


def _dependent(to: _Comparison, writer: list[Part], part: Part, name: str, asked: list[str] | Node) -> None:
    if any(node.schema is False for one in writer for node in json_parts.applying(one, name)):
        return
    kept = [found for one in writer for key, found in json_parts.dependents(one) if key == name]
    if isinstance(asked, Node):
        nodes = [found for found in kept if isinstance(found, Node)]
        more = [made for node in nodes if (made := parts(node, to.writer.draft, to.spend)) is not None]
        if not to.fits([*writer, *(one for made in more for one in made)], asked):
            to.say("dependency_schema_changed", asked, f"with {name!r} comes a schema that was not asked before")
        return
    given = {one for found in kept if not isinstance(found, Node) for one in found}
    given |= {required for one in writer for required in one.names("required")}
    missing = [one for one in asked if one not in given]
    if missing:
        to.say("dependency_array_extended", part.node, f"with {name!r} must come {', '.join(missing)}", "dependencies")


def _combined(to: _Comparison, writer: list[Part], part: Part) -> None:
    for keyword in ("anyOf", "oneOf"):
        branches = part.branches(keyword)
        if branches and not any(to.fits(writer, branch) for branch in branches):
            to.say("combined_type_subschemas_changed", part.node, "no branch takes all that may be written", keyword)
    if part.get("not") is not None:
        _negated(to, writer, part)
    if part.get("if") is not None:
        words = ("if", "then", "else")
        if any(all(one.get(word) == part.get(word) for word in words) for one in writer):
            return
        outcomes = [part.child(word) for word in ("then", "else") if part.get(word) is not None]
        if not all(to.fits(writer, outcome) for outcome in outcomes):
            to.say("conditional_changed", part.node, "what is asked under a condition has changed", "if")


def _negated(to: _Comparison, writer: list[Part], part: Part) -> None:
    refused = parts(part.child("not"), to.reader.draft, to.spend)
    if refused is None or not types(writer) & types(refused):
        return
    swapped = _Comparison(to.writer, to.reader, steps=to.steps)
    for one in writer:
        if one.get("not") is not None and swapped.fits(refused, one.child("not")):
            return
    to.say("not_type_extended", part.node, "more is ruled out than before", "not")


def _model(rest: Node | None) -> str:
    if rest is None or rest.schema in (True, {}):
        return "open"
    return "closed" if rest.schema is False else "partially_open"


def _snake(keyword: str) -> str:
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in keyword)
