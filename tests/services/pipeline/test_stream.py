"""The whole pipeline on a real log: what a shop sends, and what comes out enriched."""

import csv
import os
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from tests.services.pipeline.builders import NOON, SHOP, added, event, ordered, pipeline

from recoup.demo.rees46 import to_event
from recoup.kit.errors import TooMany
from recoup.messages.topics import EVENTS_RAW
from recoup.services.pipeline.settings import Settings


def types(rows: Sequence[dict[str, object]]) -> Counter[str]:
    return Counter(str(row["type"]) for row in rows)


async def test_the_same_event_sent_twice_takes_effect_once(valkey_url: str) -> None:
    async with pipeline(valkey_url) as running:
        once = event()
        await running.send(once, event())
        await running.send(once)
        await running.send(event(type="exit_intent"))

        rows = await running.enriched(3)

        assert types(rows) == {"page_viewed": 2, "exit_intent": 1}
        assert (await running.stats.read(SHOP)).duplicates == 1


async def test_an_event_without_what_its_type_is_about_becomes_a_dead_letter(valkey_url: str) -> None:
    async with pipeline(valkey_url) as running:
        await running.send(event(type="product_added", cart_id="c"), event())

        rows = await running.enriched(1)

        assert types(rows) == {"page_viewed": 1}
        assert (await running.stats.read(SHOP)).dead == {"schema_violation": 1}


async def test_on_the_wall_clock_a_cart_left_alone_is_abandoned(valkey_url: str) -> None:
    async with pipeline(valkey_url) as running:
        await running.send(added(price=700), added(product="pen", price=300, at=1))
        await running.enriched(2)
        running.clock.advance(timedelta(minutes=32))

        (row,) = await running.enriched(1)

        assert (row["type"], row["cart_value"], row["item_count"]) == ("cart_abandoned", 1_000, 2)
        assert row["occurred_at"] == NOON + timedelta(minutes=31)


async def test_on_an_event_clock_only_the_shops_own_events_let_time_pass(valkey_url: str) -> None:
    async with pipeline(valkey_url, clock="event") as running:
        await running.send(added(cart="left"), added(cart="bought", at=2))
        await running.send(ordered(cart="bought", at=20))
        running.clock.advance(timedelta(days=1))
        await running.send(
            {"event_id": str(uuid4()), "type": "clock", "occurred_at": (NOON + timedelta(minutes=45)).isoformat()}
        )

        rows = await running.enriched(4)

        assert types(rows) == {"product_added": 2, "order_completed": 1, "cart_abandoned": 1}
        (left,) = [row for row in rows if row["type"] == "cart_abandoned"]
        assert (left["cart_id"], left["occurred_at"]) == ("left", NOON + timedelta(minutes=30))


async def test_a_second_processor_takes_over_carts_and_timers(valkey_url: str) -> None:
    async with pipeline(valkey_url) as first:
        await first.send(added())
        await first.enriched(1)
    # A new process, with nothing in its memory, on the same Valkey.
    async with pipeline(valkey_url, keep=True) as second:
        second.clock.advance(timedelta(minutes=40))

        assert types(await second.enriched(1)) == {"cart_abandoned": 1}


async def test_an_orders_amount_is_summed_from_its_items_where_the_shop_leaves_it_out(valkey_url: str) -> None:
    items = [{"product_id": "mug", "quantity": 2, "price": 450}]
    async with pipeline(valkey_url) as running:
        await running.send(event(type="order_completed", order_id="1", items=items))

        (row,) = await running.enriched(1)

        assert (row["amount"], row["currency"]) == (900, "USD")


async def test_what_says_nothing_of_money_shows_its_cart_in_the_carts_currency(valkey_url: str) -> None:
    async with pipeline(valkey_url) as running:
        await running.send({**added(cart="c", price=700), "currency": "EUR"}, event(type="cart_viewed", cart_id="c"))
        await running.enriched(2)
        await running.send(event(type="exit_intent", cart_id="c"), event(type="page_viewed", amount=5, cart_id="c"))
        await running.send(event(type="coupon_entered", cart_id="another"))

        rows = await running.enriched(3)

    currencies = {row["type"]: (row["currency"], row["cart_value"]) for row in rows}
    assert currencies == {"exit_intent": ("EUR", 700), "page_viewed": ("USD", 700), "coupon_entered": ("USD", 0)}


async def test_a_backlog_pushes_back(valkey_url: str) -> None:
    async with pipeline(valkey_url, settings=Settings(max_backlog_records=-1)) as running:
        await running.collector.watch_backlog()

        with pytest.raises(TooMany, match="wait to be processed"):
            await running.send(event())


async def test_a_warehouse_that_lags_slows_the_shop_down_and_one_that_is_not_there_does_not(valkey_url: str) -> None:
    async with pipeline(valkey_url, settings=Settings(max_backlog_records=2)) as running:
        for _ in range(4):
            await running.send(event())
        await running.enriched(4)
        await running.collector.watch_backlog()
        await running.send(event())

        await running.log.register("intelligence", [EVENTS_RAW.name])
        for _ in range(5):
            await running.collector.watch_backlog()
        with pytest.raises(TooMany, match="wait to be processed"):
            await running.send(event())


@pytest.mark.skipif("RECOUP_SHARED" not in os.environ, reason="the recorded shop is not here (RECOUP_SHARED)")
async def test_a_recorded_morning_gives_the_carts_a_plain_model_gives(valkey_url: str) -> None:
    file = Path(os.environ["RECOUP_SHARED"]) / "data/clickstream_rees46_multicategory/2019-Oct-01_first17k.csv"
    with file.open(newline="") as lines:
        names, *rows = csv.reader(lines)
    events = sorted((to_event(names, row) for row in rows), key=lambda found: found.occurred_at)
    end = events[-1].occurred_at + timedelta(hours=1)
    async with pipeline(valkey_url, clock="event") as running:
        for start in range(0, len(events), 1_000):
            await running.send(*events[start : start + 1_000])
        await running.send(event(type="clock", session_id="clock", occurred_at=end.isoformat()))

        found = await running.enriched(17_430 + 56)

        assert len(found) == 17_430 + 56
        changes = Counter(row["cart_change"] for row in found)
        assert (changes["opened"], changes["converted"], changes["recovered"]) == (126, 70, 0)
        assert (types(found)["cart_abandoned"], types(found)["order_completed"]) == (56, 214)
        assert sum(int(str(row["amount"])) for row in found if row["type"] == "order_completed") == 5_944_263
