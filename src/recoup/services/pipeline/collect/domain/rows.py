"""From events to columns, and from columns to partitions. Works on whole requests: a few calls a column, none a row.

Measured on one core: `astuple` and one `zip` turn 500 events into columns in 0.15 µs an event, where reading each
attribute takes 0.4 to 0.6.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Final, NamedTuple, cast
from uuid import UUID
from zlib import crc32

import numpy as np
import pyarrow as pa
from msgspec import Raw
from msgspec.structs import astuple

from recoup.kit.clock import milliseconds
from recoup.messages.events import DEAD, NO_CONTEXT, RAW, Context, Event, Item
from recoup.services.pipeline.collect.domain.reading import Refusal

_EVENT_FIELDS: Final = Event.__struct_fields__
_CONTEXT_FIELDS: Final = Context.__struct_fields__
_ITEM_TYPE: Final[pa.StructType] = RAW.field("items").type.value_type
_ITEM_FIELDS: Final = tuple(_ITEM_TYPE)
_TEXT: Final = pa.string()


class Arrived(NamedTuple):
    """Good events of one request, with the partition of each."""

    store_id: str
    events: Sequence[Event]
    partitions: np.ndarray
    received_at: datetime
    skew_seconds: int
    """A client's clock that `sent_at` shows to be wrong by more than this is corrected."""


class Rows(NamedTuple):
    """Rows of RAW sorted by partition, the partitions there are, and where the rows of each one lie."""

    table: pa.Table
    partitions: Sequence[int]
    parts: Sequence[tuple[int, int]]


def rows_of(arrived: Sequence[Arrived]) -> Rows:
    """The events of one store's requests, in their order within a partition.

    Sorted before they become columns: moving references is cheaper than copying columns. Columns in which no event
    says anything are left out.
    """
    partitions = np.concatenate([request.partitions for request in arrived])
    order = np.argsort(partitions, kind="stable")
    events = list(chain.from_iterable([request.events for request in arrived]))
    counts = [len(request.events) for request in arrived]
    received = np.repeat([milliseconds(request.received_at) for request in arrived], counts)
    times = _corrected(arrived, [event.sent_at for event in events])
    found, starts, lengths = np.unique(partitions[order], return_index=True, return_counts=True)
    places: list[int] = order.tolist()
    table = _table(
        [events[place] for place in places],
        arrived[0].store_id,
        received[order],
        None if times is None else [times[place] for place in places],
    )
    return Rows(table, found.tolist(), list(zip(starts.tolist(), lengths.tolist(), strict=True)))


def _table(
    events: Sequence[Event], store_id: str, received: np.ndarray, occurred: Sequence[datetime] | None
) -> pa.Table:
    """Rows of RAW; `occurred` stands for the events' own times where one had to be corrected."""
    values: dict[str, Sequence[object]] = dict(zip(_EVENT_FIELDS, zip(*map(astuple, events), strict=True), strict=True))
    values |= _contexts(cast("Sequence[Context]", values.pop("context")))
    if occurred is not None:
        values["occurred_at"] = occurred
    columns = {
        "event_id": _ids(cast("Sequence[UUID]", values.pop("event_id"))),
        "items": _items(cast("Sequence[list[Item]]", values.pop("items"))),
        "properties": _texts(cast("Sequence[Raw]", values.pop("properties"))),
        "store_id": pa.repeat(pa.scalar(store_id), len(events)),
        "received_at": pa.array(received, RAW.field("received_at").type),
    }
    said = {name: _array(column, RAW.field(name).type) for name, column in values.items() if name not in columns}
    found = {name: column for name, column in (columns | said).items() if column is not None}
    return pa.table({name: found[name] for name in RAW.names if name in found})


def _array(values: Sequence[object], kind: pa.DataType) -> pa.Array | None:
    """A column, None where nothing is said."""
    missing = values.count(None)
    if missing == len(values):
        return None
    if missing or kind != _TEXT:
        return pa.array(values, kind)
    return _joined(cast("Sequence[str]", values))


