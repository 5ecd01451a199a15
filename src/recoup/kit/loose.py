"""Reads other people's JSON without trusting a word of it: every reader gives a value or None, and none raises.

Numbers keep their digits: what has a decimal point is a Decimal from the first byte on, never a float.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, cast

import msgspec

from recoup.kit.errors import Invalid
from recoup.kit.money import minor_units

Table = Mapping[str, object]

_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?|[+-]?\.[0-9]{1,18}")
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError)
_ODD: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?\bInfinity\b|\bNaN\b', re.DOTALL)
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_LARGEST: Final = 18
"""Digits before the point of a number that can be an amount, a count or a time."""
_FIRST_MILLISECONDS: Final = 10**11
"""A time in seconds stays below this until the year 5138; one in milliseconds passed it in 1973."""
_YES: Final = frozenset({"true", "yes", "1", "on"})
_NO: Final = frozenset({"false", "no", "0", "off", ""})


def decode(body: bytes) -> object:
    """The JSON in a body, single characters of it mended where it must be; raises Invalid for anything else."""
    try:
        return _DECODER.decode(body)
    except _UNREADABLE as error:
        try:
            return _DECODER.decode(_mended(body))
        except _UNREADABLE:
            raise Invalid(f"this is not JSON that can be read: {error}", code="malformed_json") from error


def _mended(body: bytes) -> str:
    """Half a surrogate pair and bytes that are no UTF-8 as U+FFFD, numbers that are none (`NaN`) as null."""
    return _ODD.sub(_without_oddities, body.decode("utf-8", "replace"))


def _without_oddities(found: re.Match[str]) -> str:
    said = found[0]
    return _ESCAPE.sub(_whole, said) if said.startswith('"') else "null"


def _whole(escape: re.Match[str]) -> str:
    return "\ufffd" if escape["half"] else escape[0]


def encode(value: object) -> bytes:
    """JSON of what `decode` gave, with every number as it was."""
    return _ENCODER.encode(value)


def table(value: object) -> Table:
    """An object; an empty one for anything else."""
    return cast("Table", value) if isinstance(value, dict) else {}


def tables(value: object) -> Sequence[Table]:
    """The objects of a list, or the one object that stands in its place."""
    if isinstance(value, dict):
        return [cast("Table", value)]
    if not isinstance(value, list):
        return []
    return [cast("Table", each) for each in cast("list[object]", value) if isinstance(each, dict)]


def text(value: object) -> str | None:
    """Words or a number, without what no database keeps; None where nothing is left of it."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return str(value)
    if not isinstance(value, str):
        return None
    return value.replace("\0", "").strip() or None


def number(value: object) -> Decimal | None:
    """A number, or text that is one."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return Decimal(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    exact = Decimal(value)
    return exact if exact.is_finite() and -_LARGEST <= exact.adjusted() < _LARGEST else None


def money(value: object, currency: str) -> int | None:
    """An amount in major units, as minor units of its currency."""
    amount = number(value)
    return None if amount is None else minor_units(str(amount), currency)


def flag(value: object) -> bool | None:
    """True or false, or a word or number for it."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else str(value) if isinstance(value, int) else None
    if word in _YES:
        return True
    return False if word in _NO else None


def moment(value: object) -> datetime | None:
    """A time by its text (without an offset: UTC), or by its seconds or milliseconds since 1970."""
    try:
        if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
            found = datetime.fromisoformat(value.strip())
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        since = number(value)
        if since is None or since <= 0:
            return None
        return datetime.fromtimestamp(float(since / 1000 if since >= _FIRST_MILLISECONDS else since), UTC)
    except (ValueError, OverflowError, OSError):
        return None
