"""The whole platform on a Kafka broker: the recorded shop's figures, then all that is on the path killed under load.

Then Valkey loses everything under load, and at last the house is told to stop while its broker is dead.
"""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from bench.lib.house import House, house
from tests.faults.ledger import BATCH, Books, Shop, books, empty, killing, put_under_load
from tests.kafka.broker import Broker, kafka_classpath

from recoup.kit.supervisor import read_statuses

RECORDING = "data/clickstream_rees46_multicategory/2019-Oct-01_first17k.csv"
PATH = ("pipeline", "processor", "intelligence")

pytestmark = [
    pytest.mark.fault,
    pytest.mark.kafka,
    pytest.mark.timeout(800),
    pytest.mark.skipif("RECOUP_SHARED" not in os.environ, reason="the recorded shop is not here (RECOUP_SHARED)"),
]


@dataclass(frozen=True)
class Played:
    """What came of one house's life."""

    overview: dict[str, object]
    shop: Shop
    afterwards: Shop
    """Who was sending when Valkey lost everything."""
    books: Books
    exits: dict[str, int | None]
    """How each part ended when it was told to, without a broker."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("house")
    broker = Broker(tmp_path_factory.mktemp("kafka") / "1", kafka_classpath())
    broker.format()
    broker.start()

    async def kill_broker(_: House) -> None:
        broker.kill()
        await asyncio.to_thread(broker.start)

    try:
        with house(keep=folder, RECOUP_LOG_URL=f"kafka://127.0.0.1:{broker.port}") as running:
            _replay(running)
            overview = running.get("/api/analytics/overview")
            shop = asyncio.run(put_under_load(running, [*map(killing, PATH), kill_broker]))
            afterwards = asyncio.run(put_under_load(running, [empty], after=shop))
            broker.kill()
    finally:
        broker.kill()
    exits = {status.name: status.last_exit for status in read_statuses(folder)}
    return Played(overview, shop, afterwards, asyncio.run(books(folder)), exits)


def _replay(running: House) -> None:
    file = Path(os.environ["RECOUP_SHARED"]) / RECORDING
    where = ("--url", f"http://127.0.0.1:{running.port}", "--key", running.keys.secret_key)
    done = subprocess.run(
        (sys.executable, "-m", "recoup", "replay", str(file), "--format", "rees46", *where),
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_recorded_shop_gives_its_exact_figures(played: Played) -> None:
    names = ("events", "carts", "converted", "abandoned", "recovered", "orders")

    assert [played.overview[name] for name in names] == [17_430, 126, 70, 56, 0, 214]
    assert played.overview["revenue"] == {"amount": 5_944_263, "currency": "USD"}


def test_nothing_acknowledged_is_missing_or_doubled_though_broker_and_processes_were_killed(played: Played) -> None:
    assert len(played.shop.acknowledged) > 5 * BATCH
    assert played.books.processed == dict.fromkeys(played.shop.acknowledged | played.afterwards.acknowledged, 1)


def test_carts_left_before_valkey_lost_everything_are_noticed_and_decided_all_the_same_and_once(played: Played) -> None:
    assert len(played.afterwards.acknowledged) > 2 * BATCH
    once = dict.fromkeys(played.shop.left | played.afterwards.left, 1)

    assert (played.books.abandoned, played.books.decided) == (once, once)


def test_each_part_ends_by_itself_in_time_although_the_broker_is_dead(played: Played) -> None:
    assert played.exits
    assert set(played.exits.values()) == {0}
