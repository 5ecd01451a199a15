"""Feature flags that close a channel: when it is decided, and again before anything leaves."""

import msgspec
import pytest
from tests.services.interventions.world import OPEN, SHOP, World, identified, scored

from recoup.kit.flags.model import Condition, Flag, Rule, Split
from recoup.messages.facts import Outcome
from recoup.messages.stores import StoreConfigured

ON, OFF = (Split(variant="on"),), (Split(variant="off"),)


async def flagged(world: World, **flags: Flag) -> None:
    told = {f"contact.{channel}": flag for channel, flag in flags.items()}
    revision = world.deps.stores._told[SHOP].flags_revision + 1
    settings = msgspec.structs.replace(OPEN, channels=("email", "websocket"))
    await world.deps.stores.on_configured(
        [StoreConfigured(store_id=SHOP, version=1, settings=settings, flags=told, flags_revision=revision)]
    )


async def outcome(world: World) -> tuple[Outcome | None, str]:
    await world.happen(identified())
    await world.score(scored())
    decided = (await world.told())[-1]
    return decided.outcome, next(answer.detail for answer in decided.rules if answer.rule == "reachable")


async def test_a_channel_that_a_flag_closes_is_not_taken_and_the_decision_says_why(world: World):
    await flagged(world, email=Flag())
    found, why = await outcome(world)
    assert found is Outcome.SKIPPED
    assert why.endswith("flag contact.email says no")


@pytest.mark.parametrize(
    ("from_value", "contacted"), [(1, True), (10_000_000, False)], ids=["a dear cart", "a cheap cart"]
)
async def test_a_rule_can_ask_what_the_cart_is_worth(world: World, from_value: int, contacted: bool):
    dear = Rule(when=(Condition(attribute="cart_value", operator="ge", values=(from_value,)),), serve=ON)
    await flagged(world, email=Flag(enabled=True, rules=(dear,), serve=OFF))
    found, _ = await outcome(world)
    assert (found is Outcome.CONTACT) is contacted


async def test_a_channel_closed_after_the_decision_keeps_the_message_back(world: World):
    await flagged(world, email=Flag(enabled=True))
    assert (await outcome(world))[0] is Outcome.CONTACT
    await flagged(world, email=Flag(enabled=False))
    await world.deliver()
    assert (await world.kinds())[-1] == "cancelled"


async def test_a_flag_of_another_name_changes_nothing_and_uses_are_counted(world: World):
    await flagged(world, pigeon=Flag(), email=Flag(enabled=True))
    assert (await outcome(world))[0] is Outcome.CONTACT
    taken = world.deps.stores.take_uses()
    assert taken.stores == {SHOP: {"contact.email": 1}}
    assert world.deps.stores.take_uses().stores == {}
    world.deps.stores.give_back(taken)
    assert world.deps.stores.take_uses() == taken
