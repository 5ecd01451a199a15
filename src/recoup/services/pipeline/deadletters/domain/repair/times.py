"""Every moment a value can mean: numbers in any unit, the notations of the world, with and without an offset.

A date whose day and month can be exchanged gives both; which one it is, the time it reached us decides or nobody.
"""

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_VAGUE: Final = 5.0
"""What it costs that a time does not say its seconds: what comes first is then a guess."""
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
    r"(?:[A-Za-z]{3,9},?\s+)?(?:(?P<d1>\d{1,2})(?:st|nd|rd|th)?[\s.-]+(?P<m1>[A-Za-z]{3,9})|(?P<m2>[A-Za-z]{3,9})\s+(?P<d2>\d{1,2})(?:st|nd|rd|th)?)"
    r"[,\s.-]+(?:(?P<y1>\d{4}),?\s+)?(?:at\s+)?(?P<h>\d{1,2}):(?P<i>\d{2})(?::(?P<s>\d{2}))?\s*(?P<rest>.*?)\s*(?P<y2>\d{4})?$"
)
_MONTHS: Final = {name: number for number, name in enumerate(calendar.month_abbr) for name in [name.lower()] if name}


class Meant(NamedTuple):
    """A moment a value can mean, what reading it so costs, and how it was read; no reason where nothing changes."""

    at: datetime
    cost: float
    reason: str


def moments(value: str | float, zone: str) -> Iterator[Meant]:
    """Every moment a value can mean."""
    if isinstance(value, str):
        yield from _said(value.strip().strip("\"'"), zone)
    else:
        yield from _counted(float(value), 0.0)


def _said(text: str, zone: str) -> Iterator[Meant]:
    if re.fullmatch(r"-?\d+([.,]\d+)?([eE]\+?\d+)?", text) and not re.fullmatch(r"(19|20)\d{12}(\d{3})?", text):
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
    yield from _written(text, zone)


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
    for unit, many in _UNITS:
        seconds = number / many
        if _EARLIEST.timestamp() <= seconds <= _LATEST.timestamp():
            whole = timedelta(milliseconds=round(seconds * 1000))
            yield Meant(datetime(1970, 1, 1, tzinfo=UTC) + whole, cost, f"{unit} since 1970")


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
    try:
        mail = parsedate_to_datetime(text)
        yield Meant(mail if mail.tzinfo else mail.replace(tzinfo=UTC), 0.0, "the notation of mail")
    except (ValueError, TypeError, IndexError):
        if (named := _NAMED.match(text)) is not None:
            parts = named.groupdict()
            month = _MONTHS.get(str(parts["m1"] or parts["m2"])[:3].lower())
            year = parts["y1"] or parts["y2"]
            if month and year:
                yield from _zoned(parts, (year, str(month), parts["d1"] or parts["d2"]), zone, 0.0)


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
    if (offset := _OFFSET.match(rest.partition(" (")[0])) is not None:
        shift = timedelta(hours=int(offset["h"]), minutes=int(offset["i"] or 0))
        if shift < timedelta(hours=15):
            yield (
                timezone(-shift if offset["sign"] == "-" else shift),
                0.0,
                "a time with its offset in another notation",
            )
        return
    name = rest.strip("[]()")
    if name:
        if "/" in name and (found := _zone(name)) is not None:
            yield found, 0.0, f"a time in {name}"
        return
    yield UTC, 0.0, "a time without an offset, taken for UTC"
    if (own := _zone(zone)) is not None and zone != "UTC":
        yield own, 0.0, f"a time without an offset, taken for the shop's zone {zone}"


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
