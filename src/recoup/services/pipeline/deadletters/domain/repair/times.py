"""Every moment a value can mean: numbers in any unit, the notations of the world, with and without an offset.

A date whose day and month can be exchanged gives both; which one it is, the time it reached us decides or nobody.
"""

import calendar
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_VAGUE: Final = 5.0
"""What it costs that a time does not say its seconds: what comes first is then a guess."""
_DAY_ONE_OF_TABLES: Final = datetime(1899, 12, 30, tzinfo=UTC)
_TABLE_DAYS: Final = (36_526, 73_050)
_UNITS: Final = (
    ("seconds", 1.0),
    ("milliseconds", 1e3),
    ("microseconds", 1e6),
    ("nanoseconds", 1e9),
    ("minutes", 1 / 60),
)
_ISO: Final = re.compile(
    r"(?P<y>\d{4})[-/.]?(?P<m>\d{2})[-/.]?(?P<d>\d{2})(?:[T\s_]+|$)"
    r"(?:(?P<h>\d{1,2})[:.h]?(?P<i>\d{2})(?:[:.m]?(?P<s>\d{2})(?:[.,:](?P<f>\d{1,9}))?)?)?\s*(?P<rest>.*)$",
    re.IGNORECASE,
)
_LOCAL: Final = re.compile(
    r"(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<y>\d{4}|\d{2})[,T\s]+"
    r"(?P<h>\d{1,2})[:.](?P<i>\d{2})(?:[:.](?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?\s*(?P<rest>.*)$",
    re.IGNORECASE,
)
_TIME_FIRST: Final = re.compile(
    r"(?P<t>\d{1,2}:\d{2}(?::\d{2})?(?:\s*[ap]m)?)[,\s]+(?P<d>\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})$", re.IGNORECASE
)
_OFFSET: Final = re.compile(r"(?:utc|gmt|z)?\s*(?P<sign>[+-])(?P<h>\d{1,2}):?(?P<i>\d{2})?$", re.IGNORECASE)
_NAMED: Final = re.compile(
    r"(?:[^\W\d_]{3,10},?\s+)?(?:(?P<d1>\d{1,2})(?:st|nd|rd|th)?[\s.-]+(?P<m1>[^\W\d_]{3,10})|(?P<m2>[^\W\d_]{3,10})\s+(?P<d2>\d{1,2})(?:st|nd|rd|th)?)"
    r"[,\s.-]+(?:(?P<y1>\d{4}),?\s+)?(?:(?:at|um|om|à|a|alle|às|kl\.?)\s+)?(?P<h>\d{1,2}):(?P<i>\d{2})(?::(?P<s>\d{2}))?\s*(?P<rest>.*?)\s*(?P<y2>\d{4})?$"
)
_MONTHS: Final = {name: number for number, name in enumerate(calendar.month_abbr) for name in [name.lower()] if name}


_ZONES: Final = {
    "WET": (0,), "WEST": (1,), "CET": (1,), "MEZ": (1,), "CEST": (2,), "MESZ": (2,), "EET": (2,), "EEST": (3,),
    "MSK": (3,), "BST": (1, 6), "IST": (5.5, 1, 2), "SAST": (2,), "GST": (4,), "PKT": (5,), "WIB": (7,), "SGT": (8,),
    "HKT": (8,), "JST": (9,), "KST": (9,), "ACST": (9.5,), "AEST": (10,), "AEDT": (11,), "AWST": (8,), "NZST": (12,),
    "NZDT": (13,),
    "EST": (-5,), "EDT": (-4,), "CST": (-6, 8), "CDT": (-5,), "MST": (-7,), "MDT": (-6,), "PST": (-8,), "PDT": (-7,),
    "AKST": (-9,), "AKDT": (-8,), "HST": (-10,), "AST": (-4, 3), "ADT": (-3,), "BRT": (-3,), "ART": (-3,),
}  # fmt: skip
"""Zones cut short, in hours; several countries may use the same letters."""
_ROW: Final = re.compile(r"(19|20)\d{12}(\d{3})?")
"""A date and a time of day in one row of digits."""
_TICKS: Final = (621_355_968_000_000_000, 10_000_000)
"""Where 1970 begins by the clock that counts tenths of microseconds since the year one, and its second."""
_DAY: Final = re.compile(r"\d{4}[-/.]?\d{2}[-/.]?\d{2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?(\s*[ap]m)?(\s*(Z|UTC|[+-]\d{2}:?\d{2}))?", re.IGNORECASE)
_PARTS: Final = ("year", "month", "day", "hour", "minute", "second")
_FRACTIONS: Final = ("nano", "nanos", "nanosecond", "nanoseconds")


_OTHER_MONTHS: Final = {
    "ene": 1, "gen": 1, "janv": 1, "fév": 2, "mär": 3, "mrz": 3, "maa": 3, "avr": 4, "abr": 4, "mai": 5, "mei": 5,
    "mag": 5,
    "juin": 6, "giu": 6, "juil": 7, "lug": 7, "ago": 8, "aoû": 8, "set": 9, "okt": 10, "oct": 10, "ott": 10, "out": 10,
    "dez": 12, "dic": 12, "déc": 12,
}  # fmt: skip


