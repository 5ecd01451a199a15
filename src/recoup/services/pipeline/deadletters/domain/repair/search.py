"""Puts the four steps together and says how sure it is: the product of what was decided, each against its rivals.

Being sure means that no other outcome is near: every decision is weighed against its alternatives and against "none of
these", and fields that should be there and are not make the whole unlikely.
"""

import math
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import structs

from recoup.kit.errors import Problem
from recoup.services.pipeline.deadletters.domain.letters import Proposal
from recoup.services.pipeline.deadletters.domain.repair.draft import Draft, Place, short
from recoup.services.pipeline.deadletters.domain.repair.evidence import doubts
from recoup.services.pipeline.deadletters.domain.repair.naming import SLIP, Level, likeness, squashed, targets, words
from recoup.services.pipeline.deadletters.domain.repair.notation import Json, Table
from recoup.services.pipeline.deadletters.domain.repair.reading import Reading, mended_text, readings
from recoup.services.pipeline.deadletters.domain.repair.settling import settle_currency, settle_money
from recoup.services.pipeline.deadletters.domain.repair.shaping import Found, Source, find
from recoup.services.pipeline.deadletters.domain.repair.values import IDS, MONEY, Option, World, in_unit, options

Check = Callable[[bytes], Problem | None]
_NONE: Final = -7.0
"""What it is worth that none of the ways is the right one, in logarithms."""
_LOST: Final = 0.002
"""How often something is lost without a trace, beside the damage that shows."""
_LOST_IF_TORN: Final = 0.2
"""The same where the text was cut."""
_PLAUSIBLE: Final = 0.5
"""A second reading so sure has to be told from the first by a person, where the two differ."""
_TELLING: Final = ("type", "occurred_at", "cart_id", "user_id", "order_id", "items", "amount", "currency")
_MOST_PROPOSALS: Final = 3
_PRICE_OF_LINE: Final = 0.9
"""How sure a price is that could as well be the line's."""
_SHORTEST_TELLING: Final = 4
"""So many letters an id must have for its look to speak for it."""
_EXACT: Final = 4.0
"""What a name counts for that differs in its spelling alone."""
_WITH_DEFAULTS: Final = frozenset({"quantity", "price", "schema_version"})
"""What stands in every row whether it was sent or not."""


def propose(body: bytes, world: World, check: Check) -> list[Proposal]:
    """Mended events, surest first; empty where nothing can be made of it or nothing is broken."""
    found: dict[str, Proposal] = {}
    for reading in readings(body):
        draft = _drafted(reading, world)
        if draft is None or not draft.changes:
            continue
        text = msgspec.json.encode(draft.event)
        problem = check(text)
        proposal = Proposal(
            body=text.decode(),
            confidence=round(max(0.0, min(1.0, draft.sureness)), 4),
            changes=draft.changes,
            valid=problem is None,
            problem="" if problem is None else problem.detail,
        )
        if proposal.body not in found or found[proposal.body].confidence < proposal.confidence:
            found[proposal.body] = proposal
    best = sorted(found.values(), key=lambda one: (not one.valid, -one.confidence))[:_MOST_PROPOSALS]
    if len(best) > 1 and best[1].valid and _differ(best[0], best[1]):
        shared = best[0].confidence / (best[0].confidence + best[1].confidence)
        best[0] = structs.replace(best[0], confidence=round(min(best[0].confidence, shared), 4))
    return best


def _differ(one: Proposal, other: Proposal) -> bool:
    """Whether two readings of the same bytes would be two different events, and both may be meant."""
    left, right = (msgspec.json.decode(proposal.body, type=dict[str, object]) for proposal in (one, other))
    return other.confidence > _PLAUSIBLE and any(left.get(name) != right.get(name) for name in _TELLING)


def _drafted(reading: Reading, world: World) -> Draft | None:
    draft = Draft(sureness=reading.sureness, torn=reading.cut)
    for step in reading.steps:
        draft.note("text", "", step)
    parts = find(reading.document, world.types)
    for step in parts.notes:
        draft.note("structure", "", step, 0.999)
    _level(draft, parts, "event", world)
    if not isinstance(draft.event.get("type"), str):
        return None
    _lines(draft, parts, world)
    _context(draft, parts, world)
    _rest(draft, parts, world)
    if not settle_money(draft, world):
        return None
    settle_currency(draft, world)
    _settle_text(draft)
    _weigh_absent(draft, world)
    for doubt in doubts(draft.event, world) if draft.changes else ():
        draft.note("doubt", doubt.place, doubt.reason, doubt.left)
    return draft


