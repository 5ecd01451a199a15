"""The decision: each rule alone, the arms of the experiment, and one decision a cart whatever happens."""

import asyncio
from datetime import timedelta
from uuid import UUID

import msgspec
import pytest
from tests.services.interventions.world import NOON, OPEN, SHOP, World, identified, opened, order, row, scored

from recoup.messages.facts import Action, Outcome, RiskSignal
from recoup.messages.stores import StoreSettings

MINUTE = timedelta(minutes=1)


def changed(**fields: object) -> StoreSettings:
    return msgspec.structs.replace(OPEN, **fields)


@pytest.mark.parametrize(
    ("rule", "settings", "fields"),
    [
        ("threshold", changed(threshold=0.7), {}),
        ("store_rules", changed(min_cart_value=5_000), {}),
        ("store_rules", changed(excluded_products=("tea-1",)), {}),
        ("reachable", changed(channels=("websocket",)), {}),
        ("reachable", OPEN, {"user_id": "stranger"}),
        ("frequency", changed(max_per_hour=0), {}),
    ],
)
async def test_one_rule_that_says_no_is_enough(world: World, rule, settings, fields):
    world.configure(settings)
    await world.happen(identified())
    await world.score(scored(**fields))

    (decided,) = await world.told()
    assert decided.outcome is Outcome.SKIPPED
    assert [answer.rule for answer in decided.rules if not answer.passed] == [rule]
    assert len(decided.rules) == 8


@pytest.mark.parametrize(
    "said",
    [
        {"consent": False},
        {"consent": {"marketing": False}},
    ],
)
async def test_who_refused_consent_is_left_alone(world: World, said):
    await world.happen(identified(), row("consent_updated", NOON + MINUTE, user_id="ann", properties=said))
    await world.score(scored(at=NOON + 2 * MINUTE))
    (decided,) = await world.told()
    assert not next(answer for answer in decided.rules if answer.rule == "permission").passed


async def test_without_known_consent_no_mail_where_the_store_wants_it(world: World):
    world.configure(changed(contact_requires_consent=True))
    await world.happen(identified(consent=None))
    await world.score(scored())
    (decided,) = await world.told()
    assert [answer.rule for answer in decided.rules if not answer.passed] == ["reachable"]


async def test_who_bought_meanwhile_on_another_device_is_left_alone(world: World):
    await world.happen(identified(anonymous_id="phone"), order(at=NOON - MINUTE, user_id=None, anonymous_id="phone"))
    await world.score(scored())
    (decided,) = await world.told()
    assert [answer.rule for answer in decided.rules if not answer.passed] == ["cart_open"]


async def test_the_discount_stays_below_the_ceiling_and_away_from_risk(world: World):
    await world.happen(identified("ann"), identified("bob"))
    await world.parts.people.note_risks(
        [RiskSignal(id="r", store_id=SHOP, occurred_at=NOON, subject="bob", kind="bot", score=0.99, reasons=[])]
    )
    await world.score(
        scored("a", user_id="ann", action=Action.DISCOUNT, discount_percent=30),
        scored("b", user_id="bob", action=Action.DISCOUNT, discount_percent=30),
    )
    ann, bob = sorted(await world.told(), key=lambda event: event.person_id)
    assert (ann.action, ann.discount_percent) == (Action.DISCOUNT, 10)
    assert (bob.action, bob.discount_percent) == (Action.REMINDER, 0)


async def test_everybody_is_held_out_or_contacted_and_stays_so(world: World):
    world.configure(changed(holdout=0.5, max_per_hour=9, max_per_day=9, max_per_week=9))
    people = [f"p{number}" for number in range(40)]
    await world.happen(*(identified(each) for each in people))
    await world.score(*(scored(f"first-{each}", user_id=each) for each in people))
    await world.score(*(scored(f"second-{each}", user_id=each, at=NOON + MINUTE) for each in people))
    arms: dict[str, set[object]] = {}
    for event in await world.told():
        arms.setdefault(event.person_id, set()).add(event.outcome)
        assert event.propensity == pytest.approx(0.5)
    assert all(len(arm) == 1 for arm in arms.values())
    assert {next(iter(arm)) for arm in arms.values()} == {Outcome.CONTACT, Outcome.HELD_OUT}


async def test_the_arm_stays_when_a_visitor_becomes_a_customer(world: World):
    world.configure(changed(holdout=0.5, max_per_hour=9, max_per_day=9, max_per_week=9))
    visitors = [f"v{number}" for number in range(12)]
    await world.happen(
        *(row("user_identified", anonymous_id=each, properties={"email": f"{each}@example.com"}) for each in visitors)
    )
    await world.score(*(scored(f"first-{each}", user_id=None, anonymous_id=each) for each in visitors))
    await world.happen(*(identified(f"user-{each}", anonymous_id=each) for each in visitors))
    await world.score(*(scored(f"second-{each}", user_id=f"user-{each}") for each in visitors))
    arms = {(event.person_id, event.outcome) for event in await world.told()}
    assert {(f"user-{person}", outcome) for person, outcome in arms if person in visitors} == {
        (person, outcome) for person, outcome in arms if person not in visitors
    }


async def test_a_prediction_that_comes_again_decides_nothing_again(world: World):
    await world.happen(identified())
    await world.score(scored())
    await world.score(scored(), scored())
    await world.score(scored(id="another-prediction-of-the-same-cart"))
    assert await world.kinds() == ["decided"]


async def test_two_servers_that_race_for_one_slot_send_once(database: str, valkey_url: str, world: World):
    await world.happen(identified())
    async with opened(database, valkey_url) as other:
        carts = [scored(f"cart-{number}") for number in range(10)]
        await asyncio.gather(*((world if number % 2 else other).score(cart) for number, cart in enumerate(carts)))
        await asyncio.gather(world.deliver(), other.deliver())
    outcomes = [event.outcome for event in await world.told() if event.outcome is not None]
    assert sorted(outcomes) == [Outcome.CONTACT] + [Outcome.SKIPPED] * 9
    assert (await world.kinds()).count("delivered") == 1


async def test_the_cap_counts_a_person_under_all_their_ids(world: World):
    await world.happen(identified("ann", anonymous_id="phone"), identified("ann2", email="ann@example.com"))
    await world.score(scored("a", user_id=None, anonymous_id="phone"))
    await world.score(scored("b", user_id="ann2"))
    outcomes = {event.cart_id: event.outcome for event in await world.told()}
    assert outcomes == {"a": Outcome.CONTACT, "b": Outcome.SKIPPED}


async def test_progress_counts_carts_without_a_decision_and_messages_that_are_due(world: World):
    world.configure(changed(clock="event", delay_minutes=60))
    progress = world.parts.interventions.progress
    await world.happen(identified(), row("cart_abandoned", cart_id="cart-1", cart_number=1, user_id="ann"))
    assert (await progress(SHOP, NOON)).outstanding == 1
    await world.score(scored())
    await world.told()
    assert msgspec.structs.astuple(await progress(SHOP, NOON))[1:] == (0, 0)
    assert (await progress(SHOP, NOON + timedelta(hours=1))).pending == 1
    assert await world.deliver() == 0
    await world.tick(NOON + timedelta(hours=1))
    assert await world.deliver() == 1
    await world.told()
    assert (await progress(SHOP, NOON + timedelta(hours=1))).pending == 0


async def test_another_store_sees_nothing(world: World):
    await world.happen(identified())
    await world.score(scored())
    (decided,) = await world.told()
    assert await world.parts.interventions.find("shop-2", UUID(decided.intervention_id)) is None
    assert await world.parts.deliveries.listed("shop-2", None, None, 10) == []
