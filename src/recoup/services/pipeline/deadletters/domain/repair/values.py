"""Makes a value fit its field: every way it can be meant, each with a logarithm of how likely that is.

An option that changes nothing scores highest; what reads a value in another notation costs little; what throws
something away costs more. The store's own values decide between what is left.
"""

import base64
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple
from uuid import UUID

from recoup.kit.ids import derived_id
from recoup.services.pipeline.deadletters.domain.repair.currencies import bare, coded, named, numbered
from recoup.services.pipeline.deadletters.domain.repair.naming import type_likeness, words
from recoup.services.pipeline.deadletters.domain.repair.notation import CUT, Json
from recoup.services.pipeline.deadletters.domain.repair.profile import FieldStats, Profile
from recoup.services.pipeline.deadletters.domain.repair.reading import mended_text
from recoup.services.pipeline.deadletters.domain.repair.times import counted, joined, moments

_EMPTY: Final = frozenset({
    "", "null", "none", "undefined", "nil", "na", "nan", "notset", "notavailable", "notgiven", "notprovided", "unknown",
    "unset", "empty", "missing",
})  # fmt: skip
"""What programs write where there is nothing, without its punctuation."""
_UNFILLED: Final = re.compile(r"\{\{.*\}\}|\$\{.*\}|<%.*%>|%[A-Za-z_.]+%|\[object \w+\]|__\w+__|@\w+@", re.DOTALL)
"""A template's place that nobody filled, or an object where its name should stand."""
_INVISIBLE: Final = re.compile("[\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad]")
_MEASURES: Final = frozenset({
    "g", "kg", "mg", "lb", "lbs", "oz", "ml", "cl", "l", "cm", "mm", "m", "pack", "packs", "pair", "pairs", "set",
    "sets", "dozen", "doz", "dutzend", "er", "paar", "box", "boxes", "case", "cases",
})  # fmt: skip
"""A number of these is not a number of pieces."""
IDS: Final = frozenset(
    {"store_id", "cart_id", "user_id", "anonymous_id", "session_id", "order_id", "product_id", "variant_id"}
)
MONEY: Final = frozenset({"amount", "discount", "price"})
_OTHER_UNIT: Final = 2.0
"""What it costs to read whole digits as major units, or a number with a point as minor ones."""
_ONE_DIGIT: Final = 0.5
"""The same for `18.0`: programs write any whole number so."""
_TIMES: Final = frozenset({"occurred_at", "sent_at"})
_NEEDED: Final = frozenset({"event_id", "type", "occurred_at", "product_id"})
_TEXTS: Final = frozenset({
    "name", "category", "brand", "coupon", "page_url", "referrer", "user_agent", "ip", "locale", "timezone",
    "device_type", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "fingerprint",
})  # fmt: skip
_LONG: Final = frozenset({"page_url", "referrer", "user_agent"})
_FINE_UNITS: Final = {"micros": 6, "nanos": 9, "mills": 3}
_PART_OF_UUID: Final = re.compile(r"[{(]?[0-9a-f]{8}-[0-9a-f]{0,4}(-|$)", re.IGNORECASE)
_UNSURE: Final = -7.0
"""As likely as that it is none of the ways."""
_COUNTED: Final = MONEY | _TIMES | {"quantity", "schema_version"}
"""What is told by digits, whichever script's."""
_HEX32: Final = re.compile(r"[^0-9a-fA-F]")
_AMOUNT: Final = re.compile(r"[-+]?[0-9][0-9.,'\u2019\s\u00a0\u202f]*(?:[eE][+-]?[0-9]{1,2}(?![0-9]))?")
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
    if isinstance(value, dict):
        value = _agreed(target, value, world) if target == "currency" else value
    if isinstance(value, dict):
        value = _inner(value) if target not in _TIMES else joined(value) or _inner(value)
    if isinstance(value, str) and not value.isascii() and target in _COUNTED:
        value = bare(value)
    if isinstance(value, list) and target in MONEY:
        value = _in_pair(value)
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else (counted(value) if target in _TIMES else None) or value
    if _is_nothing(target, value):
        value = None
    if value is None:
        return [] if target in _NEEDED else [Option(None, 0.0, "is empty")]
    if isinstance(value, list | dict):
        return []
    found = _money(value) if target in MONEY else _PLAIN[target](value, world) if target in _PLAIN else None
    if found is None:
        return _word(target, value, world)
    return found