def _level(draft: Draft, parts: Found, level: Level, world: World) -> None:
    """The event's own fields: those under their names, then those under other names."""
    given = parts.fields.items()
    misfits = {name: value for name, value in given if value is not None and not _fits(name, value, world)}
    for name, value in parts.fields.items():
        if name not in misfits:
            _take(draft, draft.event, (name,), value, world)
    parts.loose += [Source((name,), value, "own") for name, value in misfits.items()]
    wanted = [name for name in targets(level) if name not in {"items", "store_id"} and _is_free(draft.event, name)]
    pool = [
        *parts.loose,
        *(Source(("properties", key), value, "properties") for key, value in parts.properties.items()),
    ]
    # What an event should carry depends on its type, so that is found first.
    for some in (["type"], [name for name in wanted if name != "type"]):
        taken = _assigned(draft, pool, [name for name in some if name in wanted], level, world)
        for source, name in taken:
            _take(draft, draft.event, (name,), _counted(name, source), world)
            if source.home == "properties":
                del parts.properties[source.path[1]]
        pool = _without(pool, taken)
        parts.loose = _without(parts.loose, taken)
    for name, value in misfits.items():
        if _is_free(draft.event, name) and name != "event_id":
            draft.note("left out", name, f"{short(value)} cannot be a value of it", 0.3)
            parts.loose = [source for source in parts.loose if source.path != (name,)]
    if _is_free(draft.event, "event_id"):
        _take(draft, draft.event, ("event_id",), "", world)


def _counted(name: str, source: Source) -> Json:
    return in_unit(source.name, source.value) if name in MONEY else source.value


def _without(pool: list[Source], taken: list[tuple[Source, str]]) -> list[Source]:
    return [source for source in pool if not any(source is one for one, _ in taken)]


def _fits(name: str, value: Json, world: World) -> bool:
    return any(way.score > _NONE for way in options(name, value, world))


def _is_free(table: Table, name: str) -> bool:
    return table.get(name) is None


def _take(draft: Draft, table: Table, place: Place, value: Json, world: World) -> None:
    """Puts a value into its place, as what it most likely means there."""
    name = str(place[-1])
    ways = options(name, value, world) if not (name == "event_id" and value == "") else options(name, "-", world)
    shown = ".".join(map(str, place))
    if not ways:
        draft.note("left out", shown, f"{short(value)} cannot be a value of it", 0.3)
        return
    if name in MONEY and ways[0].value is not None:
        table[name] = value if ways[0].unit else ways[0].value
        if not ways[0].unit and table[name] != value:
            draft.note("value", shown, f"{short(value)} → {short(table[name])}: the amount in it")
        draft.money[place] = ways
        return
    best = max(ways, key=lambda way: way.score)
    rivals = sum(math.exp(way.score - best.score) for way in ways if way.value != best.value)
    sureness = 1 / (1 + rivals + (math.exp(_NONE - best.score) if best.reason else 0.0))
    if best.value is None:
        table.pop(name, None)
        draft.note("left out", shown, best.reason)
        return
    table[name] = best.value
    if best.value != value or rivals > 0.01:  # noqa: PLR2004 - a rival that close would have to be told
        draft.note("value", shown, f"{short(value)} → {short(best.value)}: {best.reason}", sureness)


def _assigned(
    draft: Draft, pool: list[Source], wanted: list[str], level: Level, world: World
) -> list[tuple[Source, str]]:
    """Which values without a place belong to which fields that have none, each weighed against all others."""
    scores = {
        (number, name): score
        for number, source in enumerate(pool)
        if source.path[-1] not in world.profile.properties or source.home == "properties"
        for name in wanted
        if (score := _belongs(draft, source, name, level, world)) > -6  # noqa: PLR2004 - less is as good as never
    }
    taken: list[tuple[Source, str]] = []
    free, open_ = set(range(len(pool))), set(wanted)
    for (number, name), score in sorted(scores.items(), key=lambda one: -one[1]):
        if score <= 0 or number not in free or name not in open_:
            continue
        rivals = sum(
            math.exp(other - score)
            for (n, t), other in scores.items()
            if (n, t) != (number, name) and ((n == number and t in open_) or (t == name and n in free))
        )
        sureness = 1 / (1 + rivals + math.exp(-score - 2))
        free.discard(number)
        open_.discard(name)
        taken.append((pool[number], name))
        draft.note("name", name, f"was called {pool[number].name!r}", sureness)
    for number in free if len(wanted) > 1 else ():
        if pool[number].home == "own":
            chance = sum(math.exp(min(score, 0.0)) for (n, t), score in scores.items() if n == number and t in open_)
            draft.sureness *= 1 / (1 + 0.3 * chance)
    return taken


