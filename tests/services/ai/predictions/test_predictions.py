"""Each abandonment is predicted once, with reasons; over HTTP the same model answers, and bad values are named."""

import msgspec
import pytest

from recoup.kit.ids import derived_id
from recoup.messages.facts import Action, CartScored
from recoup.messages.stores import StoreSettings
from recoup.messages.topics import PREDICTION_RESULTS

ITEMS = [{"product_id": "p1", "quantity": 2, "price": 1500}]


def visit(build, **more):
    cart = {
        "cart_number": 1,
        "cart_value": 3000,
        "item_count": 2,
        "average_item_price": 1500,
        "currency": "EUR",
        "user_id": "u1",
    }
    return [
        build.row("product_viewed", 0, **more),
        build.row("product_added", 1, **cart, **more),
        build.row("checkout_started", 3, **cart, **more),
        build.row("cart_abandoned", 33, items=ITEMS, **cart, **more),
    ]


async def published(deps) -> list[CartScored]:
    """Every prediction on the topic."""
    reader = deps.log.reader("a test", "it", [PREDICTION_RESULTS.name])
    records = await reader.read(wait_seconds=0.1, limit=1000)
    await reader.close()
    return [msgspec.json.decode(record.value, type=CartScored) for record in records]


async def enrich(service, batch):
    (consumer,) = [one for one in service.consumes if one.topic.name == "cart-events-enriched"]
    await consumer.on_batch(batch)


async def test_an_abandoned_cart_is_predicted_with_its_snapshot_and_reasons(service, deps, build):
    rows = visit(build)
    await enrich(service, build.batch(build.record(rows, 1)))
    (scored,) = await published(deps)
    assert scored.id == str(
        derived_id("prediction", str(msgspec.convert(rows[-1]["event_id"].hex(), __import__("uuid").UUID)))
    )
    assert (scored.cart.cart_id, scored.cart.value, scored.cart.currency, scored.cart.user_id) == (
        "c1",
        3000,
        "EUR",
        "u1",
    )
    assert scored.cart.items[0].product_id == "p1"
    assert 0.25 < scored.probability < 0.6
    assert 0 < scored.confidence <= 0.2
    assert scored.reasons[0] == "checkout was started, which raises the chance of an order"
    assert scored.model_version == "prior-1"
    assert (scored.expires_at - scored.occurred_at).days == 7


async def test_the_same_batch_again_publishes_nothing_new(service, deps, build):
    batch = build.batch(build.record(visit(build), 1))
    await enrich(service, batch)
    await enrich(service, batch)
    assert len(await published(deps)) == 1


async def test_a_crash_after_publishing_repeats_the_same_fact(service, deps, build, valkey):
    batch = build.batch(build.record(visit(build), 1))
    await enrich(service, batch)
    await valkey.delete("features:s1:c1")  # as if the process had died before it saved what it had published
    await enrich(service, batch)
    first, second = await published(deps)
    assert first == second


async def test_a_store_nobody_knows_holds_up_no_other(service, deps, build):
    await enrich(service, build.batch(build.record([*visit(build, store_id="gone"), *visit(build)], 1)))
    assert [scored.store_id for scored in await published(deps)] == ["s1"]


async def test_the_last_prediction_is_served_and_marked_once_the_cart_has_moved_on(service, client, build):
    await enrich(service, build.batch(build.record(visit(build), 1)))
    first = (await client.get("/predict/c1")).json()
    assert "stale" not in first
    await enrich(service, build.batch(build.record([build.row("cart_viewed", 40)], 2)))
    assert (await client.get("/predict/c1")).json() == first | {"stale": True}
    fresh = (await client.post("/predict", json={"cart_id": "c1"})).json()
    assert fresh["features"]["returns_to_cart"] == 1


async def test_a_cart_of_another_store_is_not_found(service, client, build):
    await enrich(service, build.batch(build.record(visit(build, store_id="s2"), 1)))
    assert (await client.get("/predict/c1")).status_code == 404
    assert (await client.get("/features/c1")).status_code == 404
    assert (await client.get("/features/c1", params={"store_id": "s2"})).status_code == 403


async def test_values_that_cannot_be_right_are_named(client):
    answer = await client.post(
        "/predict", json={"features": {"pages": -1, "colour": 3, "local_hour": 7.5, "is_weekend": 1}}
    )
    assert answer.status_code == 400
    assert {(one["field"], one["code"]) for one in answer.json()["problems"]} == {
        ("features.pages", "feature_out_of_range"),
        ("features.colour", "feature_unknown"),
        ("features.local_hour", "feature_not_whole"),
    }


async def test_many_carts_are_scored_in_one_request_in_their_order(client):
    rows = [{"checkout_depth": 0}, {"checkout_depth": 4}, {}]
    answer = (await client.post("/predict/batch", json={"rows": rows})).json()
    low, high, unknown = answer["probabilities"]
    assert low < high
    assert unknown == 0.35
    wrong = await client.post("/predict/batch", json={"rows": [{}, {"pages": -3}]})
    assert wrong.json()["problems"][0]["index"] == 1


ADDED = [("product_viewed", 0), ("product_added", 0.5)]
VISITS = {
    "put together and left": (ADDED, True),
    "after twenty minutes of looking": ([("product_viewed", 0), ("product_added", 20)], True),
    "added without a look": ([("product_added", 0)], True),
    "looked at once more": ([*ADDED, ("cart_viewed", 1)], True),
    "left at the checkout": ([*ADDED, ("checkout_started", 2)], True),
    "left with a payment that failed": ([*ADDED, ("checkout_started", 2), ("payment_failed", 3)], True),
    "left in a hurry": ([*ADDED, ("exit_intent", 0.6), ("exit_intent", 0.7)], False),
}


@pytest.mark.parametrize(("events", "contacted"), VISITS.values(), ids=VISITS)
async def test_without_any_outcome_yet_an_ordinary_cart_is_worth_a_message_by_default(
    service, deps, build, events, contacted: bool
):
    cart = {"cart_number": 1, "cart_value": 3000, "item_count": 1, "average_item_price": 3000, "user_id": "u1"}
    rows = [build.row(kind, minute, **cart) for kind, minute in [*events, ("cart_abandoned", events[-1][1] + 30)]]
    await enrich(service, build.batch(build.record(rows, 1)))
    (scored,) = await published(deps)
    assert (scored.probability > StoreSettings().threshold) is contacted
    assert scored.action is not Action.NONE


async def test_a_request_names_a_cart_or_values_and_not_both(client):
    for body in ({}, {"cart_id": "c1", "features": {}}):
        assert (await client.post("/predict", json=body)).status_code == 400
    assert (await client.post("/predict", json={"cart_id": "nobody"})).status_code == 404


async def test_definitions_say_what_each_feature_is(client):
    listed = (await client.get("/features/definitions")).json()
    assert {"real-time", "session", "contextual", "behavioural"} == {one["group"] for one in listed["definitions"]}
    assert all(one["meaning"] and one["source"] and len(one["digest"]) == 16 for one in listed["definitions"])