def _is_nothing(target: str, value: Json) -> bool:
    """Whether a value stands for nothing; in a text field only what no person would write."""
    if value is False and (target in IDS or target == "coupon"):
        return True
    if not isinstance(value, str):
        return False
    if target == "currency" and named(value):
        return False
    plain = re.sub(r"[\W_]+", "", value).lower()
    if target in IDS:
        return plain in _EMPTY or _UNFILLED.search(value) is not None
    return not value.strip() or (plain in _EMPTY and (target not in _TEXTS or target == "coupon"))


def visible(text: str) -> str:
    """Text without what nobody sees."""
    seen = _INVISIBLE.sub("", text).strip()
    return seen[1:-1].strip() if len(seen) > 2 and seen[0] == seen[-1] and seen[0] in "\"'`" else seen  # noqa: PLR2004


def in_unit(name: str, value: Json) -> Json:
    """An amount whose field's name says how it was counted, in major units or as whole minor ones."""
    said = frozenset(words(name))
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | str)
        or not re.fullmatch(r"\d+(\.\d+)?", str(value))
    ):
        return value
    for unit, places in _FINE_UNITS.items():
        if unit in said:
            return f"{Decimal(str(value)).scaleb(-places):.4f}"
    if said & {"cents", "cent", "minor", "pennies", "pence"} and Decimal(str(value)) % 1 == 0:
        return int(Decimal(str(value)))
    return value


def _inner(value: dict[str, Json]) -> Json:
    """What an object says where a plain value belongs: its only part, or its amount, value or id."""
    if "units" in value and "nanos" in value and re.fullmatch(r"\d+", f"{value['units']}{value['nanos']}"):
        return f"{value['units']}.{int(str(value['nanos'])):09}"
    plain = {name: part for name, part in value.items() if not isinstance(part, dict | list)}
    if len(plain) == 1 and len(value) == 1:
        return next(iter(plain.values()))
    for name in ("amount", "value", "id", "name", "code", "$date", "iso", "seconds"):
        if name in plain:
            return plain[name]
    return value


def _agreed(target: str, value: dict[str, Json], world: World) -> Json:
    """The one meaning that all parts of an object share which can be this field: a code beside its sign."""
    meant = [
        {way.value for way in options(target, part, world) if isinstance(way.value, str)}
        for part in value.values()
        if isinstance(part, str)
    ]
    telling = [some for some in meant if some]
    shared = set[str].intersection(*telling) if telling else set[str]()
    return next(iter(shared)) if len(shared) == 1 else value


def _in_pair(value: list[Json]) -> Json:
    """The amount of a pair of an amount and a currency."""
    numbers = [part for part in value if not isinstance(part, str) or named(part) is None]
    return numbers[0] if len(value) == 2 and len(numbers) == 1 else value  # noqa: PLR2004 - a pair


def _event_id(value: Json, world: World) -> list[Option]:
    text = str(value)
    digits = _HEX32.sub("", text.lower().removeprefix("urn:uuid:"))
    if len(digits) == 32:  # noqa: PLR2004 - a UUID's
        return [Option(str(UUID(digits)), 0.0, "" if text == str(UUID(digits)) else "written as a UUID is")]
    if (packed := _in_base64(text)) is not None:
        return [Option(str(packed), -0.001, "a UUID's bytes in base64")]
    derived = str(derived_id("dead letter sent again", world.letter_id))
    if _PART_OF_UUID.match(text):
        return [Option(derived, _UNSURE, "no whole UUID any more; derived from this letter")]
    return [Option(derived, -0.001, "no UUID; derived from this letter")]


def _in_base64(text: str) -> UUID | None:
    if not re.fullmatch(r"[A-Za-z0-9+/_-]{22}(==)?", text.strip()):
        return None
    found = UUID(bytes=base64.b64decode(text.strip()[:22].translate(str.maketrans("-_", "+/")) + "=="))
    return found if found.version is not None else None