def _belongs(draft: Draft, source: Source, name: str, level: Level, world: World) -> float:
    """How much speaks for a value to be this field, in logarithms: its name, its look, and whether it is missed."""
    like = max(likeness(source.path[-1], name, level) * 0.97, likeness(" ".join(source.path), name, level))
    if source.home == "properties" and (like < 0.9 or world.profile.properties.get(source.path[-1], 0) > 0):  # noqa: PLR2004
        return -math.inf
    ways = [way for way in options(name, source.value, world) if way.value is not None]
    if not ways or (source.path == ("id",) and level == "event" and name != "event_id"):
        return -math.inf  # what is called nothing but "id" is no shopper's and no cart's
    if source.home == "outer" and name in IDS and like < 0.999 and "id" not in words(source.path[-1]):  # noqa: PLR2004
        return -math.inf  # an envelope has an account, a source and a version of its own
    exact = _EXACT if like >= 0.999 else 0.0  # noqa: PLR2004 - nothing but the spelling differs
    if not exact and source.home != "outer" and squashed(source.path[-1]) == squashed(name):
        exact = _EXACT / 2  # its own name, in an object of its own
    if not exact and like >= SLIP * 0.97:
        exact = _EXACT / 2
    score = exact + 9 * (like - 0.45) + max(_look(name, way, level, world) for way in ways)
    if source.home == "outer":
        score -= 1.0
    share = world.profile.share(str(draft.event.get("type", "")), f"items.{name}" if level == "item" else name)
    return score + max(-3.0, min(2.0, math.log(share / (1 - share)) if 0 < share < 1 else 2.0))


def _look(name: str, way: Option, level: Level, world: World) -> float:
    """How usual a value is for a field, between -5 and 3; 0 where nothing is known."""
    stats = world.profile.stats(f"items.{name}" if level == "item" else name)
    if name in {"occurred_at", "sent_at", "type", "event_id", "currency"}:
        return max(-5.0, min(3.0, way.score + 2.0)) if name != "event_id" or not way.reason.startswith("no") else -5.0
    if not stats.count or way.value is None:
        return 0.0
    if isinstance(way.value, str) and not way.unit:
        if name in IDS and len(way.value) < _SHORTEST_TELLING:
            return min(0.0, stats.text_likelihood(way.value) + 3.5)
        return max(-5.0, min(3.0, stats.text_likelihood(way.value) + 3.5))
    number = float(str(way.value)) * (100 if way.unit == "major" else 1)
    return max(-5.0, min(2.0, stats.number_likelihood(number) + 3.5))


def _lines(draft: Draft, parts: Found, world: World) -> None:
    """The lines of the cart, and a line that was spread over the event itself."""
    items = parts.items
    if items is None and parts.loose and world.profile.share(str(draft.event["type"]), "items") > 0.3:  # noqa: PLR2004
        items = _spread_line(draft, parts, world)
    if items is None:
        return
    lines: list[Json] = []
    draft.event["items"] = lines
    for number, item in enumerate(items):
        line: Table = {}
        lines.append(line)
        own = {name: value for name, value in item.items() if name in targets("item")}
        for name, value in own.items():
            _take(draft, line, ("items", number, name), value, world)
        pool = [Source(tuple(key.split(".")), value, "own") for key, value in item.items() if key not in own]
        wanted = [name for name in targets("item") if _is_free(line, name)]
        taken = _assigned(draft, pool, wanted, "item", world)
        for source, name in taken:
            _take(draft, line, ("items", number, name), _counted(name, source), world)
        for source in [source for source, name in taken if name == "price"]:
            _doubt_price(draft, line, source, world)
        for source in _without(pool, taken):
            draft.note("left out", f"items.{number}.{source.name}", "an item has no such field", 0.999)


