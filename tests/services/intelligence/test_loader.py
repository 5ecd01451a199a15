"""What is on the topics is in the tables, once, whatever dies in between."""

import asyncio
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from msgspec import Struct
from tests.services.intelligence.builders import NOON, event, raw_record, record, rows_of
from tests.services.intelligence.conftest import Engines

from recoup.kit.log import arrow
from recoup.kit.log.port import Outgoing
from recoup.kit.warehouse import Warehouse
from recoup.messages.topics import EVENTS_ENRICHED, EVENTS_RAW, INTERVENTION_EVENTS
from recoup.services.intelligence.warehouse.domain import Part, intent_of, processed
from recoup.services.intelligence.warehouse.handlers import GROUP, TARGETS, Loader
from recoup.services.intelligence.warehouse.store import Store

MONTH = timedelta(days=31)


class Count(Struct):
    n: int


async def count(store: Store, table: str, what: str = "count()") -> int:
    rows = await store.warehouse.rows(Count, f"select {what} as n from {table}")
    return rows[0].n


@asynccontextmanager
async def reopened(loader: Loader) -> AsyncGenerator[Loader]:
    """The same loader after its warehouse was closed."""
    warehouse = Warehouse(loader.store.warehouse.url)
    yield replace(loader, store=replace(loader.store, warehouse=warehouse))
    await warehouse.close()


async def waiting(loader: Loader) -> int:
    """Records that are not committed."""
    lags = [await loader.log.lag(GROUP, topic) for topic in TARGETS]
    return sum(lag.waiting for found in lags for lag in found)


async def load(loader: Loader) -> None:
    """Turns until nothing waits."""
    await loader.log.register(GROUP, list(TARGETS))
    reader = loader.log.reader(GROUP, loader.member, list(TARGETS))
    try:
        await loader._remember()
        while await waiting(loader):
            await loader.turn(reader)
    finally:
        await reader.close()


def over_three_months(partition: int, first: int, events: int) -> Outgoing:
    rows = [event(first + n, occurred_at=NOON + n % 3 * MONTH) for n in range(events)]
    return record(partition, rows)


async def test_events_of_every_partition_are_loaded(engines: Engines, loader: Loader):
    await engines.log.append(EVENTS_ENRICHED.name, [record(p, [event(10 * p), event(10 * p + 1)]) for p in range(8)])
    await engines.log.append(EVENTS_RAW.name, [raw_record(p, [event(p)]) for p in range(8)])

    await load(loader)

    assert (await count(loader.store, "events_processed"), await count(loader.store, "events_raw")) == (16, 8)
    assert await engines.valkey.hlen("load_intents") == 0


async def test_what_enrichment_found_is_there_and_what_it_did_not_find_is_null(engines: Engines, loader: Loader):
    found = {
        "is_holiday": False,
        "in_business_hours": True,
        "user_orders": 0,
        "user_average_order": 5,
        "user_last_seen": NOON,
        "session_pages": 2,
        "session_seconds": 60,
    }
    told = {
        "traffic_medium": "paid", "user_last_category": "kitchen", "session_source": "partner",
        "session_medium": "other", "session_entry_page": "/sale", "risk_signals": "crawler,time_off",
        "pipeline_version": "1.2.3", "enrichment_missing": "holidays",
    }  # fmt: skip
    await engines.log.append(EVENTS_ENRICHED.name, [record(0, [event(1, **found, **told), event(2)])])

    await load(loader)

    for column in found:
        assert await count(loader.store, "events_processed", f"count({column})") == 1, column
    for column, text in told.items():
        assert await count(loader.store, "events_processed", f"countIf({column} = '{text}')") == 1, column


