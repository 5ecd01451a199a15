"""From events to columns, and from columns to partitions. Works on whole requests: a few calls a column, none a row.

Measured on one core: `astuple` and one `zip` turn 500 events into columns in 0.15 µs an event, where reading each
attribute takes 0.4 to 0.6.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Final
from uuid import UUID
from zlib import crc32

import numpy as np
import pyarrow as pa
from msgspec import Raw
from msgspec.structs import astuple

from recoup.messages.events import DEAD, NO_CONTEXT, RAW, Context, Event, Item
from recoup.services.pipeline.collect.domain.reading import Refusal

_EVENT_FIELDS: Final = Event.__struct_fields__
_CONTEXT_FIELDS: Final = Context.__struct_fields__
_ITEM_TYPE: Final[pa.StructType] = RAW.field("items").type.value_type
_ITEM_FIELDS: Final = tuple(_ITEM_TYPE)


def table_of(events: Sequence[Event], store_id: str, received_at: datetime, skew_seconds: int) -> pa.Table:
    """Events as rows of RAW; a clock that `sent_at` shows to be wrong by more than `skew_seconds` is corrected."""
    values = dict(zip(_EVENT_FIELDS, zip(*map(astuple, events), strict=True), strict=True))
    count = len(events)
    values["occurred_at"] = _corrected(values["occurred_at"], values["sent_at"], received_at, skew_seconds)
    contexts = _contexts(values.pop("context"))
    columns: list[pa.Array] = []
    for field in RAW:
        match field.name:
            case "event_id":
                columns.append(_ids(values["event_id"]))
            case "items":
                columns.append(_items(values["items"]))
            case "properties":
                columns.append(_texts(values["properties"]))
            case "store_id":
                columns.append(pa.repeat(pa.scalar(store_id), count))
            case "received_at":
                columns.append(pa.repeat(pa.scalar(received_at, field.type), count))
            case name if name in values:
                columns.append(_array(values[name], field.type))
            case name:
                columns.append(_array(contexts[name], field.type) if contexts else pa.nulls(count, field.type))
    return pa.Table.from_arrays(columns, schema=RAW)


def _array(values: Sequence[object], kind: pa.DataType) -> pa.Array:
    if values.count(None) == len(values):
        return pa.nulls(len(values), kind)
    return pa.array(values, kind)


def _ids(ids: Sequence[UUID]) -> pa.Array:
    """UUIDs as 16 bytes each; thirty times faster than letting Arrow look at every one."""
    joined = b"".join([event_id.bytes for event_id in ids])
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(ids), [None, pa.py_buffer(joined)])


def _texts(values: Sequence[Raw]) -> pa.Array:
    texts = [bytes(value) or None for value in values]
    return _array(texts, pa.string())


def _items(lists: Sequence[list[Item]]) -> pa.Array:
    offsets = np.zeros(len(lists) + 1, dtype=np.int32)
    np.cumsum([len(items) for items in lists], out=offsets[1:])
    rows = [astuple(item) for item in chain.from_iterable(lists)]
    if not rows:
        inner = pa.array([], _ITEM_TYPE)
    else:
        columns = dict(zip(Item.__struct_fields__, zip(*rows, strict=True), strict=True))
        inner = pa.StructArray.from_arrays(
            [_array(columns[field.name], field.type) for field in _ITEM_FIELDS], fields=_ITEM_FIELDS
        )
    return pa.ListArray.from_arrays(pa.array(offsets), inner)


def _contexts(contexts: Sequence[Context]) -> dict[str, Sequence[object]]:
    """The contexts' fields by name; empty where no event says anything."""
    if all(context is NO_CONTEXT for context in contexts):
        return {}
    return dict(zip(_CONTEXT_FIELDS, zip(*map(astuple, contexts), strict=True), strict=True))


def _corrected(
    occurred: tuple[datetime, ...], sent: Sequence[datetime | None], received_at: datetime, skew_seconds: int
) -> tuple[datetime, ...]:
    """Moves times by how far the client's clock was off when it sent (as the Segment spec does)."""
    if sent.count(None) == len(sent):
        return occurred
    return tuple(
        at + (received_at - left)
        if left is not None and abs((received_at - left).total_seconds()) > skew_seconds
        else at
        for at, left in zip(occurred, sent, strict=True)
    )


def partitions_of(events: Sequence[Event], store_id: str, partitions: int) -> np.ndarray:
    """Each event's partition: that of its store and cart, or visitor while there is no cart."""
    start = crc32(f"{store_id}/".encode())
    keys = [event.cart_id or event.anonymous_id or event.user_id or event.session_id or "" for event in events]
    return np.fromiter((crc32(key.encode(), start) % partitions for key in keys), dtype=np.int64, count=len(events))


def split(table: pa.Table, partitions: np.ndarray) -> list[tuple[int, pa.Table]]:
    """The rows of each partition, in their order; one copy for all, then slices."""
    order = np.argsort(partitions, kind="stable")
    sorted_rows = table.take(pa.array(order)) if len(order) > 1 else table
    found, starts, counts = np.unique(partitions[order], return_index=True, return_counts=True)
    return [
        (int(partition), sorted_rows.slice(int(start), int(count)))
        for partition, start, count in zip(found, starts, counts, strict=True)
    ]


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