def _doubt_price(draft: Draft, line: Table, source: Source, world: World) -> None:
    """A price under another name may be that of the whole line; what the product costs tells, or nobody."""
    quantity, price = line.get("quantity", 1), line.get("price")
    if quantity in {0, 1}:
        return
    known = world.profile.prices.get(str(line.get("product_id")))
    if not isinstance(price, int) or not isinstance(quantity, int):
        draft.sureness *= 1.0 if "amount" not in words(source.name) else _PRICE_OF_LINE
    elif known is not None and price == known * quantity:
        line["price"] = known
        draft.note("value", "price", f"{source.name!r} was the price of the whole line")
    elif known != price:
        draft.sureness *= _PRICE_OF_LINE


def _spread_line(draft: Draft, parts: Found, world: World) -> list[Table] | None:
    pool = [source for source in parts.loose if source.home != "outer"]
    trial = Draft(event=draft.event)
    taken = _assigned(trial, pool, list(targets("item")), "item", world)
    if not any(name == "product_id" for _, name in taken):
        return None
    draft.changes += trial.changes
    draft.sureness *= trial.sureness
    draft.note("structure", "items", "a line that was spread over the event", 0.995)
    parts.loose = _without(parts.loose, taken)
    return [{name: source.value for source, name in taken}]


def _context(draft: Draft, parts: Found, world: World) -> None:
    context: Table = {}
    for name, value in parts.context.items():
        if name in targets("context"):
            _take(draft, context, ("context", name), value, world)
    strangers = [Source((key,), value, "own") for key, value in parts.context.items() if key not in targets("context")]
    pool = [*strangers, *parts.loose]
    wanted = [name for name in targets("context") if _is_free(context, name)]
    taken = _assigned(draft, pool, wanted, "context", world) if pool else []
    for source, name in taken:
        _take(draft, context, ("context", name), source.value, world)
    parts.loose = _without(pool, taken)
    if context:
        draft.event["context"] = context


def _rest(draft: Draft, parts: Found, world: World) -> None:
    """What has no place in an event becomes one of its properties; what stood around it is left out."""
    for source in parts.loose:
        if source.home == "outer":
            draft.note("left out", source.name, "stood around the event")
        elif source.value is not None:
            parts.properties[source.path[-1]] = source.value
            draft.note("moved", f"properties.{source.path[-1]}", f"an event has no field {source.name!r}", 0.999)
        else:
            draft.note("left out", source.name, "is empty")
    if parts.properties:
        draft.event["properties"] = _as_usual(draft, parts.properties, world)


def _as_usual(draft: Draft, properties: Table, world: World) -> Table:
    """Properties under the names the store usually gives them, where only the spelling differs."""
    usual = {squashed(name): name for name in world.profile.properties}
    named: Table = {}
    for name, value in properties.items():
        known = name if name in world.profile.properties else usual.get(squashed(name), name)
        if known != name:
            draft.note("name", f"properties.{known}", f"was called {name!r}", 0.999)
        named[known] = value
    return named


def _settle_text(draft: Draft) -> None:
    """Where text was in the wrong encoding, the event's properties are too."""
    if any("encoding" in change.reason for change in draft.changes) and "properties" in draft.event:
        draft.event["properties"] = _mended(draft.event["properties"])


def _mended(value: Json) -> Json:
    if isinstance(value, str):
        return mended_text(value)
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if isinstance(value, dict):
        return {mended_text(key): _mended(one) for key, one in value.items()}
    return value


def _weigh_absent(draft: Draft, world: World) -> None:
    """What is usually there and is not was perhaps lost; the more so where the text was cut.

    What is lost together counts once: of the event's fields and of its items' the one that speaks loudest is heard.
    """
    kind = str(draft.event["type"])
    context = draft.event.get("context")
    there = {*draft.event, *(context if isinstance(context, dict) else {})}
    missing = [
        name
        for name in world.profile.present.get(kind, {})
        if name not in there | _WITH_DEFAULTS and name != "item" and not name.startswith("items.")
    ]
    items = draft.event.get("items")
    for line in items if isinstance(items, list) else []:
        if isinstance(line, dict):
            missing += [f"items.{name}" for name in targets("item") if name not in line and name not in _WITH_DEFAULTS]
    lost = _LOST_IF_TORN if draft.torn else _LOST
    for names in ([name for name in missing if "." in name], [name for name in missing if "." not in name]):
        share = max((world.profile.share(kind, name) for name in names), default=0.0)
        draft.sureness *= (1 - share) / (1 - share + share * lost)
