"""Answers put together from figures: the same for a request and for a nightly job."""

from dataclasses import dataclass
from datetime import timedelta

from recoup.kit.clock import Clock, milliseconds, moment
from recoup.messages.stores import StoreDirectory
from recoup.services.intelligence.analytics.domain import (
    FOR_EVER,
    Amount,
    Funnel,
    FunnelDay,
    Incremental,
    Live,
    Overview,
    Period,
    Revenue,
    incremental,
    rate,
)
from recoup.services.intelligence.analytics.store import Store

MINUTES = 15


@dataclass(frozen=True, slots=True)
class Analytics:
    """What can be asked about a store."""

    store: Store
    stores: StoreDirectory
    clock: Clock

    async def overview(self, store_id: str, period: Period) -> Overview:
        settings = await self.stores.settings(store_id)
        currency = settings.currency
        figures = await self.store.figures(store_id, period, currency)

        def money(name: str) -> Amount:
            return Amount(figures[name], currency)

        return Overview(
            store_id=store_id,
            events=figures["events"],
            carts=figures["carts"],
            converted=figures["converted"],
            abandoned=figures["abandoned"],
            recovered=figures["recovered"],
            abandonment_rate=rate(figures["abandoned"], figures["carts"]),
            recovery_rate=rate(figures["recovered"], figures["abandoned"]),
            orders=figures["orders"],
            revenue=money("revenue"),
            other_currencies=await self.store.other_currencies(store_id, period, currency),
            contacted=figures["contacted"],
            held_out=figures["held_out"],
            delivered=figures["delivered"],
            recovered_revenue=money("recovered_revenue"),
            attributed_revenue=money("attributed_revenue"),
            incremental_revenue=await self.incremental(store_id, period),
        )

    async def incremental(self, store_id: str, period: Period) -> Incremental:
        """What our messages brought that would not have come anyway."""
        settings = await self.stores.settings(store_id)
        attribution = timedelta(days=settings.attribution_days)
        groups = await self.store.spenders(store_id, period, settings.currency, attribution)
        return incremental(groups, settings.currency)

    async def funnel(self, store_id: str, period: Period) -> Funnel:
        settings = await self.stores.settings(store_id)
        rows = await self.store.funnel(store_id, period, settings.timezone)
        total = next((row for row in rows if not row.day), FunnelDay("", 0, 0, 0, 0))
        days = [row for row in rows if row.day]
        return Funnel(total=total, conversion_rate=rate(total.ordered, total.viewed), days=days)

    async def revenue(self, store_id: str, period: Period) -> Revenue:
        settings = await self.stores.settings(store_id)
        days = await self.store.revenue_by_day(store_id, period, settings.currency, settings.timezone)
        return Revenue(
            total=Amount(sum(day.amount for day in days), settings.currency),
            orders=sum(day.orders for day in days),
            other_currencies=await self.store.other_currencies(store_id, period, settings.currency),
            days=days,
            channels=await self.store.revenue_by_channel(store_id, period, settings.currency),
        )

    async def live(self, store_id: str) -> Live:
        """The last minutes on the store's clock."""
        settings = await self.stores.settings(store_id)
        as_of = milliseconds(self.clock.now()) if settings.clock == "wall" else await self.store.reached(store_id)
        if as_of is None:
            nothing = Amount(0, settings.currency)
            return Live(
                as_of=None, events_per_minute=[0] * MINUTES, open_carts=0, value_at_risk=nothing, abandoned_waiting=0
            )
        since = as_of - settings.recovery_days * 86_400_000
        standing = await self.store.standing(store_id, since, settings.currency)
        return Live(
            as_of=moment(as_of), events_per_minute=await self.store.minutes(store_id, as_of, MINUTES),
            open_carts=standing.open_carts, abandoned_waiting=standing.waiting,
            value_at_risk=Amount(standing.value, settings.currency),
        )  # fmt: skip

    async def evaluate(self, store_id: str) -> Incremental:
        """Compares the arms and keeps what was found."""
        found = await self.incremental(store_id, FOR_EVER)
        await self.store.record(store_id, found, self.clock.now())
        return found
