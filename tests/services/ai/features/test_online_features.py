"""Online values are what an honest reading of the raw events gives as of the decision, however they arrive."""

import random
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from recoup.kit.clock import milliseconds
from recoup.messages.keys import CART_FEATURES
from recoup.services.ai.features.actions import Features
from recoup.services.ai.features.domain.definitions import NAMES
from recoup.services.ai.features.store import Store

PAGES = {"page_viewed", "product_viewed", "product_list_viewed"}
EDITS = {"product_added", "product_removed", "cart_updated"}
DEPTH = {"cart_viewed": 1, "checkout_started": 2, "checkout_step_completed": 3, "payment_info_entered": 4}
DERIVED = {"cart_abandoned", "cart_recovered", "cart_expired"}


@pytest.fixture
def features(valkey) -> Features:
    return Features(Store(valkey))


def recomputed(events: list[dict[str, Any]], abandoned: dict[str, Any]) -> dict[str, float | None]:
    """What the definitions say, worked out slowly from every event before the abandonment, one after another."""
    mine: list[dict[str, Any]] = []
    for event in events:
        if event is abandoned:
            break
        if event["store_id"] != abandoned["store_id"]:
            continue
        if event["cart_id"] == abandoned["cart_id"]:
            mine = [] if event.get("cart_change") == "converted" else [*mine, event]
    acts = [event for event in mine if event["type"] not in DERIVED]
    gaps, newest = [], acts[0]["occurred_at"]
    for act in acts:
        latest = max(newest, act["occurred_at"])
        gaps.append((latest - newest).total_seconds())
        newest = latest
    person = abandoned.get("user_id") or abandoned["anonymous_id"]
    orders = sorted(
        (event["occurred_at"], event["amount"], bool(event.get("coupon")))
        for event in events
        if event["type"] == "order_completed"
        and event["store_id"] == abandoned["store_id"]
        and person in (event.get("user_id"), event["anonymous_id"])
        and event["occurred_at"] <= abandoned["occurred_at"]
        and events.index(event) < events.index(abandoned)
    )
    count = lambda kinds: sum(act["type"] in kinds for act in acts)  # noqa: E731
    average = sum(order[1] for order in orders) / len(orders) if orders else None
    return {
        "seconds_since_activity": (abandoned["occurred_at"] - newest).total_seconds(),
        "seconds_since_abandonment": 0,
        "cart_value": abandoned["cart_value"],
        "item_count": abandoned["item_count"],
        "pages": count(PAGES),
        "products_seen": count({"product_viewed"}),
        "cart_edits": count(EDITS),
        "removals": count({"product_removed"}),
        "checkout_depth": max((DEPTH.get(act["type"], 0) for act in acts), default=0),
        "coupon_attempts": count({"coupon_entered"}),
        "exit_intents": count({"exit_intent"}),
        "dwell_seconds": sum(gap for gap in gaps if gap <= 600),
        "returns_to_cart": sum(gap > 600 for gap in gaps),
        "orders_before": len(orders),
        "average_order_value": average,
        "price_sensitivity": sum(order[2] for order in orders) / len(orders) if orders else None,
        "days_since_last_order": (
            (milliseconds(abandoned["occurred_at"]) - milliseconds(orders[-1][0])) / 86_400_000 if orders else None
        ),
        "customer_segment": 2 if len(orders) >= 5 else min(1, len(orders)),
    }


