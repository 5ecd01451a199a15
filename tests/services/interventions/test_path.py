"""From a prediction to a delivered message and an order credited, on the real parts."""

import asyncio
from datetime import timedelta

import msgspec
from tests.services.interventions.world import NOON, SHOP, World, identified, opened, order, row, scored

from recoup.messages.events import Item
from recoup.messages.facts import Outcome
from recoup.services.interventions.settings import Settings


async def test_a_scored_cart_is_decided_delivered_and_its_order_credited(world: World):
    await world.happen(identified(), row("cart_abandoned", cart_id="cart-1", cart_number=1, user_id="ann"))
    await world.score(scored())
    assert await world.deliver() == 1

    decided, delivered = await world.told()
    assert (decided.kind, decided.outcome, decided.channel, decided.person_id) == (
        "decided",
        Outcome.CONTACT,
        "email",
        "ann",
    )
    assert [answer.rule for answer in decided.rules] == [
        "cart_open", "threshold", "reachable", "timing", "store_rules", "permission", "frequency", "holdout",
    ]  # fmt: skip
    assert (delivered.kind, delivered.channel) == ("delivered", "email")
    (letter,) = await world.parts.outbox.letters(SHOP, None, 10)
    assert letter.to == "ann@example.com"
    assert "Green tea" in letter.text
    assert "$49.99" in letter.html

    await world.happen(order(at=NOON + timedelta(hours=2)))
    (conversion,) = await world.credited()
    assert (conversion.order_id, conversion.attributed, conversion.channel) == ("order-1", True, "email")


async def test_text_that_cannot_be_kept_harms_nobody_else(world: World):
    await world.happen(
        identified("bad\0one", name="\0"),
        identified(),
        row("cart_abandoned", cart_id="cart\0", cart_number=1, user_id="bad\0one"),
        row("product_added", cart_id="cart\0", cart_number=1, cart_change="returned", user_id="bad\0one"),
        order("order\0", user_id="bad\0one"),
    )
    cart = msgspec.structs.replace(scored().cart, cart_id="cart\0", items=[Item("p", 1, 5, name="a\0b")])
    await world.score(scored("cart\0", user_id="bad\0one", cart=cart), scored("fine"))
    assert {event.cart_id for event in await world.told()} == {"cart\ufffd", "fine"}
    assert await world.deliver() == 1


async def test_a_prediction_that_overtakes_its_events_is_decided_once_they_are_known(
    world: World, database: str, valkey_url: str
):
    async with opened(database, valkey_url, own=Settings(patience_seconds=60)) as deciding:
        early = asyncio.create_task(deciding.score(scored()))
        await world.happen(identified(), row("cart_abandoned", cart_id="cart-1", cart_number=1, user_id="ann"))
        await early

    (decided,) = await world.told()
    assert (decided.outcome, decided.channel) == (Outcome.CONTACT, "email")


async def test_a_prediction_whose_events_stay_away_is_decided_with_what_is_known(world: World):
    await world.score(scored())

    (decided,) = await world.told()
    assert decided.outcome is Outcome.SKIPPED
    assert "no e-mail address is known" in next(rule.detail for rule in decided.rules if rule.rule == "reachable")
