"""Finds the event inside a document, whatever was wrapped around it, flattened out of it or folded into text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from recoup.services.pipeline.deadletters.domain.repair.layouts import rows_of, tabled, undone, unmarked, untyped
from recoup.services.pipeline.deadletters.domain.repair.naming import likeness, squashed, targets, type_likeness
from recoup.services.pipeline.deadletters.domain.repair.notation import Json, Table
from recoup.services.pipeline.deadletters.domain.repair.reading import folded
from recoup.services.pipeline.deadletters.domain.repair.times import is_clock, is_day

_DEEPEST: Final = 5
_SPLIT: Final = re.compile(r"\]\[|\]\.|[.\[\]/]|__|->|:")
_NUMBERED: Final = re.compile(r"^(.*?)[_\-]?(\d{1,3})[_\-]+(.+)$")
_FIRST_WORD: Final = re.compile(r"[A-Za-z0-9$@]+[_\-.]+|[$@]")
_SEVERAL: Final = 4
_CORE: Final = ("event_id", "type", "occurred_at")
_OBJECTS: Final = ("context", "properties")
_EXACT: Final = 0.75


class Source(NamedTuple):
    """A value that has no place yet: under which names it stood, and how far from where it belongs."""

    path: tuple[str, ...]
    value: Json
    home: str
    """`own`: beside the event's fields; `inner`: in an object of its own; `outer`: around the event."""

    @property
    def name(self) -> str:
        """Its path as it may be shown."""
        return ".".join(self.path)


@dataclass(slots=True)
class Found:
    """An event's parts by where they stand."""

    fields: Table = field(default_factory=dict)
    context: Table = field(default_factory=dict)
    properties: Table = field(default_factory=dict)
    items: list[Table] | None = None
    loose: list[Source] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find(document: Table, types: frozenset[str]) -> Found:
    """The parts of the event a document holds."""
    found = Found()
    spread = _opened(_deepened(_laid_out(document, found), found), found)
    root, around = _root(spread, types, found)
    root = _joined(_unprefixed(root, found), around, found)
    for key, value in root.items():
        _place(key, value, found)
    for key, value in list(found.properties.items()):
        if found.items is None and _is_items(key) and (items := _items(key, value)):
            found.items = items
            del found.properties[key]
            _note(found, f"items from properties.{key}")
    if not all(name in found.fields for name in _CORE):
        for source in around:
            _place_around(source, found)
        found.loose += [source for source in around if not isinstance(source.value, dict | list)]
    elif around:
        _note(found, "left out what stands around a whole event")
    _join_time(found)
    return found


def _laid_out(document: Table, found: Found) -> Table:
    """The document as a program would write it that knows no types and no rows."""
    plain = untyped(document)
    if (decoded := undone(plain)) is not plain:
        plain = decoded
        _note(found, "percent-decoded every value")
    if plain != document:
        _note(found, "took values out of the objects that name their types")
    table = tabled(plain)
    if table is not None:
        _note(found, "put names and values together")
    plain = table or plain
    table, ending = unmarked(plain) if isinstance(plain, dict) else (document, "")
    if ending:
        _note(found, f"took {ending!r} off every name")
    return table


def _place_around(source: Source, found: Found) -> None:
    """What an object beside the event says of it, as where an envelope has a head and a body."""
    if not isinstance(source.value, dict):
        return
    if any(_is_named(source.path[-1], name) for name in _OBJECTS):
        _place(source.path[-1], source.value, found)
        return
    for name, inner in source.value.items():
        if isinstance(inner, dict) and any(_is_named(name, own) for own in _OBJECTS):
            _place(name, inner, found)
        elif found.items is None and (items := _items(name, inner)) is not None:
            found.items = items
        else:
            found.loose += [Source((*source.path, *way), value, "outer") for way, value in _leaves({name: inner}, ())]