def _type(value: Json, world: World) -> list[Option]:
    text = str(value)
    if text in world.types:
        return [Option(text, 0.0)]
    found: list[Option] = []
    for kind in world.types:
        if text.endswith(CUT):
            like = 0.99 if kind.startswith(text[:-1]) and len(text) > 4 else 0.0  # noqa: PLR2004 - some letters at least
        else:
            like = type_likeness(visible(mended_text(text)), kind)
        if like > 0.3:  # noqa: PLR2004 - less is chance
            usual = math.log(world.profile.types.get(kind, 0) + 1) - math.log(world.profile.events + 10)
            exact = 4.0 if like >= 0.98 else 0.0  # noqa: PLR2004 - nothing but the spelling differs
            found.append(Option(kind, exact + 14 * (like - 1) + 0.25 * usual, f"{text!r} names this type"))
    return found


def _time(value: Json, world: World) -> list[Option]:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return []
    found: dict[datetime, Option] = {}
    for at, cost, reason in moments(visible(value) if isinstance(value, str) else value, world.timezone):
        late = (world.received_at - at).total_seconds()
        likely = 0.0 if not reason else world.profile.delay_likelihood(late)
        option = Option(at.astimezone(UTC).isoformat() if reason else visible(str(value)), likely - cost, reason)
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
        r"([^\W\d_]{0,12}[\s.:x\u00d7]*)(\d{1,6})(?:[.,]0{1,6})?\s*([^\W\d_]{0,12}[.x\u00d7]?)", visible(str(value))
    )
    if found is None or {word.strip(" .:").lower() for word in (found[1], found[3])} & _MEASURES:
        return []
    number = int(found[2])
    return [
        Option(number, min(0.0, world.profile.stats("items.quantity").number_likelihood(number) / 8), "a whole number")
    ]


def _currency(value: Json, world: World) -> list[Option]:
    text = visible(str(value))
    if re.fullmatch(r"[A-Z]{3}", text):
        return [Option(text, 0.0, "" if text == value else "without what stood around it")]
    known = world.profile.stats("currency").words or {world.currency: 1}
    if text.endswith(CUT):
        return [Option(one, 0.0, "completed") for one in known if one.startswith(text[:-1].upper())]
    if (code := numbered(text)) is not None:
        return [Option(code, 0.0 if code in known else -1.0, "the number of this currency")]
    meant = named(text) or coded(text)
    likely = [one for one in meant if one in known] or (list(meant) if len(meant) == 1 else [])
    return [Option(one, 0.0 if one in known else -1.0, f"{text!r} names this currency") for one in sorted(likely)]


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
    mended = mended_text(text)
    clean = visible(mended) if target in IDS or target == "coupon" else mended.strip().strip("\u200b\ufeff").strip()
    if (
        target in IDS
        and re.fullmatch(r"\d+\.0+", clean)
        and stats.text_likelihood(clean[: clean.index(".")]) > stats.text_likelihood(clean)
    ):
        clean = clean[: clean.index(".")]
    longest = 128 if target in IDS else 4096 if target in _LONG else 512
    if not clean or len(clean) > longest:
        return []
    reason = "" if clean == value else _why(value, mended, text)
    return [Option(clean, 0.0, reason)]


def _why(value: Json, mended: str, text: str) -> str:
    if not isinstance(value, str):
        return "a number as text"
    return "read in the right encoding" if mended != text else "without what stood around it"


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
    value = bare(value)
    value = re.sub(r"(?<=\d)\s?[€$£¥]\s?(?=\d\d$)", ".", value.strip().replace("\u2212", "-"))
    found = _AMOUNT.search(value)
    if found is None or len(_AMOUNT.findall(value)) > 1 or named(value) == frozenset():
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


_PLAIN: Final[Mapping[str, Callable[[Json, World], list[Option]]]] = {
    "event_id": _event_id,
    "type": _type,
    "occurred_at": _time,
    "sent_at": _time,
    "schema_version": _version,
    "quantity": _quantity,
    "currency": _currency,
}
