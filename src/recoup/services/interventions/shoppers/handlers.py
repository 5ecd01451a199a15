"""A batch of events arrived: learn who is who, cancel what is moot, credit orders, and move the clocks last."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass

import msgspec

from recoup.kit.service import Batch
from recoup.messages.stores import StoreDirectory
from recoup.services.interventions.attribution.actions import Attribution
from recoup.services.interventions.clocks.store import Clocks
from recoup.services.interventions.decisions.store.interventions import Interventions
from recoup.services.interventions.deliveries.actions import Endings
from recoup.services.interventions.preferences.store import People
from recoup.services.interventions.shoppers import domain
from recoup.services.interventions.shoppers.domain import News, Row


@dataclass(frozen=True, slots=True)
class Handlers:
    """From events to what they mean for messages."""

    people: People
    interventions: Interventions
    attribution: Attribution
    endings: Endings
    clocks: Clocks
    stores: StoreDirectory
    due: asyncio.Event

    async def on_events(self, batch: Batch) -> None:
        news = domain.news(batch.table, batch.spread([record.partition for record in batch.records]))
        by_store: dict[str, list[Row]] = defaultdict(list)
        for row in news.rows:
            by_store[row["store_id"]].append(row)
        for store_id, rows in by_store.items():
            seen = domain.seen(rows)
            if seen:
                await self.people.learn(store_id, seen)
            await self._orders(store_id, rows)
            refunds = domain.refunded(rows)
            if refunds:
                await self.attribution.refunded(store_id, refunds)
        await self.interventions.note_abandoned(domain.abandoned(news.rows))
        await self._returns(news)
        # Last, so that whoever sees this time knows that all before it has been taken in.
        await self.clocks.advance(news.reached)
        if news.reached:
            self.due.set()

    async def _orders(self, store_id: str, rows: list[Row]) -> None:
        settings = await self.stores.settings(store_id)
        found = domain.ordered(rows, settings.currency)
        if not found:
            return
        people = await self.people.people(store_id, [(row["user_id"], domain.visitor(row)) for _, row in found])
        orders = [
            msgspec.structs.replace(order, person_id=person.person_id)
            for (order, _), person in zip(found, people, strict=True)
        ]
        await self.attribution.orders.note(store_id, orders)
        why = {order.order_id: f"ordered at {order.ordered_at:%Y-%m-%d %H:%M} UTC" for order in orders}
        await self.endings.cancel(
            store_id,
            {one: why[order.order_id] for order, person in zip(orders, people, strict=True) for one in person.linked},
            {order.cart_id: why[order.order_id] for order in orders if order.cart_id},
            max(order.ordered_at for order in orders),
        )
        await self.attribution.ordered(store_id, orders, people)

    async def _returns(self, news: News) -> None:
        """Whoever adds to an abandoned cart is back, and needs no reminder of it."""
        moments = {(store_id, cart_id): at for store_id, cart_id, at in news.returned}
        for store_id, cart_id in await self.interventions.note_returned(news.returned):
            at = moments[store_id, cart_id]
            await self.endings.cancel(store_id, {}, {cart_id: "came back to the cart"}, at)
