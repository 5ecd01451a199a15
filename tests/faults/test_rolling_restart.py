"""Everything but the doors is restarted in turn while a shop sends and never asks twice: collecting goes on."""

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
import pytest
from bench.lib.house import House, house
from tests.faults.ledger import Shop, books, pid_of, wait_until_counted

pytestmark = pytest.mark.fault
RESTARTED = ("processor", "intelligence", "valkey", "ai", "postgres", "interventions", "monitoring", "scheduler")
STOP = {"postgres": signal.SIGINT}
"""As its supervisor does: on SIGTERM the database would wait for its clients to leave."""
PACE_SECONDS = 0.03
PROMISED = 0.9995


@dataclass
class Stream:
    """One request after the other at a steady pace, whatever became of those before; none is sent again."""

    shop: Shop
    answers: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while not self.shop.stop.is_set():
                tasks.create_task(self._offer(self.shop.batch()[:4]))
                await asyncio.sleep(PACE_SECONDS)

    async def _offer(self, events: list[dict[str, object]]) -> None:
        headers = {"X-Api-Key": self.shop.house.keys.secret_key, "Content-Type": "application/json"}
        try:
            async with self.shop.session.post(
                "/api/events/batch", data=msgspec.json.encode(events), headers=headers
            ) as answer:
                said = str(answer.status) if answer.status == 202 else f"{answer.status} {await answer.text()}"
        except aiohttp.ClientError as error:
            said = repr(error)
        self.answers[said] += 1
        if said == "202":
            self.shop.acknowledged |= {str(event["event_id"]) for event in events}


async def restart(running: House, name: str) -> None:
    """Asks a part to end, and waits until the supervisor has a new one ready."""
    async with asyncio.timeout(60):
        while (pid := pid_of(running.folder, name)) is None:
            await asyncio.sleep(0.1)
        os.kill(pid, STOP.get(name, signal.SIGTERM))
        while pid_of(running.folder, name) in {None, pid}:
            await asyncio.sleep(0.1)


async def rolled(running: House) -> Stream:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{running.port}") as session:
        shop = Shop(running, session)
        await shop.use_event_clock()
        stream = Stream(shop)
        load = asyncio.create_task(stream.run())
        for name in RESTARTED:
            await restart(running, name)
        shop.stop.set()
        await load
        await wait_until_counted(running, len(shop.acknowledged))
        return stream


def test_collecting_is_answered_while_everything_else_restarts_in_turn(tmp_path: Path) -> None:
    with house(keep=tmp_path) as running:
        stream = asyncio.run(rolled(running))

    assert stream.answers["202"] >= PROMISED * stream.answers.total(), stream.answers
    assert asyncio.run(books(tmp_path)).processed == dict.fromkeys(stream.shop.acknowledged, 1)
