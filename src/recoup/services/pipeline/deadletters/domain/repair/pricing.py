"""Decides for a whole event in which unit its money was counted: prices and sums agree, and both look as usual."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

from recoup.services.pipeline.deadletters.domain.repair.notation import Json
from recoup.services.pipeline.deadletters.domain.repair.profile import Profile
from recoup.services.pipeline.deadletters.domain.repair.values import Option, minor

_PRICE_KNOWN: Final = 5.0
_ODD_SIZE: Final = -4.0
"""How much a size at most speaks against an amount: new products cost what they cost."""
_SUM_AGREES: Final = 4.0


@dataclass(slots=True)
class Amount:
    """A place with money: what it can mean, and what it belongs to."""

    place: tuple[str | int, ...]
    given: Json
    options: list[Option]
    product_id: str = ""
    quantity: int = 1

    @property
    def is_line(self) -> bool:
        """Whether it is the price of an item."""
        return self.place[0] == "items"


@dataclass(frozen=True, slots=True)
class Priced:
    """One way of reading all amounts, and how likely it is."""

    values: tuple[int, ...]
    score: float
    reasons: tuple[str, ...]


def priced(amounts: list[Amount], profile: Profile, currency: str) -> list[Priced]:
    """Every way of reading the amounts of an event together, best first; empty where one of them cannot be read."""
    found: dict[tuple[int, ...], Priced] = {}
    for units in product(("given", "minor", "major", "all major"), repeat=2):
        chosen = list(_chosen(amounts, units, currency))
        if len(chosen) < len(amounts):
            continue
        values = tuple(value for value, _ in chosen)
        score = sum(option.score for _, option in chosen) + _usual(amounts, values, profile)
        if units[0].split()[-1] != units[1].split()[-1]:
            score -= 1.5
        one = Priced(values, score, tuple(option.reason for _, option in chosen))
        if values not in found or found[values].score < score:
            found[values] = one
    return sorted(found.values(), key=lambda one: -one.score)


def _chosen(amounts: list[Amount], units: tuple[str, ...], currency: str) -> Iterator[tuple[int, Option]]:
    for amount in amounts:
        unit = units[0] if amount.is_line else units[1]
        option = _option(amount, unit)
        value = None if option is None else _value(option, currency)
        if option is None or value is None:
            return
        yield value, option


def _option(amount: Amount, unit: str) -> Option | None:
    whole = amount.options and not amount.options[0].unit
    if whole:
        given = amount.options[0]
        return (
            Option(str(given.value), -1.0, "whole units like its neighbours", "major") if unit == "all major" else given
        )
    wanted = unit.removeprefix("all ")
    fitting = [option for option in amount.options if wanted in {"given", option.unit}]
    if wanted == "given" and len({option.unit for option in fitting}) > 1:
        return None
    return max(fitting, key=lambda option: option.score, default=None)


def _value(option: Option, currency: str) -> int | None:
    if option.unit == "major":
        return minor(str(option.value), currency)
    return option.value if isinstance(option.value, int) else None


def _usual(amounts: list[Amount], values: tuple[int, ...], profile: Profile) -> float:
    score = 0.0
    total = 0
    lines = 0
    for amount, value in zip(amounts, values, strict=True):
        if amount.is_line:
            total += value * amount.quantity
            lines += 1
        known = profile.prices.get(amount.product_id) if amount.is_line else None
        if known is not None:
            score += _PRICE_KNOWN if known == value else -abs(math.log((known + 1) / (value + 1)))
        name = "items.price" if amount.is_line else str(amount.place[-1])
        score += 1.5 * max(_ODD_SIZE, profile.stats(name).number_likelihood(value))
    sums = [value for amount, value in zip(amounts, values, strict=True) if amount.place == ("amount",)]
    if lines and sums:
        weight = _SUM_AGREES * max(0.0, 2 * profile.sums_agree - 1)
        score += weight if sums[0] == total else -weight
    return score


def proven(amounts: list[Amount], values: tuple[int, ...], profile: Profile) -> bool:
    """Whether what the store sold before confirms how every amount was read: by its product's price, or as the sum."""
    read = list(zip(amounts, values, strict=True))
    lines = [(amount, value) for amount, value in read if amount.is_line]
    known = all(profile.prices.get(amount.product_id) == value for amount, value in lines)
    total = sum(value * amount.quantity for amount, value in lines)
    others = [value for amount, value in read if amount.place == ("amount",)]
    return bool(lines) and known and all(value == total for value in others)


def amounts_of(event: Mapping[str, Json], options: Mapping[tuple[str | int, ...], list[Option]]) -> list[Amount]:
    """The amounts of an event with what they belong to."""
    found: list[Amount] = []
    items = event.get("items")
    lines = items if isinstance(items, list) else []
    for place, ways in options.items():
        line = lines[place[1]] if place[0] == "items" and isinstance(place[1], int) else None
        if isinstance(line, dict):
            quantity = line.get("quantity", 1)
            found.append(
                Amount(
                    place,
                    line.get("price"),
                    ways,
                    str(line.get("product_id", "")),
                    quantity if isinstance(quantity, int) else 1,
                )
            )
        else:
            found.append(Amount(place, event.get(str(place[-1])), ways))
    return found
