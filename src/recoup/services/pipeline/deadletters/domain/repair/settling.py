"""What the whole event decides: in which unit its money was counted, and in which currency."""

import math
from typing import Final

from recoup.services.pipeline.deadletters.domain.repair.currencies import named
from recoup.services.pipeline.deadletters.domain.repair.draft import Draft, Place, short
from recoup.services.pipeline.deadletters.domain.repair.notation import Json, Table
from recoup.services.pipeline.deadletters.domain.repair.pricing import amounts_of, priced, proven
from recoup.services.pipeline.deadletters.domain.repair.values import World

_UNPROVEN: Final = 5
"""So many times surer one must be of amounts that neither a known price nor a sum of lines confirms."""


def settle_money(draft: Draft, world: World) -> bool:
    """Gives every amount its unit; nothing to do where all were whole from the beginning."""
    if all(not ways[0].unit for ways in draft.money.values()):
        return True
    currency = draft.event.get("currency")
    said = _said(draft)
    if isinstance(currency, str) and said is not None and currency not in said:
        return False  # the amounts are another currency's than the event says
    if said is not None and not isinstance(currency, str):
        draft.said = _one_of(said, world)
        if draft.said is None:
            return False  # a sign that is several countries', none of them the store's
    known = currency if isinstance(currency, str) else draft.said or world.currency
    amounts = amounts_of(draft.event, draft.money)
    ways = priced(amounts, world.profile, known)
    if not ways:
        return False
    best = ways[0]
    rivals = sum(math.exp(way.score - best.score) for way in ways[1:])
    sureness = 1 / (1 + rivals)
    if not proven(amounts, best.values, world.profile):
        sureness **= _UNPROVEN
    for amount, value, reason in zip(amounts, best.values, best.reasons, strict=True):
        table = _table_at(draft.event, amount.place)
        if table.get(str(amount.place[-1])) != value or isinstance(table[str(amount.place[-1])], float):
            table[str(amount.place[-1])] = value
            shown = ".".join(map(str, amount.place))
            draft.note("value", shown, f"{short(amount.given)} → {value}: {reason}", sureness)
            sureness = 1.0  # one decision for all of them
    return True


def _said(draft: Draft) -> frozenset[str] | None:
    """The currencies that all amounts which name one can be in; None where none does."""
    given = (_table_at(draft.event, place).get(str(place[-1])) for place in draft.money)
    said = [found for value in given if (found := _named_by(value)) is not None]
    return frozenset.intersection(*said) if said else None


def _named_by(value: Json) -> frozenset[str] | None:
    if isinstance(value, list):
        return next((found for one in value if (found := _named_by(one)) is not None), None)
    if isinstance(value, dict):
        return next(
            (named(code) for name, code in value.items() if "curr" in name.lower() and isinstance(code, str)), None
        )
    return named(value) if isinstance(value, str) else None


def _one_of(said: frozenset[str] | None, world: World) -> str | None:
    """The one currency meant: of several that share a sign, the one the store's events name."""
    usual = world.profile.stats("currency").words or {world.currency: 1}
    likely = [code for code in said or () if code in usual] or list(said or ())
    return likely[0] if len(likely) == 1 else None


def _table_at(event: Table, place: Place) -> Table:
    items = event.get("items")
    if place[0] == "items" and isinstance(items, list) and isinstance(place[1], int):
        line = items[place[1]]
        return line if isinstance(line, dict) else {}
    return event


def settle_currency(draft: Draft, world: World) -> None:
    """An event that usually names its currency and does not gets the one that its amounts name, or the only one."""
    if "currency" in draft.event or not draft.money:
        return
    words = world.profile.stats("currency").words
    usual = max(words, key=lambda word: words[word], default=world.currency)
    share = world.profile.share(str(draft.event["type"]), "currency")
    if share < 0.5 and draft.said in {None, usual}:  # noqa: PLR2004 - it is usually left out, as what nobody doubts
        return
    if draft.said is not None:
        sureness = 0.999 if draft.said in words or not words else 0.5  # one the store never used
    else:
        sureness = (words.get(usual, 0) + 0.5) / (sum(words.values()) + 1) if words else 0.9
    draft.event["currency"] = draft.said or usual
    draft.note("value", "currency", "named by the amount" if draft.said else "the store's usual currency", sureness)
