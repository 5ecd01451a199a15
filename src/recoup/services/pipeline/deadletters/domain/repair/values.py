"""Makes a value fit its field: every way it can be meant, each with a logarithm of how likely that is.

An option that changes nothing scores highest; what reads a value in another notation costs little; what throws
something away costs more. The store's own values decide between what is left.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple
from uuid import UUID

from recoup.kit.ids import derived_id
from recoup.services.pipeline.deadletters.domain.repair.naming import type_likeness
from recoup.services.pipeline.deadletters.domain.repair.profile import FieldStats, Profile
from recoup.services.pipeline.deadletters.domain.repair.reading import CUT, Json, mended_text
from recoup.services.pipeline.deadletters.domain.repair.times import moments

EMPTY: Final = frozenset({"null", "none", "undefined", "nil", "n/a", "na", "nan", "-"})
IDS: Final = frozenset(
    {"store_id", "cart_id", "user_id", "anonymous_id", "session_id", "order_id", "product_id", "variant_id"}
)
MONEY: Final = frozenset({"amount", "discount", "price"})
_OTHER_UNIT: Final = 2.0
"""What it costs to read whole digits as major units, or a number with a point as minor ones."""
_ONE_DIGIT: Final = 0.5
"""The same for `18.0`: programs write any whole number so."""
_NEEDED: Final = frozenset({"event_id", "type", "occurred_at", "product_id"})
_LONG: Final = frozenset({"page_url", "referrer", "user_agent"})
_SYMBOLS: Final = {"€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₽": "RUB", "₩": "KRW", "zł": "PLN", "₺": "TRY"}
_CURRENCY_NAMES: Final = {
    "EURO": "EUR", "EUROS": "EUR", "DOLLAR": "USD", "DOLLARS": "USD", "POUND": "GBP", "POUNDS": "GBP",
    "STERLING": "GBP", "YEN": "JPY", "FRANC": "CHF", "FRANKEN": "CHF", "USDOLLAR": "USD", "USDOLLARS": "USD",
}  # fmt: skip
_HEX32: Final = re.compile(r"[^0-9a-fA-F]")
_AMOUNT: Final = re.compile(r"[-+]?[0-9][0-9.,'\u2019\s\u00a0\u202f]*")
_DIGITS: Final = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "KWD": 3, "BHD": 3, "OMR": 3, "TND": 3, "JOD": 3}


class Option(NamedTuple):
    """One way a value can be meant. `unit` says for money how it was counted: in minor or major units."""

    value: Json
    score: float
    reason: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """What is known besides the event: the store's past, its settings, and when the event reached us."""

    profile: Profile
    types: frozenset[str]
    store_id: str
    currency: str
    timezone: str
    received_at: datetime
    letter_id: str


def options(target: str, value: Json, world: World) -> list[Option]:
    """How a value can be meant in this field; empty where it cannot. None as a value leaves the field out."""
    if isinstance(value, str) and not value.strip():
        value = None
    if isinstance(value, dict):
        value = _inner(value)
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else value
    if value is None:
        return [] if target in _NEEDED else [Option(None, 0.0, "is empty")]
    if isinstance(value, list | dict):
        return []
    found = _money(value) if target in MONEY else _PLAIN[target](value, world) if target in _PLAIN else None
    if found is None:
        return _word(target, value, world)
    if not found and isinstance(value, str) and value.strip().lower() in EMPTY:
        return [] if target in _NEEDED else [Option(None, 0.0, "is empty")]
    return found


def _inner(value: dict[str, Json]) -> Json:
    """What an object says where a plain value belongs: its only part, or its amount, value or id."""
    plain = {name: part for name, part in value.items() if not isinstance(part, dict | list)}
    if len(plain) == 1 and len(value) == 1:
        return next(iter(plain.values()))
    for name in ("amount", "value", "id", "name", "code", "$date", "iso", "seconds"):
        if name in plain:
            return plain[name]
    return value


def _event_id(value: Json, world: World) -> list[Option]:
    text = str(value)
    digits = _HEX32.sub("", text.lower().removeprefix("urn:uuid:"))
    if len(digits) == 32:  # noqa: PLR2004 - a UUID's
        return [Option(str(UUID(digits)), 0.0, "" if text == str(UUID(digits)) else "written as a UUID is")]
    return [
        Option(str(derived_id("dead letter sent again", world.letter_id)), -0.001, "no UUID; derived from this letter")
    ]