class Meant(NamedTuple):
    """A moment a value can mean, what reading it so costs, and how it was read; no reason where nothing changes."""

    at: datetime
    cost: float
    reason: str


def moments(value: str | float, zone: str) -> Iterator[Meant]:
    """Every moment a value can mean."""
    if isinstance(value, str):
        yield from _said(value.strip().strip("\"'"), zone)
    elif _ROW.fullmatch(str(value)):
        yield from _written(_apart(str(value)), zone)
    else:
        yield from _counted(float(value), 0.0)


def is_day(text: str) -> bool:
    """Whether a text is a date and nothing else."""
    return _DAY.fullmatch(text.strip()) is not None


def is_clock(text: str) -> bool:
    """Whether a text is a time of day and nothing else."""
    return _CLOCK.fullmatch(text.strip()) is not None


def joined(parts: Mapping[str, object]) -> str | float | None:
    """The one time that an object spells in parts: seconds and fractions, date, clock and zone, or each by itself."""
    plain = {re.sub(r"[\W_]+", "", name).lower(): part for name, part in parts.items()}
    seconds = next((part for name, part in plain.items() if name in {"seconds", "epochsecond", "epochseconds"}), None)
    if seconds is not None:
        fraction = next((plain[name] for name in _FRACTIONS if name in plain), 0)
        try:
            return float(str(seconds)) + float(str(fraction)) / 1e9
        except ValueError:
            return None
    if all(name in plain for name in _PARTS[:5]):
        return counted([plain.get(name, 0) for name in _PARTS])
    texts = [part for part in plain.values() if isinstance(part, str)]
    whole = {strict: part for part in texts if (strict := _strict(part)) is not None}
    if len(whole) == 1:
        return next(iter(whole.values()))
    day = next((part for part in texts if is_day(part) or (len(texts) > 1 and _ISO.match(part))), None)
    clock = next((part for part in texts if is_clock(part)), "")
    zone = next((part for name, part in plain.items() if "zone" in name and isinstance(part, str)), "")
    return f"{day} {clock} {zone}".strip() if day and (clock or zone) else None


def counted(parts: Sequence[object]) -> str | None:
    """The time that a list of numbers spells: year, month, day, hour, minute and what it has of seconds."""
    numbers = [part for part in parts if isinstance(part, int) and not isinstance(part, bool)]
    zone = " UTC" if any(isinstance(part, str) and "utc" in part.lower() for part in parts) else ""
    if not 5 <= len(numbers) <= 7 or len(numbers) < len(parts) - bool(zone):  # noqa: PLR2004 - to minutes, to a fraction
        return None
    year, month, day, hour, minute, *rest = numbers
    second = f":{rest[0]:02}" if rest else ""
    fraction = "" if len(rest) < 2 else f".{rest[1]:0{3 if rest[1] < 1000 else 6 if rest[1] < 10**6 else 9}}"  # noqa: PLR2004
    return f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}{second}{fraction}{zone}"


def _said(text: str, zone: str) -> Iterator[Meant]:
    if re.fullmatch(r"-?\d+([.,]\d+)?([eE]\+?\d+)?", text) and not _ROW.fullmatch(text):
        yield from _counted(float(text.replace(",", ".")), 0.0)
        return
    if (wrapped := re.search(r"\((-?\d{9,19})(?:[+-]\d{4})?\)", text)) is not None:
        yield from _counted(float(wrapped[1]), 0.0)
        return
    strict = _strict(text)
    if strict is not None:
        yield Meant(strict, 0.0, "")
        yield from _rescaled(strict)
        return
    if (turned := _TIME_FIRST.match(text)) is not None:
        text = f"{turned['d']} {turned['t']}"
    yield from _written(_apart(text) if _ROW.fullmatch(text) else text, zone)


def _apart(row: str) -> str:
    """A row of digits as date and time of day."""
    return f"{row[:8]}T{row[8:14]}.{row[14:] or '0'}"


def _strict(text: str) -> datetime | None:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|z|[+-]\d\d:\d\d)", text):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def _rescaled(at: datetime) -> Iterator[Meant]:
    """A moment that somebody counted in the wrong unit before writing it down."""
    if _EARLIEST <= at <= _LATEST:
        return
    yield from (Meant(one.at, one.cost + 0.5, one.reason) for one in _counted(at.timestamp(), 0.0))


