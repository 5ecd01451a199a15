"""The same laws through the real pipeline: phones whose clocks are wrong, and events sent twice."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.services.pipeline.builders import NOON, SHOP, Pipeline, added, event, pipeline
from tests.services.pipeline.histories import IDLE, IN_ORDER, START
from tests.services.pipeline.plain import DAY, Plain, Told
from tests.services.pipeline.test_cart_laws import line, outcome_of

AT_LAST = timedelta(days=20)


def sent(told: Told, off: timedelta) -> dict[str, object]:
    """What a phone sends whose clock is off by so much."""
    moment = (NOON + timedelta(milliseconds=told.at - START) + off).isoformat()
    named = {"cart_id": told.cart, "anonymous_id": told.visitor, "currency": told.currency}
    return {
        "event_id": str(UUID(int=told.event_id)), "type": told.type, "occurred_at": moment, "sent_at": moment,
        "session_id": "session", "order_id": "1", "items": [line(piece) for piece in told.pieces],
        **{name: value for name, value in named.items() if value is not None},
    }  # fmt: skip


async def tell(
    running: Pipeline, told: Sequence[Told], offs: Sequence[int], shown: Mapping[int, object]
) -> list[dict[str, object]]:
    """All rows until the last event's; time moves on only when an event is out, as no shop's clock leaps hours."""
    rows: list[dict[str, object]] = []
    for number, found in enumerate(told):
        running.clock.advance(NOON + timedelta(milliseconds=found.at - START) - running.clock.now())
        json = sent(found, timedelta(hours=offs[number % len(offs)]))
        await running.send(json, json)
        while found.event_id in shown and UUID(int=found.event_id).bytes not in {row["event_id"] for row in rows}:
            rows += await running.enriched(1)
    running.clock.advance(AT_LAST)
    return rows


async def compare(valkey_url: str, told: Sequence[Told], offs: Sequence[int]) -> None:
    shift = int(NOON.timestamp() * 1000) - START
    plain = Plain(IDLE, 7 * DAY)
    shown, facts = {}, []
    for found in [found._replace(store=SHOP, at=found.at + shift) for found in told]:
        one, then = plain.batch([found], {SHOP: found.at})
        shown |= one
        facts += then
    facts += plain.batch([], {SHOP: told[-1].at + shift + AT_LAST // timedelta(milliseconds=1)})[1] if told else []
    async with pipeline(valkey_url) as running:
        rows = await tell(running, told, offs, shown)
        rows += await running.enriched(len(shown) + len(facts) - len(rows))

        assert outcome_of(rows) == (shown, Counter(facts))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(IN_ORDER, st.lists(st.sampled_from([0, 0, -3, 3, -50]), min_size=1, max_size=5))
def test_events_sent_twice_by_phones_with_wrong_clocks_give_the_carts_of_the_plain_rules(
    valkey_url: str, told: Sequence[Told], offs: Sequence[int]
) -> None:
    asyncio.run(compare(valkey_url, told, offs))


async def test_an_abandoned_cart_is_told_of_the_user_its_visitor_turned_out_to_be(valkey_url: str) -> None:
    async with pipeline(valkey_url) as running:
        await running.send(added(anonymous_id="phone"))
        await running.send(event(type="user_identified", anonymous_id="phone", user_id="ann", at=1))
        await running.enriched(2)
        running.clock.advance(timedelta(minutes=40))

        (row,) = await running.enriched(1)

        assert (row["type"], row["anonymous_id"], row["user_id"]) == ("cart_abandoned", "phone", "ann")


async def test_who_a_visitor_is_survives_the_processor_that_learned_it(valkey_url: str) -> None:
    async with pipeline(valkey_url) as first:
        await first.send(added(anonymous_id="phone"), event(anonymous_id="phone", user_id="ann"))
        await first.enriched(2)
    async with pipeline(valkey_url, keep=True) as second:
        second.clock.advance(timedelta(minutes=40))

        (row,) = await second.enriched(1)

        assert (row["type"], row["user_id"]) == ("cart_abandoned", "ann")


async def test_two_devices_of_one_user_have_two_carts(valkey_url: str) -> None:
    async with pipeline(valkey_url) as running:
        for device in ("phone", "laptop"):
            await running.send(added(cart=f"cart-{device}", anonymous_id=device))
            await running.send(event(type="user_identified", anonymous_id=device, user_id="ann"))
        await running.enriched(4)
        running.clock.advance(timedelta(minutes=40))

        rows = await running.enriched(2)

        assert {(row["cart_id"], row["user_id"]) for row in rows} == {("cart-phone", "ann"), ("cart-laptop", "ann")}
