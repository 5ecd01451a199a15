"""Everything is restarted in turn while a shop sends and never asks twice: collecting goes on.

There are two gateways and two collectors, as there must be where nobody may notice the restart of one. Before a gateway
is restarted no new requests are led to it and those under way may end, as a load balancer does that is told; of all
else nobody is told.

CI looks whether each request is answered, however long that takes there. That it is so with the limits as they are, and
on three Kafka brokers that are restarted too, is for a machine that is not busy otherwise, and takes minutes:
`RECOUP_ROLLS=all .venv/bin/pytest tests/faults/test_rolling_restart.py`.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path

import aiohttp
import msgspec
import psutil
import pytest
from bench.lib.house import House, another, house
from tests.faults.ledger import PATIENCE_SECONDS, Shop, books, pid_of, ready, wait_until_counted
from tests.kafka.broker import Broker, clustered, wait_in_sync

from recoup.processes import PROCESSES

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900)]
# Taken out of the environment: a house inherits that, and takes no setting it does not know.
only_if_asked = pytest.mark.skipif(
    os.environ.pop("RECOUP_ROLLS", "") != "all", reason="not asked for: RECOUP_ROLLS=all"
)
HOWEVER_SLOW = {"RECOUP_PLATFORM__COLLECT_SECONDS": "120", "RECOUP_PIPELINE__LOG_PATIENCE_SECONDS": "60"}
RESTARTED = (
    "pipeline", "processor", "platform", "intelligence", "valkey", "ai", "postgres", "interventions", "monitoring",
    "scheduler",
)  # fmt: skip
DOUBLED = ("platform", "pipeline")
STOP = {"postgres": signal.SIGINT}
"""As its supervisor does: on SIGTERM the database would wait for its clients to leave."""
PACE_SECONDS = 0.03
PROMISED = 0.9995


@dataclass
class Stream:
    """One request after the other at a steady pace, whatever became of those before; none is sent again."""

    shop: Shop
    doors: Sequence[str]
    """The gateways: the one that will be restarted, and the other."""
    closed: str = ""
    under_way: Counter[str] = field(default_factory=Counter)
    """Requests by gateway."""
    answers: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for door in cycle(self.doors):
                if self.shop.stop.is_set():
                    break
                if door != self.closed:
                    self.under_way[door] += 1
                    tasks.create_task(self._offer(door, self.shop.batch(minutes=0)[:4]))
                    await asyncio.sleep(PACE_SECONDS)

    async def close(self, door: str) -> None:
        """Returns when nothing that was led to this gateway is under way."""
        self.closed = door
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.under_way[door]:
                await asyncio.sleep(0.01)

    async def _offer(self, door: str, events: list[dict[str, object]]) -> None:
        headers = {"X-Api-Key": self.shop.house.keys.secret_key, "Content-Type": "application/json"}
        try:
            async with self.shop.session.post(
                f"{door}/api/events/batch", data=msgspec.json.encode(events), headers=headers
            ) as answer:
                said = str(answer.status) if answer.status == 202 else f"{answer.status} {await answer.text()}"
        except aiohttp.ClientError as error:
            said = repr(error)
        self.answers[said] += 1
        self.under_way[door] -= 1
        if said == "202":
            self.shop.acknowledged |= {str(event["event_id"]) for event in events}


async def restart(running: House, name: str) -> None:
    """Asks a part to end, and waits until the supervisor has a new one ready."""
    pid = await ready(running.folder, name)
    os.kill(pid, STOP.get(name, signal.SIGTERM))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while pid_of(running.folder, name) in {None, pid}:
            await asyncio.sleep(0.1)


Step = Callable[[House], Awaitable[None]]
"""Restarts one part, and returns when it is there again."""


def parts() -> dict[str, Step]:
    return {name: partial(restart, name=name) for name in RESTARTED}


async def rolled(running: House, doors: Sequence[str], steps: Mapping[str, Step]) -> Stream:
    # Each request on a connection of its own: a client that keeps one may write to it as it is closed.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(doors[0], connector=connector) as session:
        shop = Shop(running, session)
        await shop.use_event_clock()
        stream = Stream(shop, doors)
        load = asyncio.create_task(stream.run())
        for name, step in steps.items():
            await stream.close(doors[0] if name == "platform" else "")
            await step(running)
        shop.stop.set()
        await load
        await wait_until_counted(running, len(shop.acknowledged))
        return stream


@contextmanager
def doubled(running: House, table: Path) -> Generator[list[str]]:
    """A second gateway and a second collector, once everybody knows; gives where the gateways are."""
    with ExitStack() as stack:
        for name in DOUBLED:
            stack.enter_context(another(running, name, "1"))
        found = {name: _url(processes[0]) for name, processes in running.processes().items() if name != "supervisor"}
        where = {name: [url for name_, url in found.items() if name_.startswith(name)] for name in PROCESSES}
        table.write_bytes(msgspec.json.encode(where))
        asyncio.run(_until_known(where["platform"]))
        yield where["platform"]


def _url(process: psutil.Process) -> str:
    return f"http://127.0.0.1:{process.environ().get('RECOUP_PORT')}"


async def _until_known(doors: Sequence[str]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), aiohttp.ClientSession() as session:
        for door in doors:
            while not await _leads_to_both(session, door):
                await asyncio.sleep(0.1)


async def _leads_to_both(session: aiohttp.ClientSession, door: str) -> bool:
    try:
        async with session.get(f"{door}/metrics") as answer:
            return 'gateway_instances{state="in",to="pipeline"} 2.0' in await answer.text()
    except aiohttp.ClientError:
        return False


def check(folder: Path, steps: Mapping[str, Step], **settings: str) -> None:
    """Restarts everything in a house in this folder: requests were answered, and what they brought is there once."""
    table = folder / "instances.json"
    found = {"RECOUP_DISCOVERY__URL": f"file://{table}", "RECOUP_DISCOVERY__REFRESH_SECONDS": "1"}
    with house(keep=folder, **found, **settings) as running, doubled(running, table) as doors:
        stream = asyncio.run(rolled(running, doors, steps))

    assert stream.answers["202"] >= PROMISED * stream.answers.total(), stream.answers
    assert asyncio.run(books(folder)).processed == dict.fromkeys(stream.shop.acknowledged, 1)


def test_collecting_is_answered_while_everything_restarts_in_turn(tmp_path: Path) -> None:
    check(tmp_path, parts(), **HOWEVER_SLOW)


@only_if_asked
def test_it_is_answered_with_the_limits_as_they_are(tmp_path: Path) -> None:
    check(tmp_path, parts())


@only_if_asked
@pytest.mark.kafka
def test_it_is_answered_with_the_limits_as_they_are_on_three_brokers_that_restart_too(tmp_path: Path) -> None:
    with clustered(tmp_path / "kafka") as brokers:
        servers = ",".join(broker.address for broker in brokers)
        url = f"kafka://{servers}?topics.replication.factor={len(brokers)}"
        steps: dict[str, Step] = {f"broker {broker.node}": partial(again, broker) for broker in brokers}
        check(tmp_path, steps | parts(), RECOUP_LOG_URL=url)


async def again(broker: Broker, _: House) -> None:
    """As for an upgrade: stopped, started, and back among those that have every record."""
    await asyncio.to_thread(broker.stop)
    await asyncio.to_thread(broker.start)
    await asyncio.to_thread(wait_in_sync, broker)