def _type(value: Json, world: World) -> list[Option]:
    text = str(value)
    if text in world.types:
        return [Option(text, 0.0)]
    found: list[Option] = []
    for kind in world.types:
        if text.endswith(CUT):
            like = 0.99 if kind.startswith(text[:-1]) and len(text) > 4 else 0.0  # noqa: PLR2004 - some letters at least
        else:
            like = type_likeness(mended_text(text).strip(), kind)
        if like > 0.3:  # noqa: PLR2004 - less is chance
            usual = math.log(world.profile.types.get(kind, 0) + 1) - math.log(world.profile.events + 10)
            exact = 4.0 if like >= 0.98 else 0.0  # noqa: PLR2004 - nothing but the spelling differs
            found.append(Option(kind, exact + 14 * (like - 1) + 0.25 * usual, f"{text!r} names this type"))
    return found


def _time(value: Json, world: World) -> list[Option]:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return []
    found: dict[datetime, Option] = {}
    for at, cost, reason in moments(value, world.timezone):
        late = (world.received_at - at).total_seconds()
        likely = 0.0 if not reason else world.profile.delay_likelihood(late)
        option = Option(at.astimezone(UTC).isoformat() if reason else str(value), likely - cost, reason)
        if at not in found or found[at].score < option.score:
            found[at] = option
    return list(found.values())


def _version(value: Json, _: World) -> list[Option]:
    if isinstance(value, int) and not isinstance(value, bool):
        return [Option(value, 0.0)] if value >= 1 else []
    found = re.fullmatch(r"\s*[vV]?\.?(\d{1,6})(\.0+)*\s*", str(value))
    return [Option(int(found[1]), 0.0, "a whole number")] if found and int(found[1]) else []


def _quantity(value: Json, world: World) -> list[Option]:
    if isinstance(value, bool):
        return []
    if isinstance(value, int):
        return [Option(value, 0.0)] if value >= 0 else []
    found = re.fullmatch(
        r"\s*[x\u00d7]?\s*(\d{1,6})(?:[.,]0+)?\s*(?:[x\u00d7]|pcs?\.?|st(?:k|ck)?\.?|pieces?|units?|items?)?\s*",
        str(value).lower(),
    )
    if found is None:
        return []
    number = int(found[1])
    return [
        Option(number, min(0.0, world.profile.stats("items.quantity").number_likelihood(number) / 8), "a whole number")
    ]


def _currency(value: Json, world: World) -> list[Option]:
    text = str(value).strip()
    code = re.sub(r"[^A-Za-z]", "", text).upper()
    if re.fullmatch(r"[A-Z]{3}", text):
        return [Option(text, 0.0)]
    known = world.profile.stats("currency").words or {world.currency: 1}
    if text in _SYMBOLS:
        return [Option(_SYMBOLS[text], 0.0, "the sign of this currency")]
    if "$" in text:
        named = f"{code[:2]}D" if len(code) >= 2 else ""  # noqa: PLR2004 - US$, or a dollar without its country
        return [Option(named or one, 0.0, "the store's dollar") for one in known if one.endswith("D")]
    if text.endswith(CUT):
        return [Option(one, 0.0, "completed") for one in known if one.startswith(code)]
    if code in _CURRENCY_NAMES:
        return [Option(_CURRENCY_NAMES[code], -0.01, "the name of this currency")]
    fits = len(code) == 3  # noqa: PLR2004 - as ISO 4217 has it
    return [Option(code, 0.0 if code in known else -1.0, "a code in capitals")] if fits else []


def _word(target: str, value: Json, world: World) -> list[Option]:
    """Ids and texts."""
    if isinstance(value, bool):
        return []
    text = value if isinstance(value, str) else _written(value)
    name = f"items.{target}" if target in {"product_id", "variant_id", "name", "category", "brand"} else target
    stats = world.profile.stats(name)
    if CUT in text:
        return _completed(text[: text.index(CUT)], stats)
    if "\ufffd" in text:
        known = _filled(text, stats)
        return [Option(known or text, -0.005 if known else -5.0, "lost letters, as the store usually says it")]
    clean = mended_text(text).strip()
    longest = 128 if target in IDS else 4096 if target in _LONG else 512
    if not clean or len(clean) > longest:
        return []
    reason = (
        "" if clean == value else "a number as text" if not isinstance(value, str) else "read in the right encoding"
    )
    return [Option(clean, 0.0, reason)]


