"""Rows and records as the pipeline writes them; each builder states only what a test is about."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from recoup.kit.ids import derived_id
from recoup.kit.log import arrow
from recoup.kit.log.port import Outgoing
from recoup.messages.events import ENRICHED, RAW

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SHOP = "shop-1"


def event(number: int, **columns) -> dict[str, object]:
    """An enriched event; `number` makes its id, and its second after noon unless it says otherwise."""
    at = columns.get("occurred_at", NOON + timedelta(seconds=number))
    return {
        "event_id": derived_id("test", str(number)).bytes,
        "type": "product_viewed",
        "store_id": SHOP,
        "occurred_at": at,
        "received_at": at,
        "enriched_at": at,
        "schema_version": 1,
        "session_id": "session-1",
        **columns,
    }


def record(partition: int, rows: Iterable[dict[str, object]], schema: pa.Schema = ENRICHED) -> Outgoing:
    """One log record of these rows."""
    known = [{name: row.get(name) for name in schema.names} for row in rows]
    return Outgoing(partition, arrow.encode(pa.Table.from_pylist(known, schema=schema)))


def raw_record(partition: int, rows: Iterable[dict[str, object]]) -> Outgoing:
    return record(partition, rows, RAW)


def rows_of(events: Iterable[dict[str, object]]) -> pa.Table:
    """What a loader reads of a record of these."""
    return pa.Table.from_batches(arrow.decode([record(0, events).value]))
