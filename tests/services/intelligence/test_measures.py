"""Each figure on tables small enough to count by hand."""

from datetime import timedelta

import pytest
from tests.services.intelligence.builders import NOON, SHOP, event, record
from tests.services.intelligence.conftest import Engines
from tests.services.intelligence.test_loader import load

from recoup.kit.runner import Publisher
from recoup.messages.facts import Action, InterventionEvent, Outcome
from recoup.messages.topics import EVENTS_ENRICHED, INTERVENTION_EVENTS
from recoup.services.intelligence.analytics.domain import FOR_EVER, Amount, Period, incremental
from recoup.services.intelligence.analytics.store import Store
from recoup.services.intelligence.warehouse.handlers import Loader


@pytest.fixture
async def store(engines: Engines, loader: Loader) -> Store:
    rows = [
        event(1, type="product_viewed", session_id="a"),
        event(2, type="product_added", session_id="a", cart_id="a", cart_number=1, cart_change="opened"),
        event(3, type="order_completed", session_id="a", cart_id="a", order_id="o1", amount=500, currency="USD",
              cart_number=1, cart_change="converted", traffic_source="email"),
        event(4, type="order_completed", session_id="a", order_id="o1", amount=700, currency="USD"),
        event(5, type="product_added", session_id="b", cart_id="b", cart_number=1, cart_change="opened", user_id="bo"),
        event(6, type="cart_abandoned", cart_id="b", cart_number=1),
        event(7, type="order_completed", cart_id="b", order_id="o2", currency="USD", cart_number=1,
              cart_change="recovered", user_id="bo",
              items=[{"product_id": "p", "quantity": 2, "price": 150}, {"product_id": "q", "quantity": 1, "price": 1}]),
        event(8, type="cart_recovered", cart_id="b", cart_number=1),
        event(9, type="order_completed", order_id="o3", amount=90, currency="EUR"),
        event(10, type="clock"),
        event(11, type="order_completed", order_id="o9", amount=12345, currency="USD", store_id="another"),
    ]  # fmt: skip
    await engines.log.append(EVENTS_ENRICHED.name, [record(0, rows)])
    await load(loader)
    return Store(loader.store.warehouse)


async def test_every_measure_counts_what_it_says(store: Store):
    figures = await store.figures(SHOP, FOR_EVER, "USD")

    assert figures == {
        "events": 7, "carts": 2, "converted": 1, "abandoned": 1, "recovered": 1, "orders": 2, "revenue": 1001,
        "recovered_revenue": 301, "contacted": 0, "held_out": 0, "delivered": 0, "attributed_revenue": 0,
    }  # fmt: skip
    assert await store.other_currencies(SHOP, FOR_EVER, "USD") == [Amount(90, "EUR")]


async def test_a_period_ends_before_its_last_moment(store: Store):
    at = round(NOON.timestamp() * 1000)
    figures = await store.figures(SHOP, Period(at + 2000, at + 3000), "USD")
    assert (figures["events"], figures["orders"]) == (1, 0)


async def test_a_step_of_the_funnel_counts_sessions(store: Store):
    whole, day = await store.funnel(SHOP, FOR_EVER, "UTC")
    assert (whole.viewed, whole.added, whole.checkout, whole.ordered) == (1, 2, 0, 2)
    assert day.day == "2026-03-02"


async def test_revenue_adds_up_by_day_and_by_channel(store: Store):
    days = await store.revenue_by_day(SHOP, FOR_EVER, "USD", "UTC")
    channels = await store.revenue_by_channel(SHOP, FOR_EVER, "USD")
    assert [(day.day, day.orders, day.amount) for day in days] == [("2026-03-02", 2, 1001)]
    assert [(channel.channel, channel.amount) for channel in channels] == [("email", 700), ("unknown", 301)]


def decided(person: str, cart: str, outcome: Outcome, second: int, propensity: float) -> InterventionEvent:
    return InterventionEvent(
        id=f"{person}-{cart}-decided", store_id=SHOP, occurred_at=NOON + timedelta(seconds=second), kind="decided",
        intervention_id=f"{person}-{cart}", cart_id=cart, cart_number=1, person_id=person, outcome=outcome,
        propensity=propensity, action=Action.REMINDER,
    )  # fmt: skip


async def test_orders_after_the_first_decision_belong_to_the_person_and_their_carts(
    engines: Engines, store: Store, loader: Loader
):
    await Publisher(engines.log)(
        INTERVENTION_EVENTS,
        [
            decided("bo", "b", Outcome.CONTACT, 6, 0.9),
            decided("bo", "b", Outcome.CONTACT, 6, 0.9),
            decided("cy", "a", Outcome.HELD_OUT, 2, 0.1),
            decided("di", "d", Outcome.HELD_OUT, 2, 0.1),
            decided("ed", "e", Outcome.SKIPPED, 2, 1.0),
        ],
    )
    await load(loader)

    groups = await store.spenders(SHOP, FOR_EVER, "USD", timedelta(days=7))
    figures = await store.figures(SHOP, FOR_EVER, "USD")

    assert [(g.outcome, g.revenue, g.people) for g in groups] == [
        ("contact", 301, 1),
        ("held_out", 0, 1),
        ("held_out", 700, 1),
    ]
    assert sum(g.chance for g in groups) == pytest.approx(2.7)
    assert incremental(groups, "USD").amount == 301 - 350
    assert (figures["contacted"], figures["held_out"]) == (1, 2)
