"""What somebody watches, and which rows of a batch that is. By columns, and only for stores that are watched."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, cast
from uuid import UUID

import msgspec
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

_AT_THE_DOOR: Final = "collect"
"""The stage of dead letters that the collector wrote."""
_LONGEST: Final = 128


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


class _Own(Struct, frozen=True):
    """What a refused event says of itself, of whatever type."""

    event_id: object = None
    type: object = None
    anonymous_id: object = None
    user_id: object = None
    session_id: object = None
    cart_id: object = None


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


def refused(dead: pa.Table, watch: Watch, room: int) -> Glimpse:
    """Of these dead letters the watched store's that the stream never saw, since they were refused at the door."""
    mine = dead.filter(pc.and_(pc.equal(dead["store_id"], watch.store_id), pc.equal(dead["stage"], _AT_THE_DOOR)))
    rows = mine.select(["kind", "field", "reason", "body", "received_at"]).to_pylist()
    found = [shown for row in rows if _is_watched(shown := _refused(row), watch)]
    return Glimpse(matched=len(found), events=found[-room:] if room else [])


def _refused(row: Mapping[str, object]) -> Shown:
    try:
        own = msgspec.json.decode(str(row["body"]), type=_Own)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        own = _Own()
    received_at = cast("datetime", row["received_at"])
    return Shown(
        event_id=_text(own.event_id) or "", type=_text(own.type) or "", occurred_at=received_at,
        received_at=received_at, outcome="dead", reason=f"{row['kind']}: {row['field'] or ''} {row['reason'] or ''}",
        anonymous_id=_text(own.anonymous_id), user_id=_text(own.user_id), session_id=_text(own.session_id),
        cart_id=_text(own.cart_id),
    )  # fmt: skip


def _is_watched(shown: Shown, watch: Watch) -> bool:
    if watch.type is not None and shown.type != watch.type:
        return False
    return watch.visitor is None or watch.visitor in (
        shown.anonymous_id,
        shown.user_id,
        shown.session_id,
        shown.cart_id,
    )


def _text(value: object) -> str | None:
    return value[:_LONGEST] if isinstance(value, str) and value else None
