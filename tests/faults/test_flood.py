"""A visitor floods while others shop, and the process that hands his events back is killed meanwhile.

What the others did is dealt with before the flood is; in the end each acknowledged event is there exactly once,
and the shop is told who it was.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import aiohttp
import msgspec
import pytest
from bench.lib.house import House, house
from tests.faults.ledger import Shop, counted, kill, wait_until_counted

from recoup.services.pipeline.collect.store import EventStats
from recoup.services.pipeline.stream.api import GroupLag

pytestmark = pytest.mark.fault
LIMIT = 300
# The lane is emptied so slowly that it holds events when its reader is killed.
EVENTS_PER_SECOND = 200
FLOOD, NEIGHBOURS = 4_000, 100


def viewed(visitor: str) -> dict[str, object]:
    return {
        "event_id": str(uuid4()),
        "type": "page_viewed",
        "occurred_at": datetime.now(UTC).isoformat(),
        "anonymous_id": visitor,
    }


async def flood(running: House) -> Shop:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session:
        shop = Shop(running, session)
        await shop.configure(flood_events_per_minute=LIMIT)
        for number in range(NEIGHBOURS):
            bot = [viewed("bot") for _ in range(FLOOD // NEIGHBOURS)]
            await shop.send([*bot, viewed(f"neighbour-{number}")])
        while (lag := waiting(running))["cart-events-raw"]:
            await asyncio.sleep(0.1)
        assert lag["cart-events-overflow"], "the neighbours have been dealt with, and the flood still waits"
        await kill(running, "processor")
        await wait_until_counted(running, FLOOD + NEIGHBOURS)
        return shop


def waiting(running: House) -> dict[str, int]:
    """How many records of each topic wait for the one who works on them."""
    lags = msgspec.convert(running.get("/api/pipeline/status")["lag"], list[GroupLag])
    return {lag.topic: lag.waiting for lag in lags if lag.group in {"pipeline", "overflow"}}


def test_a_flood_slows_nobody_else_and_arrives_whole_and_once_through_a_kill(tmp_path: Path) -> None:
    settings = {"RECOUP_PIPELINE__OVERFLOW_EVENTS_PER_SECOND": str(EVENTS_PER_SECOND)}
    with house(keep=tmp_path, **settings) as running:
        shop = asyncio.run(flood(running))
        stats = running.get("/api/events/stats")

    assert [flooding.visitor for flooding in msgspec.convert(stats, EventStats).flooding] == ["bot"]
    assert asyncio.run(counted(tmp_path, _PROCESSED)) == dict.fromkeys(shop.acknowledged, 1)


_PROCESSED = "select toString(event_id) as value, count() as times from events_processed group by event_id"
