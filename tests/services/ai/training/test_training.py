"""A store's model is trained on what became of its carts, serves only when it is better, and can be taken back."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit

from recoup.services.ai.models.domain import Prior


def carts(
    build, count: int, *, seed: int = 1, leak: bool = False, truth: float = 1.0, contacted: float = 0.5
) -> pa.Table:
    """Carts whose outcome depends on checkout depth, earlier orders and being contacted, by a law we know."""
    chance = np.random.default_rng(seed)
    depth, orders, pages = chance.integers(0, 5, count), chance.poisson(1, count), chance.poisson(6, count)
    contact = chance.random(count) < contacted
    p = expit(truth * (-2.2 + 0.8 * depth + 0.6 * np.minimum(orders, 3) - 0.1 * pages + 1.0 * contact))
    bought = chance.random(count) < p
    rows = []
    for place in range(count):
        features: dict[str, float | None] = {
            "checkout_depth": float(depth[place]),
            "orders_before": float(orders[place]),
            "pages": float(pages[place]),
        }
        if leak:
            features["days_since_last_order"] = 0.01 if bought[place] else None
        rows.append({
            "prediction_id": f"p{place}", "store_id": "s1", "cart_id": f"c{place}", "cart_number": 1,
            "occurred_at": build.noon + timedelta(minutes=place), "features": msgspec.json.encode(features).decode(),
            "outcome": "contact" if contact[place] else "held_out", "converted": int(bought[place]),
            "order_amount": 100,
        })  # fmt: skip
    return pa.Table.from_pylist(rows, schema=build.outcomes)


async def train(client) -> dict[str, Any]:
    answer = await client.post("/models/train")
    assert answer.status_code == 200, answer.text
    run = answer.json()
    while run["status"] == "running":
        await asyncio.sleep(0.2)
        run = (await client.get(f"/models/train/{run['id']}")).json()
    return run


async def test_a_trained_model_serves_at_once_and_asks_for_the_chance_without_contact(client, build, sisters):
    sisters.outcomes["s1"] = carts(build, 3000)
    run = await train(client)
    listed = (await client.get("/models")).json()
    assert run["status"] == "finished"
    assert listed["serving"] == run["version"] == listed["history"][0]["version"]
    metrics = listed["models"][0]["metrics"]
    assert metrics["auc"] > 0.75
    assert metrics["log_loss"] < listed["models"][0]["champion"]["log_loss"]

    rows = [{"checkout_depth": depth, "orders_before": 1, "pages": 6} for depth in range(5)]
    answer = (await client.post("/predict/batch", json={"rows": rows})).json()
    truth = expit(-2.2 + 0.8 * np.arange(5) + 0.6 - 0.6)
    assert answer["model_version"] == run["version"]
    assert answer["probabilities"] == pytest.approx(truth.tolist(), abs=0.12)


async def test_a_prediction_of_a_trained_model_gives_its_reasons(client, build, sisters):
    sisters.outcomes["s1"] = carts(build, 3000)
    await train(client)
    asked = {"features": {"checkout_depth": 4, "orders_before": 0, "pages": 6}}
    answer = (await client.post("/predict", json=asked)).json()
    assert answer["reasons"][0] == "payment details were entered, which raises the chance of an order"
    assert answer["confidence"] > 0.05


async def test_too_few_outcomes_are_refused_with_the_figures(client, build, sisters):
    sisters.outcomes["s1"] = carts(build, 40)
    run = await train(client)
    assert (run["status"], run["result"]) == (
        "finished", "40 abandoned carts have a known outcome; training starts at 500",
    )  # fmt: skip
    assert (await client.get("/models")).json()["serving"] == Prior.version


async def test_a_leaking_model_never_serves(client, build, sisters):
    sisters.outcomes["s1"] = carts(build, 1500, leak=True)
    run = await train(client)
    assert "days_since_last_order alone gives the outcome away" in run["result"]
    listed = (await client.get("/models")).json()
    assert (listed["serving"], listed["models"][0]["status"]) == (Prior.version, "refused")
    taken = await client.post(f"/models/{run['version']}/rollback")
    assert taken.status_code == 409


async def test_a_model_that_learnt_nothing_never_serves(client, build, sisters):
    sisters.outcomes["s1"] = carts(build, 1500, truth=0.0, contacted=0.0)
    run = await train(client)
    assert "was refused" in run["result"]
    assert (await client.get("/models")).json()["serving"] == Prior.version


async def test_the_same_outcomes_again_train_nothing_new(client, build, sisters):
    sisters.outcomes["s1"] = carts(build, 1500)
    first = await train(client)
    again = await train(client)
    assert (again["result"], again["version"]) == (f"nothing new since {first['version']}", None)


async def test_going_back_takes_one_call_and_the_history_keeps_both(client, build, sisters):
    sisters.outcomes["s1"] = carts(build, 1500)
    first = (await train(client))["version"]
    back = await client.post("/models/prior-1/rollback")
    assert back.json()["serving"] == Prior.version
    again = await client.post(f"/models/{first}/rollback")
    assert again.json()["serving"] == first
    history = (await client.get("/models")).json()["history"]
    assert [(entry["version"], entry["by"]) for entry in history] == [
        (first, "owner"),
        ("prior", "owner"),
        (first, "owner"),
    ]


async def test_the_nightly_job_says_what_came_of_each_store(service, build, sisters):
    sisters.outcomes["s1"] = carts(build, 1500)
    (job,) = service.jobs
    told = await job.run()
    assert "s1: 20" in told
    assert "serves now: better: log loss" in told
    assert "s2: 0 abandoned carts have a known outcome; training starts at 500" in told