def history(build: SimpleNamespace, seed: int) -> list[dict[str, Any]]:
    """Some hundred events of a dozen carts and people, in order of the log, with late ones, orders, abandonments."""
    chance, events, minute = random.Random(seed), [], 0.0
    kinds = [*sorted(PAGES), *sorted(EDITS), *DEPTH, "coupon_entered", "exit_intent"]
    for number in range(400):
        minute += chance.expovariate(1) * chance.choice((0.2, 1, 30))
        cart = chance.randrange(12)
        who = {
            "cart_id": f"c{cart}",
            "anonymous_id": f"a{cart % 5}",
            "session_id": f"v{cart}",
            "store_id": f"s{1 + cart % 2}",
        }
        if cart % 3 == 0:
            who["user_id"] = f"u{cart % 5}"
        state = {"cart_number": 1 + number // 100, "cart_value": 1000 + number, "item_count": 1 + number % 3}
        kind = chance.choices(["event", "order_completed", "cart_abandoned"], (90, 5, 8))[0]
        late = chance.choice((0, 0, 0, -2, -40))
        if kind == "event":
            events.append(build.row(chance.choice(kinds), minute + late, **who, **state))
        elif kind == "order_completed":
            coupon = {"coupon": "SAVE"} if chance.random() < 0.5 else {}
            closing = {"amount": 500 + number, "order_id": f"o{number}", "cart_change": "converted"}
            events.append(build.row(kind, minute, **who, **closing, **coupon))
        elif any(
            event["cart_id"] == who["cart_id"] and event["type"] not in DERIVED for event in since_order(events, who)
        ):
            events.append(build.row(kind, minute, **who, **state))
    return events


def since_order(events: list[dict[str, Any]], who: dict[str, str]) -> list[dict[str, Any]]:
    mine = [event for event in events if event["cart_id"] == who["cart_id"] and event["store_id"] == who["store_id"]]
    closed = [place for place, event in enumerate(mine) if event.get("cart_change") == "converted"]
    return mine[closed[-1] + 1 :] if closed else mine


@pytest.mark.parametrize(("rows_a_batch", "seed"), [(1, 0), (17, 1), (17, 2), (150, 3), (400, 4), (400, 5)])
async def test_values_at_an_abandonment_are_those_recomputed_from_the_raw_events(features, build, seed, rows_a_batch):
    events = history(build, seed)
    seen = []
    for start in range(0, len(events), rows_a_batch):
        records = [
            build.record([event], offset + 1) for offset, event in list(enumerate(events))[start : start + rows_a_batch]
        ]
        advanced = await features.advance(build.batch(*records))
        seen += advanced.abandoned
        await features.save(advanced)
    expected = [event for event in events if event["type"] == "cart_abandoned"]
    assert len(seen) == len(expected) > 10
    for got, event in zip(seen, expected, strict=True):
        wanted = recomputed(events, event)
        assert {name: pytest.approx(got.features[name]) for name in wanted} == wanted
        assert tuple(got.features) == NAMES


async def test_a_batch_that_comes_again_counts_nothing_twice_and_predicts_nothing_again(features, build, valkey):
    rows = [
        build.row("product_viewed", 0),
        build.row("product_added", 1, cart_number=1),
        build.row("cart_abandoned", 31),
    ]
    first = await features.advance(build.batch(build.record(rows, 5)))
    await features.save(first)
    before = await valkey.get(CART_FEATURES.key(store_id="s1", cart_id="c1"))

    again = await features.advance(build.batch(build.record(rows, 5), build.record([build.row("exit_intent", 32)], 6)))
    await features.save(again)

    assert len(first.abandoned) == 1
    assert not again.abandoned
    assert before != await valkey.get(CART_FEATURES.key(store_id="s1", cart_id="c1"))
    looked = await features.look("s1", "c1", build.noon + timedelta(hours=1))
    assert (looked.features["pages"], looked.features["exit_intents"]) == (1, 1)


async def test_what_is_not_known_is_missing_and_not_zero(features, build):
    rows = [build.row("cart_abandoned", 30, anonymous_id=None, session_id=None)]
    (found,) = (await features.advance(build.batch(build.record(rows, 1)))).abandoned
    unknown = {"customer_segment", "orders_before", "average_order_value", "device", "traffic_source", "cart_value"}
    assert {name for name in unknown if found.features[name] is None} == unknown
    assert found.features["seconds_since_activity"] is None


async def test_nothing_younger_than_the_decision_is_seen(features, build):
    later = [
        build.row("order_completed", 90, cart_id="c2", amount=5000, order_id="o1"),
        build.row("page_viewed", 90, cart_id=None),
    ]
    await features.save(await features.advance(build.batch(build.record(later, 1, partition=3))))
    rows = [build.row("product_added", 0, cart_number=1), build.row("cart_abandoned", 30)]
    (found,) = (await features.advance(build.batch(build.record(rows, 1, partition=4)))).abandoned
    assert (found.features["orders_before"], found.features["pages"]) == (0, 0)


async def test_what_a_session_did_before_it_had_a_cart_counts_too(features, build):
    before = [build.row("page_viewed", minute, cart_id=None, device_class="mobile") for minute in (0, 1, 2)]
    rows = [build.row("product_added", 3, cart_number=1), build.row("cart_abandoned", 33)]
    advanced = await features.advance(build.batch(build.record(before, 1, 2), build.record(rows, 1, 6)))
    (found,) = advanced.abandoned
    assert (found.features["pages"], found.features["device"], found.features["dwell_seconds"]) == (3, 1, 120)


async def test_stores_and_carts_do_not_mix(features, build):
    rows = [
        build.row("page_viewed", 0, store_id="s2"),
        build.row("page_viewed", 0, cart_id="c2"),
        build.row("page_viewed", 1),
    ]
    await features.save(await features.advance(build.batch(build.record(rows, 1))))
    looked = await features.look("s1", "c1", datetime.fromtimestamp(0, build.noon.tzinfo))
    assert looked.features["pages"] == 1
