"""Credits orders to decisions, whichever of the two was known first."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from recoup.messages.stores import StoreDirectory
from recoup.services.interventions.attribution.domain import Order, Refund, attribute
from recoup.services.interventions.attribution.store import Orders
from recoup.services.interventions.decisions.domain import Intervention
from recoup.services.interventions.preferences.domain import Person
from recoup.services.interventions.preferences.store import People
from recoup.services.interventions.tracking.store import Touches


@dataclass(frozen=True, slots=True)
class Attribution:
    """From an order to a conversion."""

    orders: Orders
    touches: Touches
    people: People
    stores: StoreDirectory
    news: asyncio.Event

    async def last_orders(
        self, store_id: str, wanted: Sequence[tuple[Sequence[str], str, datetime]]
    ) -> list[datetime | None]:
        return await self.orders.last_orders(store_id, wanted)

    async def ordered(self, store_id: str, orders: Sequence[Order], people: Sequence[Person]) -> None:
        """Credits new orders, each with its buyer, to the decisions before them."""
        window = timedelta(days=(await self.stores.settings(store_id)).attribution_days)
        linked = {order.order_id: set(person.linked) for order, person in zip(orders, people, strict=True)}
        everyone = sorted(set().union(*linked.values()))
        carts = sorted({order.cart_id for order in orders if order.cart_id})
        since = min(order.ordered_at for order in orders) - window
        decisions = await self.orders.decisions(store_id, everyone, carts, since)
        deciders = {each.person_id for each in decisions}
        touches = await self.touches.of_people(store_id, sorted(deciders), since) if decisions else []
        conversions = (
            attribute(
                order,
                mine := [
                    each
                    for each in decisions
                    if each.person_id in linked[order.order_id] or each.cart_id == order.cart_id
                ],
                [touch for touch in touches if touch.person_id in {each.person_id for each in mine}],
                window,
            )
            for order in orders
        )
        credited = [each for each in conversions if each is not None]
        if credited:
            await self.orders.record(store_id, credited)
            self.news.set()

    async def refunded(self, store_id: str, refunds: Sequence[Refund]) -> None:
        """Takes back what a shop cancelled or paid back."""
        if await self.orders.take_back(store_id, refunds):
            self.news.set()

    async def decided(self, store_id: str, interventions: Sequence[Intervention], people: Sequence[Person]) -> None:
        """Credits orders that were known before the decision that precedes them: predictions may be late."""
        everyone = sorted({each for person in people for each in person.linked})
        carts = sorted({each.cart_id for each in interventions})
        since = min(each.decided_at for each in interventions)
        orders = await self.orders.of_people(store_id, everyone, carts, since)
        if orders:
            buyers = await self.people.people(store_id, [(None, order.person_id) for order in orders])
            await self.ordered(store_id, orders, buyers)