def _joined(root: Table, around: list[Source], found: Found) -> Table:
    """An event whose larger part stands in an object of its own: what is beside that belongs to an envelope."""
    known = {*targets("event"), *_OBJECTS}
    for key, value in root.items():
        own = {name for name in root if name in known}
        if (
            key in known
            or not isinstance(value, dict)
            or sum(name in known for name in value) < max(_SEVERAL, len(own))
        ):
            continue
        around += [Source((name,), beside, "outer") for name, beside in root.items() if name not in known | {key}]
        _note(found, f"joined {key} with what names it")
        return {name: root[name] for name in own} | value
    return root


def _join_time(found: Found) -> None:
    """A date and a time of day that stand beside each other are one moment."""
    if "occurred_at" in found.fields:
        return
    for home in ("own", "inner", "outer"):
        texts = [(one, one.value) for one in found.loose if one.home == home and isinstance(one.value, str)]
        days = [(one, text) for one, text in texts if is_day(text)]
        clocks = [(one, text) for one, text in texts if is_clock(text)]
        if len(days) == len(clocks) == 1:
            (day, said), (clock, at) = days[0], clocks[0]
            found.loose = [one for one in found.loose if one is not day and one is not clock]
            found.loose.append(Source(("time",), f"{said} {at}", home))
            _note(found, f"joined {day.name} and {clock.name}")
            return


def _deepened(table: Table, found: Found) -> Table:
    """Names that spell a path become objects: `items[0].price`, `context.page_url`, `items_0_price`."""
    deep: Table = {}
    for key, value in table.items():
        parts = [part for part in _SPLIT.split(key) if part]
        if len(parts) < 2 and (numbered := _NUMBERED.match(key)) and _is_items(numbered[1]):  # noqa: PLR2004 - a path has two
            parts = [numbered[1], numbered[2], numbered[3]]
        if len(parts) < 2 and (prefix := _prefixed(key)) is not None:  # noqa: PLR2004
            parts = list(prefix)
        if len(parts) >= 2 and _set(deep, parts, value):  # noqa: PLR2004
            _note(found, "put flattened names back into objects")
        else:
            deep[key] = value
    return deep


def _unprefixed(table: Table, found: Found) -> Table:
    """Names that all begin with the same word are taken without it: `evt_type`, `evt_cart_id`."""
    names = list(table)
    first = _FIRST_WORD.match(names[0]) if len(names) >= _SEVERAL else None
    begun = [name for name in names if first is not None and name.startswith(first[0]) and len(name) > len(first[0])]
    if first is None or len(begun) < max(_SEVERAL, len(names) - 1):
        return table
    _note(found, f"took {first[0]!r} off every name")
    return {name.removeprefix(first[0]): _without(value, first[0]) for name, value in table.items()}


def _without(value: Json, prefix: str) -> Json:
    if isinstance(value, dict):
        return {name.removeprefix(prefix): _without(inner, prefix) for name, inner in value.items()}
    return [_without(one, prefix) for one in value] if isinstance(value, list) else value


def _prefixed(key: str) -> tuple[str, str] | None:
    """`context_locale` is what `context.locale` was; names that are fields themselves are left alone."""
    for name in (*_OBJECTS, "properties"):
        if squashed(key).startswith(name) and len(key) > len(name) + 1 and not key[len(name)].isalnum():
            return name, key[len(name) + 1 :]
    return None


def _is_items(name: str) -> bool:
    return likeness(name, "items", "event") >= _EXACT


def _set(table: Table, parts: list[str], value: Json) -> bool:
    here = table
    for part in parts[:-1]:
        inner = here.setdefault(part, {})
        if not isinstance(inner, dict):
            return False
        here = inner
    here[parts[-1]] = value
    return True


def _opened(table: Table, found: Found, depth: int = 0) -> Table:
    """Objects and lists that were folded into text are unfolded where they are read as such."""
    opened: Table = {}
    for key, value in table.items():
        if isinstance(value, str) and len(value) > 1:
            inner = folded(value)
            if isinstance(inner, dict | list) and not _is_named(key, "properties"):
                _note(found, f"unfolded {key}")
                opened[key] = _opened(inner, found, depth + 1) if isinstance(inner, dict) else inner
                continue
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and depth < _DEEPEST:
            opened[key] = [_opened(value[0], found, depth + 1)]
            continue
        opened[key] = _opened(value, found, depth + 1) if isinstance(value, dict) and depth < _DEEPEST else value
    return opened


