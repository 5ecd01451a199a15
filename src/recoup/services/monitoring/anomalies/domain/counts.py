"""From batches of enriched rows to what the detector and the risk rules look at. Thinks in columns."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recoup.kit.clock import moment
from recoup.kit.money import minor_units
from recoup.messages.events import DERIVED, CartChange, EventType
from recoup.services.monitoring.anomalies.domain.detector import BUCKET

_BUCKET_MS: Final = int(BUCKET.total_seconds() * 1000)
_MINUTE_MS: Final = 60_000
COLUMNS: Final = (
    "store_id", "type", "occurred_at", "cart_id", "cart_number", "cart_change", "cart_value",
    "amount", "currency", "user_id", "anonymous_id", "session_id", "items",
)  # fmt: skip
_NOT_COUNTED: Final = frozenset({*DERIVED, EventType.CLOCK})
_BY_TYPE: Final = {
    EventType.PRODUCT_VIEWED: "products_viewed",
    EventType.PRODUCT_ADDED: "products_added",
    EventType.CHECKOUT_STARTED: "checkouts_started",
    EventType.PAYMENT_FAILED: "payments_failed",
    EventType.ORDER_COMPLETED: "orders",
    EventType.CART_ABANDONED: "carts_abandoned",
}
_BY_CHANGE: Final = {
    CartChange.OPENED: "carts_opened",
    CartChange.CONVERTED: "carts_converted",
    CartChange.RECOVERED: "carts_recovered",
}
JUDGED: Final = frozenset({"events", "revenue", *_BY_TYPE.values(), *_BY_CHANGE.values()})
"""The figures the detector looks at."""

Counts = dict[tuple[str, str, datetime], float]
"""By store, metric and bucket."""


class BigCart(NamedTuple):
    """A cart over the limit, at its largest in this batch."""

    store_id: str
    cart_id: str
    number: int
    value: int
    currency: str
    at: datetime


class Adding(NamedTuple):
    """Pieces a visitor added within one minute of the shopper's clock."""

    store_id: str
    visitor: str
    minute: datetime
    pieces: int


def rows(table: pa.Table, partitions: np.ndarray, fresh: np.ndarray) -> pa.Table:
    """The columns we look at and each row's partition, of the rows that are marked."""
    ours = table.select(COLUMNS).append_column("partition", pa.array(partitions))
    return ours if fresh.all() else ours.filter(pa.array(fresh)).combine_chunks()


def counted(table: pa.Table) -> Counts:
    """The figures of every store and bucket in these rows."""
    found: Counts = {}
    keyed = table.select(["store_id", "type", "cart_change", "amount"]).append_column(
        "bucket", _slot(table.column("occurred_at"), _BUCKET_MS)
    )
    grouped = keyed.group_by(["store_id", "type", "cart_change", "bucket"], use_threads=False).aggregate(
        [("amount", "sum"), ([], "count_all")]
    )
    for row in grouped.to_pylist():
        for metric, value in _figures(row["type"], row["cart_change"], row["count_all"], row["amount_sum"] or 0):
            key = (row["store_id"], metric, moment(row["bucket"]))
            found[key] = found.get(key, 0.0) + value
    return found


def clocks(table: pa.Table) -> dict[tuple[str, int], datetime]:
    """How far stores' own clocks came, by store and partition; for stores on an event clock only."""
    ticks = table.filter(pc.equal(table.column("type"), EventType.CLOCK.value))
    if not ticks.num_rows:
        return {}
    reached = ticks.group_by(["store_id", "partition"], use_threads=False).aggregate([("occurred_at", "max")])
    return {
        (row["store_id"], row["partition"]): cast("datetime", row["occurred_at_max"]) for row in reached.to_pylist()
    }


def big_carts(table: pa.Table, limit: int) -> list[BigCart]:
    """Carts worth more than `limit` units of their currency."""
    # No currency has units smaller than its minor ones, so this keeps every candidate.
    candidates = table.filter(pc.greater(table.column("cart_value"), limit))
    candidates = candidates.filter(pc.is_valid(candidates.column("cart_id")))
    found: list[BigCart] = []
    for currency in candidates.column("currency").unique().to_pylist():
        least = minor_units(str(limit), currency or "USD")
        same = pc.equal(candidates.column("currency"), currency) if currency else pc.is_null(candidates["currency"])
        over = candidates.filter(pc.and_(same, pc.greater(candidates.column("cart_value"), least)))
        grouped = over.group_by(["store_id", "cart_id", "cart_number"], use_threads=False).aggregate(
            [("cart_value", "max"), ("occurred_at", "min")]
        )
        found += [
            BigCart(
                store_id=row["store_id"],
                cart_id=row["cart_id"],
                number=row["cart_number"] or 0,
                value=row["cart_value_max"],
                currency=currency or "USD",
                at=row["occurred_at_min"],
            )
            for row in grouped.to_pylist()
        ]
    return found


def added(table: pa.Table) -> list[Adding]:
    """Pieces added, by visitor and minute."""
    adds = table.filter(pc.equal(table.column("type"), EventType.PRODUCT_ADDED.value)).combine_chunks()
    if not adds.num_rows:
        return []
    items = adds.column("items")
    pieces = pa.table(
        {
            "row": pc.list_parent_indices(items),
            "pieces": pc.struct_field(pc.list_flatten(items), "quantity"),
        }
    )
    visitor = pc.coalesce(*(adds.column(name) for name in ("user_id", "anonymous_id", "session_id", "cart_id")))
    minute = _slot(adds.column("occurred_at"), _MINUTE_MS)
    at = pieces.column("row")
    keyed = pa.table(
        {
            "store_id": adds.column("store_id").take(at),
            "visitor": visitor.take(at),
            "minute": minute.take(at),
            "pieces": pieces.column("pieces"),
        }
    )
    grouped = keyed.group_by(["store_id", "visitor", "minute"], use_threads=False).aggregate([("pieces", "sum")])
    return [
        Adding(row["store_id"], row["visitor"], moment(row["minute"]), row["pieces_sum"] or 0)
        for row in grouped.to_pylist()
        if row["visitor"] is not None
    ]


def spans(counts: Mapping[tuple[str, str, datetime], float]) -> dict[str, tuple[datetime, datetime]]:
    """The oldest and newest bucket of every store."""
    found: dict[str, tuple[datetime, datetime]] = {}
    for store_id, _, bucket in counts:
        low, high = found.get(store_id, (bucket, bucket))
        found[store_id] = min(low, bucket), max(high, bucket)
    return found


def _figures(kind: str, change: str | None, count: int, amount: int) -> Iterable[tuple[str, float]]:
    if kind not in _NOT_COUNTED:
        yield "events", count
    known = cast("Mapping[str, str]", _BY_TYPE).get(kind)
    if known is not None:
        yield known, count
    if kind == EventType.ORDER_COMPLETED:
        yield "revenue", amount
    changed = cast("Mapping[str, str]", _BY_CHANGE).get(change or "")
    if changed is not None:
        yield changed, count


def _slot(times: pa.ChunkedArray, length: int) -> pa.ChunkedArray:
    """The start of the slot each moment falls into, in milliseconds."""
    milliseconds = times.cast(pa.int64())
    return pc.multiply(pc.divide(milliseconds, length), length)