def _joined(texts: Sequence[str]) -> pa.Array:
    """Texts as one run of bytes and where each begins: half the cost of letting Arrow look at every one."""
    whole = "".join(texts)
    if not whole.isascii():
        return pa.array(texts, _TEXT)
    starts = np.zeros(len(texts) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, texts), np.int32, len(texts)), out=starts[1:])
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(starts), pa.py_buffer(whole.encode()))


def _ids(ids: Sequence[UUID]) -> pa.Array:
    """UUIDs as 16 bytes each; thirty times faster than letting Arrow look at every one."""
    joined = b"".join([event_id.int.to_bytes(16, "big") for event_id in ids])
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(ids), [None, pa.py_buffer(joined)])


def _texts(values: Sequence[Raw]) -> pa.Array | None:
    if not any(map(len, values)):
        return None
    return pa.array([bytes(value) or None for value in values], _TEXT)


def _items(lists: Sequence[list[Item]]) -> pa.Array:
    offsets = np.zeros(len(lists) + 1, dtype=np.int32)
    np.cumsum([len(items) for items in lists], out=offsets[1:])
    rows = [astuple(item) for item in chain.from_iterable(lists)]
    if not rows:
        inner = pa.array([], _ITEM_TYPE)
    else:
        columns = dict(zip(Item.__struct_fields__, zip(*rows, strict=True), strict=True))
        filled = [(field, _array(columns[field.name], field.type)) for field in _ITEM_FIELDS]
        inner = pa.StructArray.from_arrays(
            [pa.nulls(len(rows), field.type) if array is None else array for field, array in filled],
            fields=_ITEM_FIELDS,
        )
    return pa.ListArray.from_arrays(pa.array(offsets), inner)


def _contexts(contexts: Sequence[Context]) -> dict[str, Sequence[object]]:
    """The contexts' fields by name; empty where no event says anything."""
    if all(context is NO_CONTEXT for context in contexts):
        return {}
    return dict(zip(_CONTEXT_FIELDS, zip(*map(astuple, contexts), strict=True), strict=True))


def _corrected(arrived: Sequence[Arrived], sent: Sequence[datetime | None]) -> list[datetime] | None:
    """Times moved by how far the client's clock was off when it sent, as the Segment spec does; None if none has to be.

    `sent` is by event, over all requests.
    """
    if sent.count(None) == len(sent):
        return None
    times: list[datetime] = []
    for request in arrived:
        for event in request.events:
            off = request.received_at - event.sent_at if event.sent_at is not None else timedelta()
            wrong = abs(off.total_seconds()) > request.skew_seconds
            times.append(event.occurred_at + off if wrong else event.occurred_at)
    return times


def partitions_of(events: Sequence[Event], store_id: str, partitions: int) -> np.ndarray:
    """Each event's partition: that of its store and cart, or visitor while there is no cart."""
    start = crc32(f"{store_id}/".encode())
    keys = [event.cart_id or event.anonymous_id or event.user_id or event.session_id or "" for event in events]
    return np.fromiter((crc32(key.encode(), start) % partitions for key in keys), dtype=np.int64, count=len(events))


def dead_table(refusals: Sequence[Refusal], store_id: str, received_at: datetime) -> pa.Table:
    """Refusals as rows of DEAD."""
    return pa.Table.from_pylist(
        [
            {
                "event_id": refusal.event_id,
                "store_id": store_id,
                "stage": "collect",
                "kind": refusal.problem.code,
                "field": refusal.problem.field,
                "reason": refusal.problem.detail,
                "attempts": 1,
                "body": refusal.body.decode("utf-8", "replace"),
                "received_at": received_at,
                "dead_at": received_at,
            }
            for refusal in refusals
        ],
        schema=DEAD,
    )
