"""A cancelled or refunded order takes its conversion back: once, in whatever order and however often it is told."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.services.interventions.test_doors import client
from tests.services.interventions.world import NOON, World, identified, order, row, scored

from recoup.messages.facts import ConversionRecorded, Outcome
from recoup.services.interventions.attribution.domain import Credited, take_back

__all__ = ["client"]
HOUR = timedelta(hours=1)
REFUND, CANCEL = "order_refunded", "order_cancelled"


async def contacted(world: World) -> str:
    """Somebody got a message; its id."""
    await world.happen(identified())
    await world.score(scored())
    await world.deliver()
    return (await world.told())[0].intervention_id


def taken(kind: str = REFUND, hours: float = 3, **fields):
    return row(kind, NOON + hours * HOUR, **{"order_id": "order-1", "user_id": "ann", **fields})


BOUGHT = order(at=NOON + HOUR)
CASES = {
    "cancelled": ([BOUGHT, taken(CANCEL)], 0),
    "cancelled twice": ([BOUGHT, taken(CANCEL), taken(CANCEL, 4)], 0),
    "paid back without an amount": ([BOUGHT, taken()], 0),
    "paid back in part": ([BOUGHT, taken(amount=1_000)], 3_999),
    "the same refund told three times": ([BOUGHT, *[taken(amount=1_000)] * 3], 3_999),
    "two refunds": ([BOUGHT, taken(amount=1_000), taken(amount=1_000, hours=4)], 2_999),
    "more than was paid": ([BOUGHT, taken(amount=4_000), taken(amount=4_000, hours=4)], 0),
    "in part, then cancelled": ([BOUGHT, taken(amount=1_000), taken(CANCEL, 4)], 0),
    "told before the order": ([taken(amount=1_000), BOUGHT], 3_999),
    "another order's": ([BOUGHT, taken(CANCEL, order_id="order-2")], 4_999),
    "nobody knows of which order": ([BOUGHT, taken(CANCEL, order_id=None)], 4_999),
}


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
@pytest.mark.parametrize(("events", "left"), CASES.values(), ids=CASES)
async def test_what_remains_of_a_conversion(world: World, client, events, left: int, together: bool):
    identity = await contacted(world)
    for batch in [events] if together else [[each] for each in events]:
        await world.happen(*batch)
    credited = await world.credited()
    assert sum(each.amount for each in credited) == left
    assert len({each.id for each in credited}) == len(credited)
    assert {(each.occurred_at, each.channel, each.attributed) for each in credited} == {(NOON + HOUR, "email", True)}
    story = (await client.get(f"/interventions/{identity}")).json()
    assert [(each["order_id"], each["amount"]) for each in story["conversions"]] == [("order-1", left)]


ORDER = ConversionRecorded(
    id="s/o:converted", store_id="s", occurred_at=NOON, order_id="o", person_id="ann", cart_id=None, amount=100,
    currency="USD", intervention_id="i", outcome=Outcome.CONTACT, attributed=True,
)  # fmt: skip


@given(st.lists(st.integers(0, 120) | st.none(), max_size=6))
def test_however_refunds_come_in_as_much_is_undone_as_at_once(refunds: list[int | None]):
    undone, ids = 0, set[str]()
    for end in range(len(refunds) + 1):
        again = take_back(Credited(conversion=ORDER, taken_back=undone, refunds=refunds[:end]))
        if again is not None:
            undone -= again.amount
            ids.add(again.id)
    whole = take_back(Credited(conversion=ORDER, taken_back=0, refunds=refunds))
    assert undone == (0 if whole is None else -whole.amount) <= ORDER.amount
    assert whole is None or whole.id in ids
