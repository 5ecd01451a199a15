"""Fits other people's values into an event. What is odd is made to fit or kept as a property; nothing is refused here.

The collector is the judge: what even so cannot be an event, it refuses with a reason, beside its neighbours.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_CEILING
from hashlib import sha256
from typing import Final, TypeVar, cast

import msgspec
from msgspec import Raw

from recoup.kit import loose
from recoup.kit.loose import Table
from recoup.messages.events import NO_PROPERTIES, Event, Item

T = TypeVar("T")
LONGEST_ID: Final = 128
LONGEST_TEXT: Final = 512
LONGEST_URL: Final = 4_096
MOST_ITEMS: Final = 500
_MOST_PIECES: Final = 1_000_000
_ROOM: Final = 30_000
"""Bytes for the properties of one event, a little under what the collector takes."""
_DEEPEST: Final = 32
_NOT_IN_A_NAME: Final = re.compile(r"[^a-z0-9]+")


def plain(name: str) -> str:
    """A name without its spelling: `ProductID`, `product_id` and `$product-id` are the same."""
    return _NOT_IN_A_NAME.sub("", name.lower())


class Said:
    """An object by the plain names of its keys, which remembers what was taken over; the rest is kept as it came."""

    def __init__(self, table: Table) -> None:
        self._by_name: dict[str, str] = {}
        for key in table:
            self._by_name.setdefault(plain(key), key)
        self._table = table
        self._taken: set[str] = set()
        self._kept: dict[str, object] = {}

    def take(self, read: Callable[[object], T | None], *names: str) -> T | None:
        """The first of `names` that can be read so; what cannot stays with the rest."""
        for name in names:
            key = self._by_name.get(name)
            found = None if key is None else read(self._table[key])
            if key is not None and found is not None:
                self._taken.add(key)
                return found
        return None

    def prefixed(self, prefix: str) -> dict[str, object]:
        """Takes every key with this in front, without it."""
        found = {key: value for key, value in self._table.items() if key.startswith(prefix) and key != prefix}
        self._taken.update(found)
        return {key.removeprefix(prefix): value for key, value in found.items()}

    def keep(self, key: str, value: object) -> None:
        """Adds to the rest."""
        self._kept[key] = value

    def rest(self) -> dict[str, object]:
        """What nobody took."""
        left = {key: value for key, value in self._table.items() if key not in self._taken and value is not None}
        return {**left, **self._kept}


def id_of(value: object) -> str | None:
    """An id that an event can carry; a longer one by its digest, which is as good a name."""
    found = loose.text(value)
    if found is None or len(found) <= LONGEST_ID:
        return found
    return f"sha256-{sha256(found.encode('utf-8', 'replace')).hexdigest()}"


def words(value: object) -> str | None:
    """A short text, cut where it is too long; the first of several."""
    if isinstance(value, list) and value:
        return words(cast("list[object]", value)[0])
    found = loose.text(value)
    return found and found[:LONGEST_TEXT]


def url(value: object) -> str | None:
    found = loose.text(value)
    return found and found[:LONGEST_URL]


def currency(value: object) -> str | None:
    """An ISO 4217 code, in capitals; None for anything else."""
    found = (loose.text(value) or "").upper()
    return found if len(found) == 3 and found.isascii() and found.isalpha() else None  # noqa: PLR2004 - ISO 4217


def quantity(value: object) -> int | None:
    """Whole pieces: part of one is one, and what comes back is counted like what goes out."""
    found = loose.number(value)
    return None if found is None else min(int(abs(found).to_integral_value(ROUND_CEILING)), _MOST_PIECES)


def paid(code: str) -> Callable[[object], int | None]:
    """Reads an amount in major units of this currency; None for less than nothing, which an event cannot carry."""

    def read(value: object) -> int | None:
        amount = loose.money(value, code)
        return amount if amount is not None and amount >= 0 else None

    return read


def amount_of(value: object, code: str) -> int | None:
    """The same, whichever sign the other side writes refunds with."""
    found = loose.money(value, code)
    return None if found is None else abs(found)


def properties(found: Mapping[str, object]) -> Raw:
    """What is kept beside an event's own fields. What is too large goes, largest first, and `not_kept` names it."""
    kept = {key.replace("\0", ""): cleaned(value) for key, value in found.items() if value is not None}
    encoded = loose.encode(kept)
    gone: list[str] = []
    while len(encoded) > _ROOM and kept:
        largest = max(kept, key=lambda key: len(loose.encode(kept[key])) + len(key))
        del kept[largest]
        gone.append(largest[:LONGEST_ID])
        encoded = loose.encode({**kept, "not_kept": gone[:100]})
    return Raw(encoded) if kept or gone else NO_PROPERTIES


def cleaned(value: object, deepest: int = _DEEPEST) -> object:
    """The same without NUL characters, and without what lies deeper than anybody looks."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if deepest == 0:
        return None
    if isinstance(value, list):
        return [cleaned(each, deepest - 1) for each in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key.replace("\0", ""): cleaned(each, deepest - 1) for key, each in loose.table(value).items()}
    return value


def items(found: Iterable[Item | None]) -> list[Item]:
    """Those that name a product; more than an event may hold are left out."""
    return [item for item in found if item is not None][:MOST_ITEMS]


def body_of(parts: Sequence[Event | bytes]) -> bytes:
    """A batch as the collector reads it; bytes stand for what could not even be looked at."""
    return b"[" + b",".join(part if isinstance(part, bytes) else msgspec.json.encode(part) for part in parts) + b"]"
