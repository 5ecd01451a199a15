"""Processes are killed without warning under load, one after another; an outside ledger says what must be there."""

import asyncio
from pathlib import Path

import pytest
from bench.lib.house import house
from tests.faults.ledger import BATCH, Books, books, killing, put_under_load

VICTIMS = ("pipeline", "processor", "intelligence", "valkey", "interventions", "ai")


@pytest.mark.fault
@pytest.mark.timeout(280)
def test_nothing_acknowledged_is_missing_or_doubled_and_each_abandoned_cart_is_decided_once(tmp_path: Path) -> None:
    with house(keep=tmp_path) as running:
        shop = asyncio.run(put_under_load(running, [killing(name) for name in VICTIMS]))

    assert len(shop.acknowledged) > 5 * BATCH
    assert asyncio.run(books(tmp_path)) == Books(
        processed=dict.fromkeys(shop.acknowledged, 1),
        abandoned=dict.fromkeys(shop.left, 1),
        decided=dict.fromkeys(shop.left, 1),
    )
