"""Every process and engine is killed without warning under load; an outside ledger says what must be there.

Those on the path one after another, a second processor with what it had just been given, and the rest all at once.
"""

import asyncio
from pathlib import Path

import pytest
from bench.lib.house import house
from tests.faults.ledger import BATCH, Books, books, killing, lose_a_second_processor, put_under_load

ON_THE_PATH = ("pipeline", "processor", "intelligence", "valkey", "interventions", "ai")
BLOWS = (
    *map(killing, ON_THE_PATH),
    lose_a_second_processor,
    killing("platform", "monitoring", "scheduler", "postgres"),
)


@pytest.mark.fault
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_missing_or_doubled_and_each_abandoned_cart_is_decided_once(tmp_path: Path) -> None:
    with house(keep=tmp_path) as running:
        shop = asyncio.run(put_under_load(running, BLOWS))

    assert len(shop.acknowledged) > 5 * BATCH
    assert asyncio.run(books(tmp_path)) == Books(
        processed=dict.fromkeys(shop.acknowledged, 1),
        abandoned=dict.fromkeys(shop.left, 1),
        decided=dict.fromkeys(shop.left, 1),
    )
