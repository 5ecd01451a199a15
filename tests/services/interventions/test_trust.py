"""What may change what is known of somebody: the shop's word, and of strangers' words only what does no harm."""

from datetime import timedelta
from typing import Any

from tests.services.interventions.world import NOON, SHOP, World, identified

from recoup.services.interventions.preferences.domain import Person

SOON = NOON + timedelta(minutes=1)
LATER = NOON + timedelta(minutes=2)


async def known(world: World, user_id: str = "ann") -> Person:
    (person,) = await world.parts.people.people(SHOP, [(user_id, None)])
    return person


async def test_a_strangers_word_replaces_nothing_that_is_known_of_a_user(world: World) -> None:
    await world.happen(identified("ann", proven=True))
    await world.happen(identified("ann", SOON, email="stranger@example.com", name="Mallory"))

    person = await known(world)

    assert (person.email, person.name) == ("ann@example.com", "Ann")


async def test_the_first_word_fills_a_blank_and_the_shops_own_replaces_it(world: World) -> None:
    await world.happen(identified("ann", email="first@example.com"))
    before = await known(world)
    await world.happen(identified("ann", SOON, email="second@example.com"))
    between = await known(world)
    await world.happen(identified("ann", LATER, email="third@example.com", proven=True))

    assert [person.email for person in (before, between, await known(world))] == [
        "first@example.com", "first@example.com", "third@example.com",
    ]  # fmt: skip


async def test_anybody_may_withdraw_consent_and_only_the_shop_gives_it_back(world: World) -> None:
    await world.happen(identified("ann", proven=True))
    await world.happen(identified("ann", SOON, consent=False))
    withdrawn = await known(world)
    await world.happen(identified("ann", LATER, consent=True))
    claimed = await known(world)
    await world.happen(identified("ann", LATER + timedelta(minutes=1), consent=True, proven=True))

    assert [person.consent for person in (withdrawn, claimed, await known(world))] == [False, False, True]


async def test_a_strangers_consent_lifts_no_unsubscription(world: World) -> None:
    await world.happen(identified("ann", proven=True))
    await world.parts.people.unsubscribe(SHOP, "ann@example.com", SOON)
    await world.happen(identified("ann", LATER, consent=True))
    claimed = await known(world)
    await world.happen(identified("ann", LATER, consent=True, proven=True))

    assert (claimed.suppressed, (await known(world)).suppressed) == (True, False)


async def test_a_device_that_claims_to_be_a_users_changes_neither_address_nor_consent(world: World) -> None:
    await world.happen(identified("ann", consent=False, proven=True))
    await world.happen(device("stranger", SOON, email="stranger@example.com", consent=True))
    await world.happen(identified("ann", LATER, anonymous_id="stranger", email=None, consent=None))

    person = await known(world)

    assert "stranger" in person.linked
    assert (person.email, person.consent) == ("ann@example.com", False)


async def test_a_device_of_a_user_may_withdraw_consent_and_tell_what_nobody_knew(world: World) -> None:
    await world.happen(identified("ann", email=None, anonymous_id="phone", proven=True))
    await world.happen(device("phone", SOON, email="ann@example.com", consent=False))

    person = await known(world)

    assert (person.email, person.consent) == ("ann@example.com", False)


async def test_a_visitor_may_correct_themselves(world: World) -> None:
    await world.happen(
        device("phone", NOON, email="wrong@example.com"), device("phone", SOON, email="right@example.com")
    )

    (person,) = await world.parts.people.people(SHOP, [(None, "phone")])

    assert person.email == "right@example.com"


def device(anonymous_id: str, at: Any = NOON, **traits: Any) -> dict[str, Any]:
    """A visitor's page says something of whoever is before it."""
    return {**identified("", at, anonymous_id, **traits), "user_id": None}
