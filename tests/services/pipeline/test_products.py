"""Facts of products: learned from what the shop itself says, filled in where a line lacks them, and bounded."""

import asyncio
from datetime import timedelta
from typing import Any, cast

from tests.services.pipeline.builders import NOON, SHOP, Pipeline, added, event, pipeline
from tests.services.pipeline.registry import Registry

from recoup.kit.clock import milliseconds
from recoup.kit.valkey import connect
from recoup.messages.keys import PRODUCT_FACTS
from recoup.services.pipeline.collect.domain.origin import PAGE, Origin
from recoup.services.pipeline.collect.domain.origin import SHOP as SHOP_ITSELF
from recoup.services.pipeline.settings import Settings

PATIENT = Settings(product_wait_seconds=10)
MONTH = milliseconds(NOON) // (30 * 86_400_000)
KEY = PRODUCT_FACTS.key(store_id=SHOP, month=MONTH)


def line(product: str = "mug", **facts: str) -> dict[str, object]:
    return {"product_id": product, "quantity": 1, "price": 500, **facts}


def viewed(*lines: dict[str, object], **fields: object) -> dict[str, object]:
    return event(type="product_viewed", items=list(lines), **fields)


async def facts(running: Pipeline, *lines: dict[str, object]) -> list[tuple[object, object, object]]:
    """What lines become that a page sends."""
    await running.send(viewed(*lines), origin=PAGE)
    (row,) = await running.enriched(1)
    found = cast("list[dict[str, object]]", row["items"])
    return [(each["name"], each["category"], each["brand"]) for each in found]


async def told(running: Pipeline, *lines: dict[str, object]) -> dict[str, object]:
    await running.send(viewed(*lines), origin=SHOP_ITSELF)
    (row,) = await running.enriched(1)
    return row


async def test_what_the_shop_said_of_a_product_fills_in_what_a_page_leaves_out(valkey_url: str) -> None:
    async with pipeline(valkey_url, settings=PATIENT) as running:
        await told(running, line(name="Mug", category="kitchen", brand="Ajax"), line("pen", name="Pen"))
        filled = await facts(running, line(), line("pen", brand="Page's own"), line("unknown"), line(name="My mug"))
        row = await told(running, line(name="Big mug"))
        await told(running, line("cup", name="Cup"), line("cup", category="kitchen"))
        later = await facts(running, line(), line("cup"))

    assert filled == [
        ("Mug", "kitchen", "Ajax"), ("Pen", None, "Page's own"), (None, None, None), ("My mug", "kitchen", "Ajax")
    ]  # fmt: skip
    assert cast("list[Any]", row["items"])[0] == {
        "product_id": "mug", "quantity": 1, "price": 500, "variant_id": None,
        "name": "Big mug", "category": "kitchen", "brand": "Ajax",
    }  # fmt: skip
    # It was written a moment ago, and two programs of a shop that call it differently must not take turns.
    assert later == [("Mug", "kitchen", "Ajax"), ("Cup", "kitchen", None)]


async def test_what_a_page_says_is_nobody_elses_name_for_a_product(valkey_url: str) -> None:
    async with pipeline(valkey_url, settings=PATIENT) as running:
        assert await facts(running, line(name="Free mug", category="gifts")) == [("Free mug", "gifts", None)]
        assert await facts(running, line()) == [(None, None, None)]
        # The shop vouches for this user; that does not make a user the shop.
        await running.send(viewed(line(name="My mug")), origin=Origin(proven=True))
        await running.enriched(1)
        assert await facts(running, line()) == [(None, None, None)]


async def test_an_event_that_is_refused_teaches_nothing(valkey_url: str) -> None:
    registry = Registry()
    registry.register("product_viewed", {"required": ["shelf"]})
    async with pipeline(valkey_url, settings=PATIENT, registry=registry) as running:
        await registry.announce(running.collector.stores, SHOP)
        await running.send(viewed(line(name="Wrong")), origin=SHOP_ITSELF)
        await running.send(viewed(line(), properties={"shelf": 1}), origin=PAGE)
        (row,) = await running.enriched(1)

    assert cast("list[dict[str, object]]", row["items"])[0]["name"] is None


async def test_carts_and_their_events_know_what_is_in_them(valkey_url: str) -> None:
    async with pipeline(valkey_url, settings=PATIENT) as running:
        await told(running, line(name="Mug", category="kitchen"))
        await running.send(added(), origin=PAGE)
        await running.enriched(1)
        running.clock.advance(timedelta(minutes=31))
        abandoned = await running.enriched(1)

    assert [row["type"] for row in abandoned] == ["cart_abandoned"]
    assert [(one["name"], one["category"]) for one in cast("list[Any]", abandoned[0]["items"])] == [("Mug", "kitchen")]


async def test_the_next_processor_knows_it_too_and_facts_end_after_two_months_of_silence(valkey_url: str) -> None:
    valkey = connect(valkey_url)
    async with pipeline(valkey_url, settings=PATIENT) as running:
        await told(running, line(name="Mug"))
        lifetime = await valkey.ttl(KEY)
    async with pipeline(valkey_url, settings=PATIENT, keep=True) as second:
        assert await facts(second, line()) == [("Mug", None, None)]
        # What stands in the older month only is written again when it is told again.
        await valkey.rename(KEY, PRODUCT_FACTS.key(store_id=SHOP, month=MONTH - 1))
    async with pipeline(valkey_url, settings=PATIENT, keep=True) as third:
        assert await facts(third, line()) == [("Mug", None, None)]
        assert not await valkey.exists(KEY)
        await told(third, line(name="Mug"))
        assert await valkey.hkeys(KEY) == [b"mug"]
    await valkey.aclose()

    assert 60 * 86_400 < lifetime <= 61 * 86_400


async def test_what_is_known_already_is_not_written_again(valkey_url: str) -> None:
    valkey = connect(valkey_url)
    async with pipeline(valkey_url, settings=PATIENT) as running:
        await told(running, line(name="Mug"))
        await valkey.delete(KEY)
        await told(running, line(name="Mug"))
        assert not await valkey.exists(KEY)
        running.clock.advance(timedelta(minutes=2))
        await told(running, line(name="Bigger mug"))
        assert await valkey.hkeys(KEY) == [b"mug"]
    await valkey.aclose()


async def test_what_could_not_be_asked_in_time_is_said_and_comes_with_a_later_batch(valkey_url: str) -> None:
    async with pipeline(valkey_url, settings=PATIENT) as running:
        await told(running, line(name="Mug"))
    async with pipeline(valkey_url, keep=True, settings=Settings(product_wait_seconds=0)) as hurried:
        await hurried.send(viewed(line()), origin=PAGE)
        (first,) = await hurried.enriched(1)
        async with asyncio.timeout(60):
            while (await facts(hurried, line()))[0][0] is None:
                pass

    assert first["enrichment_missing"] == "product_facts"
