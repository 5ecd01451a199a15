"""What a store's valid events look like: counts in bounded space, from which every guess gets its likelihood.

By type which fields are there; by field how its values look: their shapes, beginnings and sizes, and the values
themselves where there are few. What products cost and are called; how late events come. Old counts fade.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, cast

import msgspec
from msgspec import Struct

from recoup.messages.events import NOT_KEPT, Context, Event, Item

EVENT_FIELDS: Final = tuple(
    name
    for name in Event.__struct_fields__
    if name not in {"event_id", "context", "properties", "items", "store_id"} | NOT_KEPT
)
CONTEXT_FIELDS: Final = Context.__struct_fields__
ITEM_FIELDS: Final = Item.__struct_fields__
_FADE_AT: Final = 20_000
_MOST_SHAPES: Final = 32
_MOST_BEGINNINGS: Final = 96
_MOST_LENGTHS: Final = 128
_MOST_SIGNS: Final = 64
_MOST_WORDS: Final = 400
_MOST_TYPES: Final = 64
_MOST_PRODUCTS: Final = 4_000
_LONGEST_WORD: Final = 80
_UUID: Final = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$", re.IGNORECASE)
_HEX: Final = re.compile(r"[0-9a-f]{16,}$", re.IGNORECASE)
_RUNS: Final = re.compile(r"[0-9]+|[^\W\d_]+")
_BEGINNING: Final = re.compile(r"[^\d]{0,12}")


class FieldStats(Struct):
    """The values of one field."""

    count: int = 0
    shapes: dict[str, int] = {}
    beginnings: dict[str, int] = {}
    words: dict[str, int] = {}
    sizes: dict[int, int] = {}
    lengths: dict[int, int] = {}
    signs: dict[str, int] = {}
    """Kinds of letters that its values are made of, as `signs` tells them."""

    def add(self, value: object) -> None:
        """One more value."""
        self.count += 1
        if isinstance(value, int | float):
            _count(self.sizes, size(float(value)), 128)
            return
        text = str(value)
        _count(self.shapes, shape(text), _MOST_SHAPES)
        _count(self.beginnings, beginning(text), _MOST_BEGINNINGS)
        _count(self.lengths, len(text), _MOST_LENGTHS)
        for sign in signs(text):
            _count(self.signs, sign, _MOST_SIGNS)
        if len(text) <= _LONGEST_WORD:
            _count(self.words, text, _MOST_WORDS)

    @property
    def is_closed(self) -> bool:
        """Whether the same few values come again and again."""
        return self.count >= 2 * len(self.words) and len(self.words) < _MOST_WORDS // 2 and bool(self.words)

    def text_likelihood(self, text: str) -> float:
        """Logarithm of how usual this text is here."""
        if not self.count:
            return 0.0
        total = math.log(self.count + 1)
        found = math.log(self.shapes.get(shape(text), 0) + 0.02) - total
        found += 0.7 * (math.log(self.beginnings.get(beginning(text), 0) + 0.05) - total)
        if self.is_closed:
            found = 0.5 * found + math.log(self.words.get(text, 0) + 0.02) - total
        elif text in self.words:
            found += 2.0
        return found

    def number_likelihood(self, value: float) -> float:
        """Logarithm of how usual a number of this size is here."""
        if not self.count:
            return 0.0
        here = size(value)
        near = sum(self.sizes.get(here + step, 0) * weight for step, weight in ((0, 1.0), (-1, 0.5), (1, 0.5)))
        return math.log(near + 0.02) - math.log(self.count + 1)


class Profile(Struct):
    """What was learned of one store."""

    events: int = 0
    types: dict[str, int] = {}
    present: dict[str, dict[str, int]] = {}
    """By type: in how many events each field is there."""
    fields: dict[str, FieldStats] = {}
    """By field; those of items begin with `items.`."""
    properties: dict[str, int] = {}
    prices: dict[str, int] = {}
    names: dict[str, str] = {}
    sums: list[int] = []
    """How often an amount is the sum of its items, and how often it could have been."""
    delays: dict[int, int] = {}
    """How late events reach us, by size in seconds."""

    def learn(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Takes in some valid events, as rows of the raw topic."""
        for row in rows:
            self._learn_one(row)
        if self.events > _FADE_AT:
            self._fade()

    def _learn_one(self, row: Mapping[str, object]) -> None:
        kind = str(row["type"])
        if kind == "clock" or (kind not in self.types and len(self.types) >= _MOST_TYPES):
            return
        self.events += 1
        _count(self.types, kind, _MOST_TYPES)
        present = self.present.setdefault(kind, {})
        for name in (*EVENT_FIELDS, *CONTEXT_FIELDS):
            value = row.get(name)
            if value is not None and (name != "schema_version" or value != 1):
                _count(present, name, 256)
                self._field(name, value)
        self._learn_items(row, present)
        self._learn_properties(row.get("properties"))
        if isinstance(row.get("received_at"), datetime):
            late = (cast("datetime", row["received_at"]) - cast("datetime", row["occurred_at"])).total_seconds()
            _count(self.delays, size(late), 128)

    def _field(self, name: str, value: object) -> None:
        if not isinstance(value, datetime):
            self.fields.setdefault(name, FieldStats()).add(value)

    def _learn_items(self, row: Mapping[str, object], present: dict[str, int]) -> None:
        items = cast("Sequence[Mapping[str, object]]", row.get("items") or ())
        if items:
            _count(present, "items", 256)
            _count(self.fields.setdefault("items", FieldStats()).sizes, len(items), 128)
        total = 0
        for item in items:
            _count(present, "item", 256)
            for name in ITEM_FIELDS:
                if item.get(name) is not None:
                    _count(present, f"items.{name}", 256)
                    self._field(f"items.{name}", item[name])
            self._learn_product(item)
            total += cast("int", item.get("price") or 0) * cast("int", item.get("quantity") or 0)
        amount = row.get("amount")
        if items and isinstance(amount, int):
            agree, of = self.sums or (0, 0)
            self.sums = [agree + (amount == total), of + 1]

    def _learn_product(self, item: Mapping[str, object]) -> None:
        product = str(item["product_id"])
        if len(self.prices) < _MOST_PRODUCTS or product in self.prices:
            price, name = item.get("price"), item.get("name")
            if isinstance(price, int) and price:
                self.prices[product] = price
            if isinstance(name, str):
                self.names[product] = name

    def _learn_properties(self, text: object) -> None:
        if isinstance(text, str):
            for key in msgspec.json.decode(text, type=dict[str, msgspec.Raw]):
                _count(self.properties, key, 200)

    def _fade(self) -> None:
        self.events //= 2
        for counts in (self.types, self.properties, *self.present.values()):
            _halve(counts)
        _halve(self.delays)
        self.sums = [count // 2 for count in self.sums]
        for stats in self.fields.values():
            stats.count //= 2
            for counts in (stats.shapes, stats.beginnings, stats.words, stats.signs):
                _halve(counts)
            _halve(stats.sizes)
            _halve(stats.lengths)

    def share(self, kind: str, field: str) -> float:
        """In what share of the events of a type a field is there; by item for those of items. 0.5 where unknown."""
        present = self.present.get(kind)
        if present is None:
            return 0.5
        of = present.get("item", 0) if field.startswith("items.") else self.types.get(kind, 0)
        return (present.get(field, 0) + 0.01) / (of + 0.02)

    def stats(self, field: str) -> FieldStats:
        """The values of a field; empty ones where none was seen."""
        return self.fields.get(field) or FieldStats()

    def delay_likelihood(self, seconds: float) -> float:
        """Logarithm of how usual it is for an event to come so late."""
        total = sum(self.delays.values())
        if not total:
            return -max(0.0, math.log10(abs(seconds) / 600 + 1)) * 2 - (3.0 if seconds < -120 else 0.0)  # noqa: PLR2004
        here = size(seconds)
        near = sum(self.delays.get(here + step, 0) * (1.0 if step == 0 else 0.5) for step in (-2, -1, 0, 1, 2))
        return math.log(near + 0.02) - math.log(total + 1)

    def has_seen_delay(self, seconds: float) -> bool:
        """Whether events came about so late before."""
        here = size(seconds)
        return any(here + step in self.delays for step in (-2, -1, 0, 1, 2))

    @property
    def sums_agree(self) -> float:
        """How surely an amount is the sum of its items; 0.5 where nothing is known."""
        agree, of = self.sums or (0, 0)
        return (agree + 0.5) / (of + 1)


def shape(text: str) -> str:
    """How a text looks: runs of letters and digits without their length, everything else as it is."""
    if _UUID.match(text):
        return "<uuid>"
    if _HEX.match(text):
        return "<hex>"
    if "://" in text:
        return "<url>"
    return _RUNS.sub(lambda run: "9" if run[0][0].isdigit() else "a", text)[:24]


def signs(text: str) -> frozenset[str]:
    """The kinds of letters in a text: small, large, digits and others together, each other sign by itself."""
    return frozenset(
        "9" if one.isdigit() else one if not one.isalpha() else "é" if one > "z" else "a" if one.islower() else "A"
        for one in set(text)
    )


def beginning(text: str) -> str:
    """What stands before the first digit."""
    if _UUID.match(text) or _HEX.match(text):
        return "<hex>"
    found = _BEGINNING.match(text)
    return found[0] if found else ""


def size(value: float) -> int:
    """A number's size in steps of half an octave; the sign is kept."""
    if value == 0:
        return 0
    step = round(2 * math.log2(abs(value) + 1)) + 1
    return step if value > 0 else -step


def _count(counts: "dict[str, int] | dict[int, int]", key: str | int, most: int) -> None:
    table = cast("dict[str | int, int]", counts)
    if key in table or len(table) < most:
        table[key] = table.get(key, 0) + 1


def _halve(counts: "dict[str, int] | dict[int, int]") -> None:
    table = cast("dict[str | int, int]", counts)
    for key in list(table):
        table[key] //= 2
        if not table[key]:
            del table[key]


def packed(profile: Profile) -> bytes:
    """A profile as bytes, to be kept."""
    return msgspec.msgpack.encode(profile)


def unpacked(body: bytes) -> Profile:
    """The inverse of `packed`."""
    return msgspec.msgpack.decode(body, type=Profile)
