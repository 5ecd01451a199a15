"""The whole platform on a Kafka broker: the recorded shop's figures, then everything is killed under load.

Meanwhile there is poison on the topics, a burst of ten times the load, and a warehouse that stands still for longer
than its reader's session lasts. Then Valkey loses everything under load, and at last the house is told to stop while
its broker is dead.
"""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from bench.lib.house import House, house
from tests.faults.ledger import (
    AWAY_SECONDS,
    BATCH,
    PARKED,
    SWOLLEN_BATCHES,
    SWOLLEN_CLIENTS,
    Blow,
    Books,
    Shop,
    books,
    empty,
    killing,
    lose_a_second_processor,
    parked,
    poison,
    put_under_load,
    stalling,
)
from tests.kafka.broker import Broker, kafka_classpath

from recoup.kit.embedded import Valkey
from recoup.kit.log.kafka import KafkaLog
from recoup.kit.supervisor import read_statuses

RECORDING = "data/clickstream_rees46_multicategory/2019-Oct-01_first17k.csv"
PATH = ("pipeline", "processor", "intelligence")
BESIDE = ("platform", "ai", "interventions", "monitoring", "scheduler", "postgres")

pytestmark = [
    pytest.mark.fault,
    pytest.mark.kafka,
    pytest.mark.timeout(800 + AWAY_SECONDS),
    pytest.mark.skipif("RECOUP_SHARED" not in os.environ, reason="the recorded shop is not here (RECOUP_SHARED)"),
]


@dataclass(frozen=True)
class Played:
    """What came of one house's life."""

    overview: dict[str, object]
    shop: Shop
    afterwards: Shop
    """Who was sending when Valkey lost everything."""
    parked: int
    """How many records its readers could make nothing of."""
    books: Books
    exits: dict[str, int | None]
    """How each part ended when it was told to, without a broker."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("house")
    broker = Broker(tmp_path_factory.mktemp("kafka") / "1", kafka_classpath())
    broker.format()
    broker.start()

    try:
        with house(keep=folder, RECOUP_LOG_URL=f"kafka://{broker.address}") as running:
            _replay(running)
            overview = running.get("/api/analytics/overview")
            shop = asyncio.run(put_under_load(running, _blows(broker)))
            set_aside = asyncio.run(parked(running))
            afterwards = asyncio.run(put_under_load(running, [_empty], after=shop))
            broker.kill()
    finally:
        broker.kill()
    exits = {status.name: status.last_exit for status in read_statuses(folder)}
    return Played(overview, shop, afterwards, set_aside, asyncio.run(books(folder)), exits)


def _blows(broker: Broker) -> list[Blow]:
    async def kill_broker(_: Shop) -> None:
        broker.kill()
        await asyncio.to_thread(broker.start)

    async def poison_it(shop: Shop) -> None:
        log = KafkaLog(broker.address, 8, Valkey(shop.house.folder / "valkey").url)
        await poison(log, shop)
        await log.close()

    return [
        *map(killing, PATH),
        kill_broker,
        lose_a_second_processor,
        killing(*BESIDE),
        stalling("intelligence", AWAY_SECONDS),
        # Set aside twice where its reader is killed in between, as it may be: so after the others.
        poison_it,
        Shop.swell,
    ]


async def _empty(shop: Shop) -> None:
    await empty(shop.house)


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


def test_nothing_acknowledged_is_missing_or_doubled_whatever_was_killed_stood_still_or_swelled(played: Played) -> None:
    assert len(played.shop.acknowledged) > (5 + SWOLLEN_CLIENTS * SWOLLEN_BATCHES) * BATCH
    assert played.books.processed == dict.fromkeys(played.shop.acknowledged | played.afterwards.acknowledged, 1)


def test_poison_is_set_aside_by_every_reader_and_its_neighbours_are_unharmed(played: Played) -> None:
    assert played.parked == PARKED


def test_carts_left_before_valkey_lost_everything_are_noticed_and_decided_all_the_same_and_once(played: Played) -> None:
    assert len(played.afterwards.acknowledged) > 2 * BATCH
    once = dict.fromkeys(played.shop.left | played.afterwards.left, 1)

    assert (played.books.abandoned, played.books.decided) == (once, once)


def test_each_part_ends_by_itself_in_time_although_the_broker_is_dead(played: Played) -> None:
    assert played.exits
    assert set(played.exits.values()) == {0}
