"""Whom a mail could reach, as the readiness page asks for it."""

from tests.services.interventions.world import SHOP, World, identified, scored

from recoup.services.interventions.preferences.domain import Wishes


async def test_reach_counts_whose_address_and_consent_are_known(world: World) -> None:
    await world.happen(
        identified("ann"), identified("bob", consent=None), identified("cat", consent=False), identified("dan")
    )
    await world.parts.people.record_wishes(SHOP, "dan", Wishes(opted_out=True), world.clock.now())
    people = ("ann", "bob", "cat", "dan", "eve")
    await world.score(*(scored(f"cart-of-{name}", user_id=name) for name in people))

    strict = await world.parts.interventions.reach(SHOP, world.clock.now(), needs_consent=True)
    lenient = await world.parts.interventions.reach(SHOP, world.clock.now(), needs_consent=False)

    assert (strict.carts, strict.with_email, strict.mailable) == (5, 4, 1)
    assert lenient.mailable == 2
    assert (await world.parts.interventions.reach("shop-2", world.clock.now(), needs_consent=True)).carts == 0
