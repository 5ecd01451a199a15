"""The service as it runs: its consumers on a real log, its loops, and a second server beside it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from tests.services.interventions.world import NOON, World, identified, opened, order, row, scored, table

from recoup.kit.log.arrow import encode
from recoup.kit.log.port import Outgoing
from recoup.kit.runner import Runner
from recoup.messages.facts import Outcome
from recoup.messages.topics import EVENTS_ENRICHED, PREDICTION_RESULTS
from recoup.services.interventions.settings import Settings
from recoup.services.interventions.wiring import build


@asynccontextmanager
async def running(world: World, member: str) -> AsyncGenerator[None]:
    """All consumers and workers of one process."""
    service = build(world.deps, Settings(gather_seconds=0.01))
    runners = [Runner(world.deps.log, "interventions", member, consumer) for consumer in service.consumes]
    tasks = [asyncio.ensure_future(one.run()) for one in (*runners, *service.workers)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for stop in service.on_stop:
            await stop()


async def published(world: World, rows: Sequence[dict[str, Any]], partition: int = 0) -> None:
    await world.deps.log.append(EVENTS_ENRICHED.name, [Outgoing(partition, encode(table(rows)))])


async def all_read(world: World) -> None:
    """Until what was published has been dealt with."""
    async with asyncio.timeout(60):
        while any([lag.waiting for lag in await world.deps.log.lag("interventions", EVENTS_ENRICHED.name)] or [1]):
            await asyncio.sleep(0.02)


async def until(world: World, kind: str, count: int = 1) -> list[str]:
    async with asyncio.timeout(60):
        while True:
            kinds = [event.kind for event in await world.told()]
            if kinds.count(kind) >= count:
                return kinds
            await asyncio.sleep(0.05)


async def test_events_and_predictions_on_the_log_become_messages_and_conversions(world: World):
    async with running(world, "one"):
        await published(world, [identified(), row("cart_abandoned", cart_id="cart-1", cart_number=1, user_id="ann")])
        await all_read(world)
        await world.deps.publish(PREDICTION_RESULTS, [scored()])
        assert await until(world, "delivered") == ["decided", "delivered"]
        await published(world, [order(at=NOON + timedelta(minutes=5))])
        async with asyncio.timeout(60):
            while not await world.credited():
                await asyncio.sleep(0.05)


async def test_two_servers_decide_and_send_each_cart_once(database: str, valkey_url: str, world: World):
    people = [f"p{number}" for number in range(30)]
    async with opened(database, valkey_url) as other, running(world, "one"), running(other, "two"):
        await published(world, [identified(each) for each in people])
        await all_read(world)
        carts = [scored(f"cart-{each}", user_id=each) for each in people]
        await world.deps.publish(PREDICTION_RESULTS, [*carts, *carts])
        await until(world, "delivered", 30)
        await asyncio.sleep(0.5)
    told = await world.told()
    assert len({event.id for event in told}) == len(told) == 60
    assert {event.outcome for event in told if event.kind == "decided"} == {Outcome.CONTACT}
