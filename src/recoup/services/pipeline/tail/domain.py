"""What somebody watches, and which rows of a batch that is. By columns, and only for stores that are watched."""

from datetime import datetime
from typing import Final, Literal, cast
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from recoup.messages.events import EventType
from recoup.services.pipeline.stream.domain.work import Work

_WHO: Final = ("anonymous_id", "user_id", "session_id", "cart_id")
_SHOWN: Final = (
    "event_id", "type", "occurred_at", "received_at", *_WHO, "order_id", "amount", "currency", "items", "page_url",
)  # fmt: skip
"""Never `properties`, addresses or user agents: whoever may see that events come need not see all that is in them."""


class Watch(Struct, frozen=True, kw_only=True):
    """What somebody watches, until when."""

    id: str
    store_id: str
    type: str | None = None
    visitor: str | None = None
    """Any id of a person, a session or a cart."""
    until: datetime


class Shown(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event as it is shown."""

    event_id: str
    type: str
    occurred_at: datetime
    received_at: datetime
    outcome: Literal["taken", "duplicate", "dead"]
    reason: str = ""
    anonymous_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    cart_id: str | None = None
    order_id: str | None = None
    amount: int | None = None
    currency: str | None = None
    items: int = 0
    page_url: str | None = None


class Glimpse(Struct, frozen=True, kw_only=True):
    """What came within one moment: how many events there were, and some or all of them."""

    matched: int
    events: list[Shown]


def glimpsed(work: Work, watch: Watch, room: int) -> Glimpse:
    """The rows somebody watches, at most `room` of them, spread evenly over the batch."""
    if watch.store_id not in work.store_names:
        return Glimpse(matched=0, events=[])
    places = np.flatnonzero(_marked(work, watch))
    matched = len(places)
    if matched > room:
        places = places[np.linspace(0, matched - 1, room).astype(np.int64)] if room else places[:0]
    return Glimpse(matched=matched, events=_shown(work, places))


def _marked(work: Work, watch: Watch) -> np.ndarray:
    marked = work.store_codes == work.store_names.index(watch.store_id)
    marked &= ~work.of_types(frozenset({EventType.CLOCK.value}))
    if watch.type is not None:
        marked &= work.of_types(frozenset({watch.type}))
    if watch.visitor is not None and marked.any():
        same = [pc.equal(work.rows.column(name), watch.visitor).fill_null(False) for name in _WHO]  # noqa: FBT003 - pyarrow takes it by place
        marked &= np.logical_or.reduce([column.to_numpy() for column in same])
    return marked


def _shown(work: Work, places: np.ndarray) -> list[Shown]:
    if not len(places):
        return []
    reasons = {dead.row: f"{dead.kind}: {dead.field} {dead.reason}" for dead in work.dead}
    rows = work.rows.select(list(_SHOWN)).take(pa.array(places)).to_pylist()
    found: list[Shown] = []
    for place, row in zip(places.tolist(), rows, strict=True):
        row |= {"event_id": str(UUID(bytes=cast("bytes", row["event_id"]))), "items": len(row["items"] or ())}
        found.append(Shown(**row, outcome=_outcome(work, place, reasons), reason=reasons.get(place, "")))
    return found


def _outcome(work: Work, place: int, reasons: dict[int, str]) -> Literal["taken", "duplicate", "dead"]:
    if place in reasons:
        return "dead"
    return "duplicate" if len(work.duplicates) and work.duplicates[place] else "taken"
