"""One house lives through poison, a warehouse that stands still for long, and a Valkey that lost its disk.

What each of them costs is said by an outside ledger: nothing, or exactly what the operator is told.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest
from bench.lib.house import House, house
from tests.faults.ledger import (
    AWAY_SECONDS,
    PARKED,
    Shop,
    books,
    empty,
    parked,
    pid_of,
    poison,
    ready,
    wait_until_counted,
    wait_until_decided,
)

from recoup.kit.clock import stopwatch
from recoup.kit.embedded import Valkey
from recoup.kit.log.valkey_streams import ValkeyLog

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900 + AWAY_SECONDS)]
BACKLOG_RECORDS = 150
OFFERS_WHILE_AWAY = 60
SERVICES = ("platform", "pipeline", "processor", "ai", "interventions", "intelligence", "monitoring", "scheduler")


@dataclass
class Lived:
    """What a house went through, and what it has in the end."""

    parked: int
    """How many records its readers could make nothing of."""
    answers: Counter[int]
    """What a shop was told while the warehouse stood still."""
    before: set[str]
    """Acknowledged and loaded before Valkey lost its disk."""
    unread: set[str]
    """Acknowledged, and still waiting when it did."""
    after: set[str]
    emptied: dict[str, Any]
    """Its status afterwards."""
    restarted: list[str]
    """Services that did not live through all of it."""
    processed: dict[str, int]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    folder = tmp_path_factory.mktemp("house")
    with house(keep=folder, RECOUP_PIPELINE__MAX_BACKLOG_RECORDS=str(BACKLOG_RECORDS)) as running:
        life = asyncio.run(_live(running))
    life.processed = asyncio.run(books(folder)).processed
    return life


async def _live(running: House) -> Lived:
    begun = {name: await ready(running.folder, name) for name in SERVICES}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session:
        shop = Shop(running, session)
        await shop.use_event_clock()
        set_aside = await _poison(running, shop)
        answers = await _without_warehouse(running, shop)
        before = set(shop.acknowledged)
        unread, emptied = await _without_valkey(running, shop)
        after = shop.acknowledged - before - unread
    restarted = [name for name, pid in begun.items() if pid_of(running.folder, name) != pid]
    return Lived(set_aside, answers, before, unread, after, emptied, restarted, {})


async def _poison(running: House, shop: Shop) -> int:
    log = ValkeyLog(Valkey(running.folder / "valkey").url, 8)
    await poison(log, shop)
    await log.close()
    await wait_until_counted(running, len(shop.acknowledged))
    await wait_until_decided(running)
    return await parked(running)


async def _offer(shop: Shop, events: Sequence[dict[str, object]]) -> int:
    headers = {"X-Api-Key": shop.house.keys.secret_key, "Content-Type": "application/json"}
    async with shop.session.post("/api/events/batch", data=msgspec.json.encode(events), headers=headers) as answer:
        if answer.status == 202:
            shop.acknowledged |= {str(event["event_id"]) for event in events}
        return answer.status


async def _without_warehouse(running: House, shop: Shop) -> Counter[int]:
    """Stands still from well before back-pressure begins until long after, and `AWAY_SECONDS` at least."""
    answers: Counter[int] = Counter()
    loader = await ready(running.folder, "intelligence")
    back_at = stopwatch() + AWAY_SECONDS
    os.kill(loader, signal.SIGSTOP)
    try:
        while answers[429] < OFFERS_WHILE_AWAY or stopwatch() < back_at:
            answers[await _offer(shop, shop.batch()[:8])] += 1
            await asyncio.sleep(0.1 if answers[429] else 0)
    finally:
        os.kill(loader, signal.SIGCONT)
    await wait_until_counted(running, len(shop.acknowledged))
    return answers


async def _without_valkey(running: House, shop: Shop) -> tuple[set[str], dict[str, Any]]:
    """It loses its disk while neither processor nor warehouse have read what a shop was told is safe."""
    await wait_until_decided(running)
    before = set(shop.acknowledged)
    readers = [await ready(running.folder, name) for name in ("processor", "intelligence")]
    for pid in readers:
        os.kill(pid, signal.SIGSTOP)
    for _ in range(3):
        await shop.send(shop.batch()[:40])
    unread = shop.acknowledged - before
    # Whoever notes what would be lost looks every second.
    await asyncio.sleep(2.5)
    await empty(running)
    for pid in readers:
        os.kill(pid, signal.SIGCONT)
    counted = len(before)
    for _ in range(5):
        events = shop.batch()
        await shop.send(events)
        counted += len(events)
    await wait_until_counted(running, counted)
    await wait_until_decided(running)
    return unread, await asyncio.to_thread(running.get, "/api/pipeline/status")


def test_poison_is_set_aside_by_every_reader_and_shown_and_its_neighbours_are_unharmed(lived: Lived) -> None:
    assert lived.parked == PARKED


def test_a_warehouse_that_stands_still_costs_waiting_and_no_event(lived: Lived) -> None:
    assert lived.answers.keys() == {202, 429}
    assert {event: lived.processed.get(event) for event in lived.before} == dict.fromkeys(lived.before, 1)


def test_what_an_emptied_valkey_took_with_it_is_said_and_nothing_after_it_is_missing_or_doubled(lived: Lived) -> None:
    loss = lived.emptied["loss"]
    unread = {(one["group"], one["topic"]): one["records"] for one in loss["unread"]}

    assert loss["log_lost"]
    assert unread["pipeline", "cart-events-raw"] > 0
    assert not lived.unread & lived.processed.keys()
    assert {event: lived.processed.get(event) for event in lived.after} == dict.fromkeys(lived.after, 1)


def test_everything_recovers_without_a_restart(lived: Lived) -> None:
    assert lived.restarted == []