def _root(document: Table, types: frozenset[str], found: Found) -> tuple[Table, list[Source]]:
    """The object that looks most like an event, and the values of those around it."""
    best, best_way = max(_objects(document, ()), key=lambda one: (_resembles(one[0]), -len(one[1])))
    around: list[Source] = []
    here: Json = document
    for step in best_way:
        if isinstance(here, dict):
            around += [Source((key,), value, "outer") for key, value in here.items() if key != step]
            here = here[step]
        elif isinstance(here, list):
            here = here[0]
        if max((type_likeness(step, kind) for kind in types), default=0.0) >= 0.98:  # noqa: PLR2004 - says the type itself
            around.append(Source(("type",), step, "outer"))
    if best_way:
        _note(found, f"taken out of {'.'.join(best_way)}")
    return best, around


def _objects(value: Json, way: tuple[str, ...]) -> Iterator[tuple[Table, tuple[str, ...]]]:
    if len(way) > _DEEPEST:
        return
    if isinstance(value, dict):
        yield value, way
        for key, inner in value.items():
            if not _is_items(key) and not any(_is_named(key, name) for name in _OBJECTS):
                yield from _objects(inner, (*way, key))
    elif isinstance(value, list) and len(value) == 1:
        yield from _objects(value[0], (*way, "0"))


def _resembles(table: Table) -> float:
    """How much an object looks like an event: by its names, the three that every event has counting twice."""
    total = 0.0
    for name in targets("event"):
        like = max((likeness(key, name, "event") for key, value in table.items() if value is not None), default=0.0)
        total += (2.0 if name in _CORE else 1.0) * like if like >= _EXACT else 0.0
    return total


def _is_named(key: str, name: str) -> bool:
    return squashed(key) in {name, f"{name}s", name.removesuffix("s")} or squashed(key) == {
        "context": "ctx", "properties": "props",
    }.get(name)  # fmt: skip


def _place(key: str, value: Json, found: Found) -> None:
    if _is_named(key, "context") and isinstance(value, dict):
        own = {name for name in value if name in targets("event") and name not in {"type", "items"}}
        found.context |= {name: inner for name, inner in value.items() if name not in own}
        found.loose += [Source((name,), value[name], "inner") for name in sorted(own)]
    elif _is_named(key, "properties") and isinstance(value, dict | str | None):
        found.properties |= value if isinstance(value, dict) else {}
        if value is None:
            _note(found, f"left out {key}: it is empty")
        inner = folded(value) if isinstance(value, str) else None
        if isinstance(inner, dict):
            _note(found, f"unfolded {key}")
            found.properties |= inner
    elif found.items is None and (items := _items(key, value)) is not None:
        found.items = items
        if items != value or key != "items":
            _note(found, f"items from {key}")
    elif key in targets("event"):
        found.fields[key] = value
    elif isinstance(value, dict) and value:
        _place_inner(key, value, found)
    else:
        found.loose.append(Source((key,), value, "own"))


def _place_inner(key: str, value: Table, found: Found) -> None:
    """What stands in an object of its own, such as `cart: {id, items}`."""
    rest = dict(value)
    for name, inner in value.items():
        if found.items is None and isinstance(inner, list) and (items := _items(name, inner)):
            found.items = items
            del rest[name]
            _note(found, f"items from {key}.{name}")
    found.loose += [Source((key, *path), inner, "inner") for path, inner in _leaves(rest, ())]