def _counted(number: float, cost: float) -> Iterator[Meant]:
    days = _DAY_ONE_OF_TABLES + timedelta(days=number) if _TABLE_DAYS[0] < number < _TABLE_DAYS[1] else None
    if days is not None and number % 1:
        yield Meant(days.replace(microsecond=days.microsecond // 1000 * 1000), cost, "days since 1900, as tables count")
    if _TICKS[0] < number < 2 * _TICKS[0]:
        yield from _counted_from_one(int(number), cost)
    for unit, many in _UNITS:
        seconds = number / many
        if _EARLIEST.timestamp() <= seconds <= _LATEST.timestamp():
            whole = timedelta(milliseconds=round(seconds * 1000))
            yield Meant(datetime(1970, 1, 1, tzinfo=UTC) + whole, cost, f"{unit} since 1970")


def _counted_from_one(number: int, cost: float) -> Iterator[Meant]:
    seconds = (number - _TICKS[0]) / _TICKS[1]
    if _EARLIEST.timestamp() <= seconds <= _LATEST.timestamp():
        whole = timedelta(milliseconds=round(seconds * 1000))
        yield Meant(datetime(1970, 1, 1, tzinfo=UTC) + whole, cost, "ticks since the year one")


def _written(text: str, zone: str) -> Iterator[Meant]:
    if (iso := _ISO.match(text)) is not None and iso["h"] is not None:
        yield from _zoned(iso.groupdict(), (iso["y"], iso["m"], iso["d"]), zone, 0.0)
        return
    if (local := _LOCAL.match(text)) is not None:
        year = local["y"] if len(local["y"]) == 4 else f"20{local['y']}"  # noqa: PLR2004 - a year in full
        for month, day, cost in ((local["b"], local["a"], 0.0), (local["a"], local["b"], 0.0)):
            yield from _zoned(local.groupdict(), (year, month, day), zone, cost)
        if len(local["y"]) == 2:  # noqa: PLR2004 - two digits may be the day as well
            yield from _zoned(local.groupdict(), (f"20{local['a'].zfill(2)}", local["b"], local["y"]), zone, 1.0)
        return
    if (named := _NAMED.match(text)) is not None:
        parts = named.groupdict()
        month = _month(str(parts["m1"] or parts["m2"]))
        year = parts["y1"] or parts["y2"]
        if month and year:
            yield from _zoned(parts, (year, str(month), parts["d1"] or parts["d2"]), zone, 0.0)
            return
    try:
        mail = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return
    yield Meant(mail if mail.tzinfo else mail.replace(tzinfo=UTC), 0.0, "the notation of mail")


def _month(name: str) -> int | None:
    """A month by its name in the languages of Europe's west."""
    letters = name.lower()
    return next(
        (number for begin, number in _OTHER_MONTHS.items() if letters.startswith(begin)), _MONTHS.get(letters[:3])
    )


def _zoned(parts: dict[str, str | None], date: tuple[str, str, str], zone: str, cost: float) -> Iterator[Meant]:
    rest = (parts.get("rest") or "").strip()
    hour = int(parts["h"] or 0)
    if (half := re.match(r"([ap])\.?m\.?\s*", rest, re.IGNORECASE)) is not None:
        hour = hour % 12 + (12 if half[1].lower() == "p" else 0)
        rest = rest[half.end() :].strip()
    fraction = (parts.get("f") or "0")[:6].ljust(6, "0")
    try:
        year, month, day = map(int, date)
        plain = datetime(year, month, day, hour, int(parts["i"] or 0), int(parts.get("s") or 0), int(fraction))  # noqa: DTZ001 - its zone is what is sought
    except ValueError:
        return
    if parts.get("s") is None:
        cost += _VAGUE
    for where, more, reason in _zones(rest, zone):
        at = plain.replace(tzinfo=where).astimezone(UTC)
        if _EARLIEST <= at <= _LATEST:
            yield Meant(at, cost + more, reason)


def _zones(rest: str, zone: str) -> Iterator[tuple[timezone | ZoneInfo, float, str]]:
    """The offset a text names; where it names none, the two it can be: UTC or the shop's."""
    if rest.upper() in {"Z", "UTC", "GMT", "(UTC)", "ETC/UTC"}:
        yield UTC, 0.0, "a time in UTC in another notation"
        return
    if (offset := _OFFSET.match(re.sub(r"\s*[(\[].*[)\]]$", "", rest))) is not None:
        shift = timedelta(hours=int(offset["h"]), minutes=int(offset["i"] or 0))
        if shift < timedelta(hours=15):
            yield (
                timezone(-shift if offset["sign"] == "-" else shift),
                0.0,
                "a time with its offset in another notation",
            )
        return
    if (lost := re.fullmatch(r"(\d{2}):?(\d{2})", rest)) is not None:
        shift = timedelta(hours=int(lost[1]), minutes=int(lost[2]))
        if shift < timedelta(hours=15):
            yield timezone(shift), 0.1, "a time whose plus was lost"
        return
    if name := rest.strip("[]()"):
        yield from ((where, 0.0, f"a time in {name}") for where in _zones_named(name))
        return
    yield UTC, 0.0, "a time without an offset, taken for UTC"
    if (own := _zone(zone)) is not None and zone != "UTC":
        yield own, 0.0, f"a time without an offset, taken for the shop's zone {zone}"


def _zones_named(name: str) -> Iterator[timezone | ZoneInfo]:
    if name.upper() in _ZONES:
        yield from (timezone(timedelta(hours=hours)) for hours in _ZONES[name.upper()])
    elif "/" in name and (found := _zone(name)) is not None:
        yield found


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
