"""A full memory, a full disk and a warehouse that stands still are answered with "later", and cost no event.

The real platform over HTTP. What was answered 202 is counted; everything else got 429 or 503 with a problem document
and `Retry-After`, and is sent again once there is room: in the end each event is in the warehouse exactly once.
"""

import asyncio
import os
import resource
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import aiohttp
import msgspec
import psutil
import pytest
from bench.lib.house import House, house
from tests.conftest import running as running_engine
from tests.faults.ledger import Shop, counted, ready, wait_until_counted

from recoup.kit.embedded import Valkey
from recoup.kit.valkey import connect, settled

pytestmark = pytest.mark.fault
BACKLOG_RECORDS = 150
MOST_BATCHES = 3_000


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A path that a socket's name fits into."""
    with tempfile.TemporaryDirectory(prefix="rc-", dir="/tmp") as folder:
        yield Path(folder)


async def offer(shop: Shop, events: Sequence[dict[str, object]]) -> int:
    """One try; the status, with all that must come with a refusal."""
    headers = {"X-Api-Key": shop.house.keys.secret_key, "Content-Type": "application/json"}
    async with shop.session.post("/api/events/batch", data=msgspec.json.encode(events), headers=headers) as answer:
        if answer.status == 202:
            shop.acknowledged |= {str(event["event_id"]) for event in events}
            return answer.status
        assert answer.status in {429, 503}, await answer.text()
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert (await answer.json(content_type=None))["detail"]
        return answer.status


async def offer_until_refused(shop: Shop) -> tuple[int, list[dict[str, object]]]:
    """The first refusal, and what was refused."""
    for _ in range(MOST_BATCHES):
        events = shop.batch()
        status = await offer(shop, events)
        if status != 202:
            return status, events
    raise AssertionError("there is always room")


async def insist(shop: Shop, events: Sequence[dict[str, object]]) -> None:
    async with asyncio.timeout(60):
        while await offer(shop, events) != 202:
            await asyncio.sleep(0.2)


async def stop_the_warehouse(running: House, sent: set[str]) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session:
        shop = Shop(running, session, acknowledged=sent)
        await shop.use_event_clock()
        loader = await ready(running.folder, "intelligence")
        os.kill(loader, signal.SIGSTOP)
        try:
            status, refused = await offer_until_refused(shop)
            assert status == 429
            assert sent
        finally:
            os.kill(loader, signal.SIGCONT)
        await insist(shop, refused)
        await wait_until_counted(running, len(sent))


def test_events_are_refused_once_too_many_wait_for_the_warehouse_and_all_of_them_arrive(tmp_path: Path) -> None:
    sent: set[str] = set()
    with house(keep=tmp_path, RECOUP_PIPELINE__MAX_BACKLOG_RECORDS=str(BACKLOG_RECORDS)) as running:
        asyncio.run(stop_the_warehouse(running, sent))
    assert asyncio.run(counted(tmp_path, _PROCESSED)) == dict.fromkeys(sent, 1)


async def fill_the_memory(shop: Shop, url: str) -> None:
    valkey = connect(url)
    try:
        used = int((await settled(valkey.info("memory")))["used_memory"])
        await settled(valkey.config_set("maxmemory", used + 500_000))
        try:
            status, refused = await offer_until_refused(shop)
            assert status == 503
        finally:
            await settled(valkey.config_set("maxmemory", 0))
    finally:
        await valkey.aclose()
    await insist(shop, refused)


async def fill_the_disk(shop: Shop, engine: Valkey, pid: int) -> list[dict[str, object]]:
    """The append-only file may grow no further: with `appendfsync always` the server stops rather than lie."""
    size = max(file.stat().st_size for file in (engine.data / "appendonlydir").iterdir())
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 100_000, resource.RLIM_INFINITY))
    status, refused = await offer_until_refused(shop)
    assert status == 503
    return refused


def test_full_memory_and_a_full_disk_are_answered_later_and_lose_nothing(tmp_path: Path, short_folder: Path) -> None:
    engine = Valkey(short_folder / "valkey", settings={"maxmemory-policy": "noeviction"})
    asyncio.run(engine.prepare())
    sent: set[str] = set()
    with running_engine(engine) as server, house(keep=tmp_path, RECOUP_VALKEY_URL=engine.url) as running:
        asyncio.run(_filled(running, engine, server.pid, sent))
    assert asyncio.run(counted(tmp_path, _PROCESSED)) == dict.fromkeys(sent, 1)


async def _filled(running: House, engine: Valkey, pid: int, sent: set[str]) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session:
        shop = Shop(running, session, acknowledged=sent)
        await shop.use_event_clock()
        await fill_the_memory(shop, engine.url)
        refused = await fill_the_disk(shop, engine, pid)
        async with asyncio.timeout(60):
            while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                await asyncio.sleep(0.05)
        restarted = running_engine(engine)
        await asyncio.to_thread(restarted.__enter__)
        try:
            await insist(shop, refused)
            await wait_until_counted(running, len(sent))
        finally:
            await asyncio.to_thread(restarted.__exit__, None, None, None)


_PROCESSED = """
select toString(event_id) as value, count() as times from events_processed
where type not in ('clock', 'cart_abandoned', 'cart_recovered', 'cart_expired') group by event_id
"""