def _written(value: Json) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _completed(start: str, stats: FieldStats) -> list[Option]:
    """A text that was cut off, where the store's own values leave only few ways to end it."""
    if not stats.is_closed or not start:
        return []
    fitting = {word: count for word, count in stats.words.items() if word.startswith(start)}
    total = sum(fitting.values())
    return [Option(word, math.log(count / total) - 0.02, "completed as usual") for word, count in fitting.items()]


def _filled(text: str, stats: FieldStats) -> str | None:
    """The one known value that fits where letters were lost."""
    pattern = re.compile(".{0,3}".join(map(re.escape, re.split("\ufffd+", text))), re.DOTALL)
    fitting = [word for word in stats.words if pattern.fullmatch(word)]
    return fitting[0] if len(fitting) == 1 else None


def _money(value: Json) -> list[Option]:
    """An amount in minor or in major units; which of the two, the whole event decides."""
    if isinstance(value, bool) or value is None or isinstance(value, list | dict):
        return []
    if isinstance(value, int):
        return [Option(value, 0.0)] if 0 <= value <= 10**15 else []
    found: list[Option] = []
    for number, cost, reason in _numbers(value):
        if number < 0 or number > 10**13:
            continue
        if number == number.to_integral_value():
            plain = isinstance(value, str) and value.strip().isdigit()
            other = _ONE_DIGIT if number.as_tuple().exponent == -1 else _OTHER_UNIT
            minor_cost, major_cost = (cost, cost + other) if plain else (cost + other, cost)
            found.append(Option(int(number), -minor_cost, f"{reason}, in minor units", "minor"))
            found.append(Option(str(number), -major_cost, f"{reason}, in major units", "major"))
        else:
            found.append(Option(str(number), -cost, f"{reason}, in major units", "major"))
    return found


def minor(text: str, currency: str) -> int | None:
    """Major units in minor ones; None where the currency has no such fraction."""
    scaled = Decimal(text).scaleb(_DIGITS.get(currency, 2))
    rounded = scaled.quantize(Decimal(1))
    return int(rounded) if abs(scaled - rounded) < Decimal("0.001") else None


def _numbers(value: str | float) -> Sequence[tuple[Decimal, float, str]]:
    if not isinstance(value, str):
        return [(Decimal(repr(value)), 0.0, "a decimal number")] if math.isfinite(value) else []
    found = _AMOUNT.search(value.replace("\u2212", "-"))
    if found is None or len(_AMOUNT.findall(value)) > 1:
        return []
    text = re.sub(r"[\s'\u2019\u00a0\u202f]", "", found[0]).rstrip(".,")
    ways: list[tuple[str, float]] = []
    last = max(text.rfind("."), text.rfind(","))
    if last < 0:
        ways.append((text, 0.0))
    else:
        sign, after = text[last], len(text) - last - 1
        other = "," if sign == "." else "."
        if text.count(sign) == 1 and (after != 3 or other in text[:last]):  # noqa: PLR2004 - thousands have three
            ways.append((text.replace(other, "").replace(sign, "."), 0.0))
        elif text.count(sign) > 1:
            ways.append((text.replace(sign, "").replace(other, "."), 0.0))
        else:
            ways += [(text.replace(sign, ""), 0.7), (text.replace(sign, "."), 1.5)]
    try:
        return [(Decimal(way), cost, "a number in text") for way, cost in ways]
    except InvalidOperation:
        return []


def currency_said(value: Json) -> str | None:
    """The currency that a text with an amount names, by sign or code."""
    if not isinstance(value, str):
        return None
    code = re.search(r"(?<![A-Za-z])[A-Z]{3}(?![A-Za-z])", value)
    return code[0] if code else next((known for sign, known in _SYMBOLS.items() if sign in value), None)


_PLAIN: Final[Mapping[str, Callable[[Json, World], list[Option]]]] = {
    "event_id": _event_id,
    "type": _type,
    "occurred_at": _time,
    "sent_at": _time,
    "schema_version": _version,
    "quantity": _quantity,
    "currency": _currency,
}
