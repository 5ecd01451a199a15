"""A store's topic as a page of events, and the cursor that goes on where a page ended, even inside a record."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from recoup.kit.errors import Invalid
from recoup.services.pipeline.routing.domain.payload import documents

_MOST_PARTITIONS: Final = 10_000
_NUMBERS: Final = 3
_DIGITS: Final = 19
_LARGEST: Final = 2**63


class Place(NamedTuple):
    """How far a partition was read: the last record that was looked at, and how much of it; 0 rows are all of them."""

    offset: int
    rows: int = 0


class Chunk(NamedTuple):
    """The rows of one record."""

    partition: int
    offset: int
    rows: pa.Table


Cursor = Mapping[int, Place]


def page(
    chunks: Sequence[Chunk], cursor: Cursor, limit: int, oldest: datetime
) -> tuple[list[dict[str, object]], Cursor]:
    """The next events, at most `limit`, and where they end; those enriched before `oldest` are passed over."""
    found: list[dict[str, object]] = []
    reached = dict(cursor)
    for chunk in chunks:
        before = reached.get(chunk.partition, Place(0))
        start = before.rows if before.offset == chunk.offset else 0
        rows = chunk.rows.slice(start, limit - len(found))
        found += documents(
            rows.filter(
                pc.greater_equal(rows.column("enriched_at"), pa.scalar(oldest, rows.column("enriched_at").type))
            )
        )
        taken = start + rows.num_rows
        whole = taken >= chunk.rows.num_rows
        reached[chunk.partition] = Place(chunk.offset, 0 if whole else taken)
        if not whole:
            break
    return found, reached


def starts(cursor: Cursor) -> dict[int, int]:
    """Behind which offsets to go on: a record that was read in part is read again."""
    return {partition: place.offset - 1 if place.rows else place.offset for partition, place in cursor.items()}


def written(cursor: Cursor) -> str:
    """As a caller gets it."""
    return "-".join(f"{partition}.{place.offset}.{place.rows}" for partition, place in sorted(cursor.items()))


def read(text: str) -> Cursor:
    """What `written` was given; raises Invalid for anything it did not make."""
    if not text:
        return {}
    parts = [part.split(".") for part in text.split("-", _MOST_PARTITIONS)]
    if any(len(part) != _NUMBERS or not all(map(_is_whole, part)) for part in parts):
        raise Invalid("the cursor is not one of ours", code="cursor_invalid")
    return {int(partition): Place(int(offset), int(rows)) for partition, offset, rows in parts}


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS and int(text) < _LARGEST