@pytest.mark.fault
@pytest.mark.parametrize("point", ["before the inserts", "between two tables", "before the commit"])
async def test_a_loader_killed_within_a_turn_loses_and_doubles_nothing(
    point: str, engines: Engines, loader: Loader, valkey_url: str, tmp_path: Path
):
    await engines.log.append(EVENTS_ENRICHED.name, [over_three_months(p, 100 * p, 7) for p in range(8)])
    await engines.log.append(EVENTS_RAW.name, [raw_record(p, [event(p)]) for p in range(8)])
    await loader.store.warehouse.close()
    driver = [
        sys.executable,
        str(Path(__file__).parent / "dying_loader.py"),
        valkey_url,
        loader.store.warehouse.url,
        point,
    ]
    died = await asyncio.to_thread(subprocess.run, driver, capture_output=True, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert await waiting(loader) == 16
    # More arrives before the next one starts: its first batch would have other boundaries.
    await engines.log.append(EVENTS_ENRICHED.name, [over_three_months(p, 100 * p + 50, 5) for p in range(8)])

    async with reopened(loader) as revived:
        await load(revived)

        assert await count(revived.store, "events_processed") == 8 * 12
        assert await count(revived.store, "events_processed", "uniqExact(event_id)") == 8 * 12
        assert await count(revived.store, "events_raw") == 8


async def test_replaying_the_same_turn_adds_nothing(engines: Engines, loader: Loader):
    await engines.log.append(EVENTS_ENRICHED.name, [over_three_months(p, 100 * p, 7) for p in range(8)])
    reader = loader.log.reader(GROUP, "one", list(TARGETS))
    await loader._gather(reader)
    parts, rows = list(loader._waiting), processed(loader._waiting)
    token = intent_of(parts).token("events_processed")

    for _ in range(2):
        await loader.store.insert("events_processed", rows, token)
        await loader.store.insert_missing("events_processed", rows, "another token")
    await loader.store.warehouse.execute("alter table events_processed drop partition 202604")
    added = await loader.store.insert_missing("events_processed", rows, token)

    assert await count(loader.store, "events_processed") == 56
    assert added == 16
    await reader.close()


async def test_rows_whose_token_outlived_them_are_added_again(loader: Loader, tmp_path: Path):
    """The engine notes a token before the part is visible; killed in between, it would refuse the rows for ever."""
    part = Part(EVENTS_ENRICHED.name, 3, 77, rows_of(event(n) for n in range(4)))
    rows, token = processed([part]), intent_of([part]).token("events_processed")
    await loader.store.insert("events_processed", rows, token)
    await loader.store.warehouse.close()
    for folder in (tmp_path / "warehouse").glob("store/*/*/202603_*"):
        shutil.rmtree(folder)
    async with reopened(loader) as revived:
        await revived.store.insert("events_processed", rows, token)
        believed = await count(revived.store, "events_processed")
        await revived.store.insert_missing("events_processed", rows, token)
        assert (believed, await count(revived.store, "events_processed")) == (0, 4)


async def test_unreadable_records_are_set_aside_and_hold_nobody_up(engines: Engines, loader: Loader):
    await engines.log.append(EVENTS_ENRICHED.name, [Outgoing(0, b"not arrow"), record(0, [event(1)])])
    await engines.log.append(INTERVENTION_EVENTS.name, [Outgoing(0, b'{"half": ')])

    await load(loader)

    assert await count(loader.store, "events_processed") == 1
    assert await engines.log.size("consumer-parked") == 2


async def test_records_from_before_a_column_existed_still_load(engines: Engines, loader: Loader):
    old = rows_of([event(1), event(2)]).drop_columns(["session_id"])
    await engines.log.append(
        EVENTS_ENRICHED.name,
        [Outgoing(0, arrow.encode(old)), record(0, [event(9, items=[{"product_id": "p", "quantity": 2}])])],
    )

    await load(loader)

    assert await count(loader.store, "events_processed") == 3
    assert await count(loader.store, "events_processed", "sum(arraySum(items.quantity))") == 2


async def test_what_was_inserted_before_valkey_forgot_it_is_not_inserted_again(engines: Engines, loader: Loader):
    records = [record(0, [event(number)]) for number in range(3)]
    await engines.log.append(EVENTS_ENRICHED.name, records)
    reader = engines.log.reader("look", "look", [EVENTS_ENRICHED.name])
    found = await reader.read(wait_seconds=1.0, limit=10)
    await reader.close()
    # Two of them went in under a token of their own, and the server that knew is gone.
    parts = [
        Part(one.topic, one.partition, one.offset, pa.Table.from_batches(arrow.decode([one.value])))
        for one in found[:2]
    ]
    await loader.store.insert("events_processed", processed(parts), "another")

    await load(loader)

    assert await count(loader.store, "events_processed") == 3
