"""The last step: rows and what was derived from them, in order of time, by topic and partition."""

from typing import Final, cast
from uuid import UUID

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recoup import __version__
from recoup.kit.ids import derived_id
from recoup.messages.events import DEAD, ENRICHED, NOT_KEPT, RAW, Context, Event
from recoup.services.pipeline.carts.domain.cart import Derived
from recoup.services.pipeline.carts.domain.table import CartKey
from recoup.services.pipeline.stream.domain.work import Known, Parts, Work, numbers, parts_of

_ITEM_TYPE: Final[pa.DataType] = RAW.field("items").type
_EVENT_FIELDS: Final = tuple(
    name for name in Event.__struct_fields__ if name not in {"event_id", "sent_at", "context", "properties"} | NOT_KEPT
)
_REPLACED: Final = frozenset({"amount", "currency"})


def route(work: Work, known: Known) -> None:
    """Valid rows and derived ones to the enriched topic, the others to the dead letters; partitions stay."""
    work.enriched = _by_partition(_enriched(work, known), *_derived(work, known))
    if work.dead:
        work.dead_letters = _dead(work, known)


def _enriched(work: Work, known: Known) -> tuple[pa.Table, np.ndarray]:
    count = len(work.rows)
    columns = {
        **work.columns,
        "raw_partition": pa.array(work.partitions),
        "raw_offset": pa.array(work.offsets),
        "average_item_price": _average(work),
        "pipeline_version": pa.repeat(pa.scalar(__version__), count),
        "enriched_at": pa.repeat(pa.scalar(known.now, ENRICHED.field("enriched_at").type), count),
    }
    names = set(RAW.names) - _REPLACED
    table = pa.Table.from_arrays(
        [work.rows.column(field.name) if field.name in names else columns[field.name] for field in ENRICHED],
        schema=ENRICHED,
    )
    if work.kept.all():
        return table, work.partitions
    return table.filter(pa.array(work.kept)), work.partitions[work.kept]


def _average(work: Work) -> pa.Array:
    value = work.columns["cart_value"].to_numpy(zero_copy_only=False)
    pieces = work.columns["item_count"].to_numpy(zero_copy_only=False)
    return pa.array(value // np.maximum(pieces, 1), mask=pieces == 0)


def _derived(work: Work, known: Known) -> tuple[pa.Table, np.ndarray]:
    rows = [_row(key, fact, known) for key, fact in work.derived]
    partitions = np.array([key.partition for key, _ in work.derived], dtype=np.int64)
    return pa.Table.from_pylist(rows, schema=ENRICHED), partitions


def _row(key: CartKey, fact: Derived, known: Known) -> dict[str, object]:
    return {
        "event_id": _id(key, fact).bytes,
        "type": fact.type.value,
        "occurred_at": fact.at,
        "schema_version": 1,
        "store_id": key.store_id,
        "cart_id": key.cart_id,
        "user_id": fact.user_id,
        "anonymous_id": fact.anonymous_id,
        "session_id": fact.session_id,
        "items": [dict(zip(_FIELDS, line, strict=True)) for line in fact.lines],
        "amount": fact.value,
        "currency": fact.currency or known.store(key.store_id).currency,
        "received_at": known.now,
        "cart_number": fact.number,
        "cart_value": fact.value,
        "item_count": fact.pieces,
        "average_item_price": fact.value // fact.pieces if fact.pieces else None,
        "pipeline_version": __version__,
        "enriched_at": known.now,
    }


_FIELDS: Final = ("product_id", "quantity", "price", "variant_id", "name", "category", "brand")


def _id(key: CartKey, fact: Derived) -> UUID:
    """The same fact has the same id, however often it is derived."""
    return derived_id(fact.type, key.store_id, key.cart_id, str(fact.number), str(fact.opened_at))


def _by_partition(rows: tuple[pa.Table, np.ndarray], derived: pa.Table, derived_partitions: np.ndarray) -> Parts | None:
    """Each partition's rows in order of time: a reader never sees a later fact before an earlier one."""
    table, partitions = rows
    if len(derived):
        table = pa.concat_tables([table, derived])
        partitions = np.concatenate([partitions, derived_partitions])
    if not len(table):
        return None
    occurred = numbers(table.column("occurred_at"))
    is_clock = pc.equal(table.column("type"), "clock").to_numpy()
    order = np.lexsort((is_clock, occurred, partitions))
    if (order[1:] < order[:-1]).any():
        table, partitions = table.take(pa.array(order)), partitions[order]
    return parts_of(table, partitions)


def _dead(work: Work, known: Known) -> Parts:
    entries = sorted(work.dead)
    table = work.rows.take(pa.array([dead.row for dead in entries], pa.int64()))
    ids = table.column("event_id").to_pylist()
    stores = table.column("store_id").to_pylist()
    received = table.column("received_at").to_pylist()
    vouched = table.column("proven").to_pylist()
    bodies = [_text(row) for row in table.to_pylist()]
    dead = pa.Table.from_pylist(
        [
            {
                "event_id": str(UUID(bytes=event_id)),
                "store_id": store_id,
                "stage": "validate",
                "kind": entry.code or entry.kind,
                "field": entry.field,
                "reason": entry.reason,
                "attempts": 1,
                "body": body,
                "proven": proven,
                "received_at": at,
                "dead_at": known.now,
            }
            for entry, event_id, store_id, at, proven, body in zip(
                entries, ids, stores, received, vouched, bodies, strict=True
            )
        ],
        schema=DEAD,
    )
    # Rows are in the order of their partitions, so these are too.
    return parts_of(dead, work.partitions[[entry.row for entry in entries]])


def _text(row: dict[str, object]) -> str:
    """A row as the JSON of the event it came from, so that it can be mended and sent again.

    Its time needs no more correcting, so nothing is said of when it was sent.
    """
    event = {name: row[name] for name in _EVENT_FIELDS if row[name] is not None}
    event["event_id"] = UUID(bytes=cast("bytes", row["event_id"]))
    context = {name: row[name] for name in Context.__struct_fields__ if row[name] is not None}
    if context:
        event["context"] = context
    if row["properties"] is not None:
        event["properties"] = msgspec.Raw(cast("str", row["properties"]).encode())
    return msgspec.json.encode(event).decode()