def _items(key: str, value: Json) -> list[Table] | None:
    """The lines of a cart, in any of the layouts people write them in; None for anything else."""
    if isinstance(value, str) and _is_items(key):
        value = folded(value)
    if _is_items(key):
        value = _ungrouped(_unpacked(value))
    if isinstance(value, list):
        parsed = [folded(one) if isinstance(one, str) else one for one in value]
        tables = [_flat(one) for one in parsed if isinstance(one, dict)]
        fits = bool(tables) and len(tables) == len(value) and (_is_items(key) or _is_line(tables[0]))
        return tables if fits or (not value and _is_items(key)) else None
    if not isinstance(value, dict) or not value:
        return None
    value = _unmeasured(value)
    inner = [one for one in value.values() if isinstance(one, dict)]
    if len(inner) == len(value) and (_is_items(key) or _is_line(_flat(inner[0]))):
        if all(name.isdigit() for name in value):
            return [_flat(one) for _, one in sorted(zip(map(int, value), inner, strict=True), key=lambda pair: pair[0])]
        if len(inner) > 1 or not _is_line(_flat(value)):
            return [{"product_id": name, **_flat(one)} for name, one in zip(value, inner, strict=True)]
    lists = [one for one in value.values() if isinstance(one, list)]
    if len(lists) == len(value) and len({len(one) for one in lists}) == 1 and _is_items(key):
        return [dict(zip(value, row, strict=True)) for row in zip(*lists, strict=True)]
    flat = _flat(value)
    return [flat] if _is_items(key) and _is_line(flat) else None


def _unmeasured(value: Table) -> Table:
    """A list's object without the length that it says of itself."""
    rest = {name: inner for name, inner in value.items() if name not in {"length", "count", "size"}}
    return rest if rest and len(value) == len(rest) + 1 and len(rest) in value.values() else value


def _ungrouped(value: Json) -> Json:
    """The lines out of groups that each hold a list of some: by seller, by parcel."""
    if not isinstance(value, list) or not value:
        return value
    lists = [[part for part in one.values() if isinstance(part, list)] for one in value if isinstance(one, dict)]
    if len(lists) < len(value) or any(len(one) != 1 for one in lists):
        return value
    lines = [line for one in lists for line in one[0]]
    fits = lines and all(isinstance(line, dict) and _is_line(_flat(line)) for line in lines)
    return lines if fits and not any(_is_line(one) for one in value if isinstance(one, dict)) else value


def _unpacked(value: Json) -> Json:
    """The lines out of what was put around all of them, or around each: `{"edges": [{"node": …}]}`, `[[…]]`."""
    for _ in range(3):
        inner = next(iter(value.values())) if isinstance(value, dict) and len(value) == 1 else None
        if isinstance(inner, list) and any(isinstance(one, dict | list) for one in inner):
            value = inner
        elif isinstance(inner, dict) and _is_line(_flat(inner)):
            return [inner]
        elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
            value = value[0]
    rows = rows_of(value)
    if rows is not None or not isinstance(value, list):
        return value if rows is None else [*rows]
    alone = [next(iter(one.values())) for one in value if isinstance(one, dict) and len(one) == 1]
    lines = [one for one in alone if isinstance(one, dict) and _is_line(_flat(one))]
    return [*lines] if value and len(lines) == len(value) else value


def _is_line(table: Table) -> bool:
    """Whether an object looks like a line of a cart: it names a product and something else of it."""
    names = [max((likeness(key, name, "item") for key in table), default=0.0) for name in targets("item")]
    return names[0] >= _EXACT and sum(like >= _EXACT for like in names) >= min(2, len(table))


def _flat(table: Table) -> Table:
    """A line's inner objects spread out, so that `product.id` is found beside `quantity`; names stay as paths."""
    flat: Table = {}
    for key, value in table.items():
        if isinstance(value, dict) and not _is_money(value):
            flat |= {f"{key}.{'.'.join(path)}": inner for path, inner in _leaves(value, ())}
        else:
            flat[key] = value
    return flat


def _is_money(value: Table) -> bool:
    return any(name in value for name in ("amount", "value", "units"))


def _leaves(table: Table, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Json]]:
    for key, value in table.items():
        if isinstance(value, dict) and len(path) < _DEEPEST and not _is_money(value):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _note(found: Found, text: str) -> None:
    if text not in found.notes:
        found.notes.append(text)
