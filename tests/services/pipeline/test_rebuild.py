"""State that Valkey lost is read back from the enriched topic before the stream goes on."""

from collections.abc import Iterable
from datetime import timedelta

from tests.services.pipeline.builders import SHOP, added, event, ordered, pipeline

from recoup.kit.valkey import connect, settled
from recoup.messages import keys
from recoup.messages.keys import REBUILDING

PARTITIONS = 4
OF_THE_STREAM = (
    keys.SEEN_EVENTS, keys.CARTS, keys.CART_JOURNAL, keys.CART_DUE, keys.STORE_CLOCKS, keys.SESSIONS,
    keys.SESSION_PAGES, keys.VISITOR_USERS,
)  # fmt: skip


async def lose_state(valkey_url: str) -> None:
    """All that the stream knows is gone, the log is not; as Kafka's reader would find it in the middle of a rebuild."""
    async with connect(valkey_url) as valkey:
        for pattern in OF_THE_STREAM:
            names = [name async for name in valkey.scan_iter(match=pattern.key(**dict.fromkeys(_parts(pattern), "*")))]
            assert names or pattern in {keys.CARTS, keys.STORE_CLOCKS}, f"{pattern.pattern} was not there to be lost"
            if names:
                await settled(valkey.unlink(*names))
        for partition in range(PARTITIONS):
            await settled(valkey.set(REBUILDING.key(partition=partition), 1))


def _parts(pattern: keys.KeyPattern) -> Iterable[str]:
    return [piece.partition("}")[0] for piece in pattern.pattern.split("{")[1:]]


async def test_carts_timers_ids_sessions_and_users_are_known_again(valkey_url: str) -> None:
    first = added(anonymous_id="phone", session_id="visit")
    page = event(session_id="visit", anonymous_id="phone", user_id="ann", at=1, context={"page_url": "https://s/mug"})
    async with pipeline(valkey_url) as before:
        await before.send(first, page)
        await before.enriched(2)
    await lose_state(valkey_url)

    async with pipeline(valkey_url, keep=True) as after:
        await after.send(first, event(session_id="visit", anonymous_id="phone", at=2))
        (seen,) = await after.enriched(1)
        after.clock.advance(timedelta(minutes=40))
        (left,) = await after.enriched(1)

    assert (seen["session_pages"], seen["session_seconds"]) == (2, 120)
    assert (left["type"], left["cart_number"], left["cart_value"], left["user_id"]) == (
        "cart_abandoned",
        1,
        1_000,
        "ann",
    )


async def test_what_was_said_of_a_cart_before_is_not_said_again(valkey_url: str) -> None:
    async with pipeline(valkey_url) as before:
        await before.send(added(session_id="visit", user_id="ann"))
        await before.enriched(1)
        before.clock.advance(timedelta(minutes=40))
        (left,) = await before.enriched(1)
    await lose_state(valkey_url)

    async with pipeline(valkey_url, keep=True) as after:
        after.clock.advance(timedelta(minutes=90))
        await after.send(ordered(user_id="ann", at=90))
        rows = await after.enriched(2)

    assert left["type"] == "cart_abandoned"
    assert sorted(str(row["type"]) for row in rows) == ["cart_recovered", "order_completed"]


async def test_a_store_on_its_own_clock_goes_on_from_the_time_it_had_reached(valkey_url: str) -> None:
    async with pipeline(valkey_url, clock="event") as before:
        await before.send(added(session_id="visit", user_id="ann"), event(type="clock", at=20))
        await before.enriched(1)
    await lose_state(valkey_url)

    async with pipeline(valkey_url, clock="event", keep=True) as after:
        await after.send(event(type="clock", at=31))
        (left,) = await after.enriched(1)

    assert (left["type"], left["store_id"]) == ("cart_abandoned", SHOP)
