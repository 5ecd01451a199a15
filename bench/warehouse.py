"""Loading the warehouse: events/s from log records to rows of both event tables on chDB, against row-wise inserts.

The baseline is what a first version would do: the same events as Python tuples through the client's `insert`, into the
same table. Both run on the same machine in the same process, one after the other, and count this process's CPU time.
"""

import asyncio
import resource
import shutil
import tempfile
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import numpy as np
import pyarrow as pa
from clickhouse_connect import get_client

from recoup.kit.clock import SystemClock, stopwatch
from recoup.kit.log import arrow
from recoup.kit.warehouse import Warehouse
from recoup.messages.events import ENRICHED, RAW
from recoup.services.intelligence.warehouse import domain
from recoup.services.intelligence.warehouse.domain import Part, intent_of
from recoup.services.intelligence.warehouse.store import migrate

ROWS = 40_000
RECORD = 2_500
TURNS = 6
BASELINE_ROWS = 4_000


def events(rows: int, seed: int) -> pa.Table:
    """Made-up events with the spread of values a shop has."""
    chance = np.random.default_rng(seed)

    def one_of(values: list[str], count: int = rows) -> pa.Array:
        return pa.array(values).take(pa.array(chance.integers(0, len(values), count)))

    lengths = chance.integers(0, 3, rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype("int32")
    lines = int(offsets[-1])
    line = cast("pa.ListType", ENRICHED.field("items").type).value_type
    columns = {
        "product_id": one_of([f"product-{n}" for n in range(5_000)], lines),
        "name": one_of([f"Product number {n}" for n in range(5_000)], lines),
        "category": one_of([f"category {n}" for n in range(50)], lines),
        "quantity": pa.array(chance.integers(1, 4, lines)),
        "price": pa.array(chance.integers(100, 99_999, lines)),
    }
    structs = pa.StructArray.from_arrays(
        [columns.get(field.name, pa.nulls(lines, field.type)) for field in line], fields=list(line)
    )
    start = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1000) + seed * 60_000
    at = pa.array(start + np.sort(chance.integers(0, 60_000, rows))).cast(pa.timestamp("ms", "UTC"))
    carts = [str(UUID(bytes=chance.bytes(16))) for _ in range(rows // 8)]
    pages = [f"https://shop.example/products/{n}" for n in range(3_000)]
    agents = [f"Mozilla/5.0 (X11; Linux x86_64) Chrome/{n}.0.0.0 Safari/537.36" for n in range(100, 130)]
    given = {
        "event_id": pa.array([chance.bytes(16) for _ in range(rows)], pa.binary(16)),
        "type": one_of(["page_viewed", "product_viewed", "product_added", "cart_viewed", "order_completed"]),
        "occurred_at": at, "received_at": at, "enriched_at": at, "store_id": one_of(["shop"]),
        "schema_version": pa.array(np.ones(rows, "int64")), "cart_id": one_of(carts), "session_id": one_of(carts),
        "user_id": one_of([f"user-{n}" for n in range(2_000)]), "anonymous_id": one_of(carts),
        "items": pa.ListArray.from_arrays(pa.array(offsets), structs), "currency": one_of(["USD"]),
        "amount": pa.array(chance.integers(100, 99_999, rows)), "page_url": one_of(pages), "user_agent": one_of(agents),
        "ip": one_of([f"10.1.{n % 256}.{n // 256}" for n in range(2_000)]), "locale": one_of(["en-US", "de-DE"]),
        "cart_number": pa.array(np.ones(rows, "int64")), "cart_value": pa.array(chance.integers(100, 99_999, rows)),
        "item_count": pa.array(lengths), "local_hour": pa.array(chance.integers(0, 24, rows)),
        "local_weekday": pa.array(chance.integers(1, 8, rows)), "device_class": one_of(["mobile", "desktop"]),
        "traffic_source": one_of(["direct", "search", "email"]), "raw_offset": pa.array(np.arange(rows)),
    }  # fmt: skip
    return pa.table([given.get(f.name, pa.nulls(rows, f.type)) for f in ENRICHED], schema=ENRICHED)


def records(table: pa.Table, topic: str, turn: int) -> list[tuple[str, int, int, bytes]]:
    """The rows as the log holds them."""
    return [
        (topic, n % 8, turn * ROWS + n, arrow.encode(table.slice(n * RECORD, RECORD))) for n in range(ROWS // RECORD)
    ]


async def load(warehouse: Warehouse, turn: list[tuple[str, int, int, bytes]]) -> None:
    """A turn of the loader without the log: decode, join, insert."""
    contents = arrow.decode([value for *_, value in turn])
    parts = [
        Part(topic, partition, offset, pa.Table.from_batches([content]))
        for (topic, partition, offset, _), content in zip(turn, contents, strict=True)
    ]
    intent = intent_of(parts)
    for topic, table, build in (("enriched", "events_processed", domain.processed), ("raw", "events_raw", domain.raw)):
        rows = build([part for part in parts if part.topic == topic])
        await warehouse.insert(table, rows, token=intent.token(table))


async def row_by_row(path: str, table: pa.Table) -> None:
    """The baseline: tuples of Python values."""
    names = [name for name in table.column_names if name not in {"items", "event_id"} and table[name].null_count == 0]
    data = [tuple(row[name] for name in names) for row in table.to_pylist()]
    client = get_client(interface="chdb", path=path)
    await asyncio.to_thread(client.insert, "events_processed", data, column_names=names)
    client.close()


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measured(rows: int, work: Sequence[Awaitable[None]]) -> tuple[float, float]:
    """Rows a second, and microseconds of CPU a row (merges in the background included)."""
    started, used = stopwatch(), cpu()
    for step in work:
        await step
    return rows / (stopwatch() - started), (cpu() - used) / rows * 1e6


async def main() -> None:
    folder = tempfile.mkdtemp(prefix="recoup-bench-")
    warehouse = Warehouse(f"chdb://{folder}/warehouse")
    try:
        await migrate(warehouse, SystemClock())
        tables = [events(ROWS, turn) for turn in range(TURNS)]
        turns = [
            records(table, "enriched", turn) + records(table.select(RAW.names), "raw", turn)
            for turn, table in enumerate(tables)
        ]
        await load(warehouse, turns[0])
        rate, used = await measured(ROWS * (TURNS - 1), [load(warehouse, turn) for turn in turns[1:]])
        few = tables[0].slice(0, BASELINE_ROWS)
        base_rate, base_used = await measured(BASELINE_ROWS, [row_by_row(f"{folder}/warehouse", few)])
        print(f"loader    {rate:>9,.0f} events/s into both tables   {used:6.2f} us of CPU an event")
        print(f"baseline  {base_rate:>9,.0f} events/s into one table     {base_used:6.2f} us of CPU an event")
        print(f"ratio     {rate / base_rate:9.1f}                              {base_used / used:6.1f}")
    finally:
        await warehouse.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
