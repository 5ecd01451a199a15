"""What speaks against a mended event as a whole, however each of its values was found.

Every id must look as the store's ids of that role do, every text must be free of signs that only damage leaves, a
price must be near what the product costs, a sum near its lines, and the time near the arrival; a field that events of
this type never carry is not there by chance. What was taken over unchanged is held to the same: an event that comes
broken in one place is often broken in others that no check of types can see. Where nothing was learned, nothing of
this speaks.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from difflib import SequenceMatcher
from typing import Final, NamedTuple

from recoup.services.pipeline.deadletters.domain.repair.notation import Json, Table
from recoup.services.pipeline.deadletters.domain.repair.profile import FieldStats, beginning, signs, size
from recoup.services.pipeline.deadletters.domain.repair.values import IDS, World

_ENOUGH: Final = 50
"""So often a field or type must have been seen before its habits count."""
_AGREED: Final = 0.9
_NEAR: Final = (0.5, 2.0)
"""So far from what it cost before a price may be."""
_NEAR_SUM: Final = (0.2, 5.0)
"""The same for a sum that need not be that of its lines: shipping, taxes and rebates."""
_MANY: Final = 20
"""With so many beginnings, another is no surprise."""
_STEPS: Final = 3
"""So many halves of an octave a quantity or price may be from those seen."""
_ALIKE: Final = 0.7
"""A name so like the product's own, and not the same, has lost letters."""
_DAMAGE: Final = re.compile("[\ufffd\\\\<>{}=;%|\x00-\x1f\x7f-\x9f]")
"""Signs that other notations and wrong encodings leave in texts."""
_ITEM_TEXTS: Final = ("name", "category", "brand")


class Doubt(NamedTuple):
    """What speaks against a repair, and how much of its sureness is left."""

    place: str
    reason: str
    left: float


def doubts(event: Table, world: World) -> Iterator[Doubt]:
    """Everything that speaks against an event being what this store would have sent."""
    yield from _strange_fields(event, world)
    for name, value in event.items():
        yield from _strange_text(name, name, value, world)
    context = event.get("context")
    for name, value in context.items() if isinstance(context, dict) else ():
        yield from _strange_text(f"context.{name}", name, value, world)
    for number, line in enumerate(_lines(event)):
        for name, value in line.items():
            yield from _strange_text(f"items.{number}.{name}", f"items.{name}", value, world)
    yield from _strange_lines(event, world)
    yield from _strange_prices(event, world)
    yield from _strange_time(event, world)


def _lines(event: Table) -> list[Table]:
    items = event.get("items")
    return [line for line in items if isinstance(line, dict)] if isinstance(items, list) else []


def _strange_fields(event: Table, world: World) -> Iterator[Doubt]:
    kind = str(event["type"])
    seen = world.profile.present.get(kind, {})
    if world.profile.types.get(kind, 0) < _ENOUGH:
        return
    for name in event:
        if name not in seen and name in _OPTIONAL and event[name]:
            yield Doubt(name, f"{kind} never has it in this store", 0.5)


_OPTIONAL: Final = frozenset({"cart_id", "order_id", "user_id", "items", "amount", "discount", "coupon"})


def _strange_text(place: str, name: str, value: Json, world: World) -> Iterator[Doubt]:
    if not isinstance(value, str):
        return
    stats = world.profile.stats(name)
    if name.removeprefix("items.") in IDS:
        if not _is_in_role(value, stats):
            yield Doubt(place, "does not look like the ids the store has there", 0.5)
    elif any(sign not in stats.signs for sign in _DAMAGE.findall(value)) and name not in {"type", "occurred_at"}:
        yield Doubt(place, "has signs in it that damage leaves", 0.5)


def _is_in_role(text: str, stats: FieldStats) -> bool:
    """Whether an id is as long as others of its role and made of the same kinds of letters."""
    if sum(stats.lengths.values()) < _ENOUGH:
        return _DAMAGE.search(text) is None
    shortest, longest = min(stats.lengths), max(stats.lengths)
    known = len(stats.beginnings) >= _MANY or beginning(text) in stats.beginnings
    return known and shortest - 1 <= len(text) <= longest + 1 and signs(text) <= stats.signs.keys()


def _strange_lines(event: Table, world: World) -> Iterator[Doubt]:
    for number, line in enumerate(_lines(event)):
        quantity, name = line.get("quantity", 1), line.get("name")
        if isinstance(quantity, int) and not _is_near(quantity, world.profile.stats("items.quantity")):
            yield Doubt(f"items.{number}.quantity", "nobody buys so many here", 0.5)
        known = world.profile.names.get(str(line.get("product_id")))
        if isinstance(name, str) and known is not None and name != known and _is_nearly(name, known):
            yield Doubt(f"items.{number}.name", f"nearly, but not, {known!r}", 0.5)


def _is_near(value: int, stats: FieldStats) -> bool:
    """Whether numbers of about this size were seen; so it is where too few were."""
    return stats.count < _ENOUGH or any(abs(size(value) - seen) <= _STEPS for seen in stats.sizes)


def _is_nearly(name: str, known: str) -> bool:
    return SequenceMatcher(None, name, known).ratio() >= _ALIKE


def _strange_prices(event: Table, world: World) -> Iterator[Doubt]:
    total, lines = 0, _lines(event)
    for number, line in enumerate(lines):
        price, quantity = line.get("price", 0), line.get("quantity", 1)
        if not isinstance(price, int) or not isinstance(quantity, int):
            return
        total += price * quantity
        if "price" in line and not _is_near(price, world.profile.stats("items.price")):
            yield Doubt(f"items.{number}.price", "nothing costs about that here", 0.5)
        known = world.profile.prices.get(str(line.get("product_id")))
        if known is not None and "price" in line and not _NEAR[0] <= price / known <= _NEAR[1]:
            yield Doubt(f"items.{number}.price", f"it cost {known} before", 0.3)
    amount = event.get("amount")
    if not lines or not isinstance(amount, int) or not total:
        return
    of = world.profile.sums[1] if world.profile.sums else 0
    if of >= _ENOUGH and world.profile.sums_agree > _AGREED and amount != total:
        yield Doubt("amount", f"the store's sums are those of their lines: {total}", 0.3)
    elif not _NEAR_SUM[0] <= amount / total <= _NEAR_SUM[1]:
        yield Doubt("amount", f"the lines come to {total}", 0.5)


def _strange_time(event: Table, world: World) -> Iterator[Doubt]:
    said = event.get("occurred_at")
    if not isinstance(said, str) or sum(world.profile.delays.values()) < _ENOUGH:
        return
    try:
        late = (world.received_at - datetime.fromisoformat(said)).total_seconds()
    except (ValueError, TypeError):
        return
    if not world.profile.has_seen_delay(late):
        yield Doubt("occurred_at", "no event of the store came so late, or so early", 0.5)
