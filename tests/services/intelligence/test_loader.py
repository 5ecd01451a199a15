"""What is on the topics is in the tables, once, whatever dies in between."""

from msgspec import Struct
from tests.services.intelligence.builders import event, raw_record, record
from tests.services.intelligence.conftest import Engines

from recoup.messages.topics import EVENTS_ENRICHED, EVENTS_RAW
from recoup.services.intelligence.warehouse.handlers import GROUP, TARGETS, Loader


class Count(Struct):
    n: int


async def count(loader: Loader, table: str, where: str = "1") -> int:
    rows = await loader.store.warehouse.rows(Count, f"select count() as n from {table} where {where}")
    return rows[0].n


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


async def test_events_of_every_partition_are_loaded(engines: Engines, loader: Loader):
    await engines.log.append(EVENTS_ENRICHED.name, [record(p, [event(10 * p), event(10 * p + 1)]) for p in range(8)])
    await engines.log.append(EVENTS_RAW.name, [raw_record(p, [event(p)]) for p in range(8)])

    await load(loader)

    assert (await count(loader, "events_processed"), await count(loader, "events_raw")) == (16, 8)
