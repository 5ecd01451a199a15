"""What the whole event decides: in which unit its money was counted, and in which currency."""

import math
from collections.abc import Iterable

from recoup.services.pipeline.deadletters.domain.repair.draft import Draft, Place, short
from recoup.services.pipeline.deadletters.domain.repair.pricing import amounts_of, priced
from recoup.services.pipeline.deadletters.domain.repair.reading import Json, Table
from recoup.services.pipeline.deadletters.domain.repair.shaping import Found
from recoup.services.pipeline.deadletters.domain.repair.values import World, currency_said


def settle_money(draft: Draft, world: World) -> bool:
    """Gives every amount its unit; nothing to do where all were whole from the beginning."""
    if all(not ways[0].unit for ways in draft.money.values()):
        return True
    currency = draft.event.get("currency")
    known = (
        currency if isinstance(currency, str) else next(filter(None, map(currency_said, _given(draft))), world.currency)
    )
    amounts = amounts_of(draft.event, draft.money)
    ways = priced(amounts, world.profile, known)
    if not ways:
        return False
    best = ways[0]
    rivals = sum(math.exp(way.score - best.score) for way in ways[1:])
    sureness = 1 / (1 + rivals)
    for amount, value, reason in zip(amounts, best.values, best.reasons, strict=True):
        table = _table_at(draft.event, amount.place)
        if table.get(str(amount.place[-1])) != value or isinstance(table[str(amount.place[-1])], float):
            table[str(amount.place[-1])] = value
            shown = ".".join(map(str, amount.place))
            draft.note("value", shown, f"{short(amount.given)} → {value}: {reason}", sureness)
            sureness = 1.0  # one decision for all of them
    return True


def _given(draft: Draft) -> Iterable[Json]:
    return [_table_at(draft.event, place).get(str(place[-1])) for place in draft.money]


def _table_at(event: Table, place: Place) -> Table:
    items = event.get("items")
    if place[0] == "items" and isinstance(items, list) and isinstance(place[1], int):
        line = items[place[1]]
        return line if isinstance(line, dict) else {}
    return event


def settle_currency(draft: Draft, parts: Found, world: World) -> None:
    """An event that usually names its currency and does not gets the one that its amounts name, or the only one."""
    said = next(filter(None, (currency_said(value) for value in parts.fields.values())), None)
    if "currency" in draft.event or not draft.money:
        return
    share = world.profile.share(str(draft.event["type"]), "currency")
    if share < 0.5:  # noqa: PLR2004 - it is usually left out, whatever the amounts say
        return
    words = world.profile.stats("currency").words
    usual = max(words, key=lambda word: words[word], default=world.currency)
    sureness = 0.999 if said else (words.get(usual, 0) + 0.5) / (sum(words.values()) + 1) if words else 0.9
    draft.event["currency"] = said or usual
    draft.note("value", "currency", "named by the amount" if said else "the store's usual currency", sureness)
