"""The warehouse's answers, each in one statement. The store stands in every `where`; whatever varies is a parameter."""

# The pieces of SQL put together here are constants of ours; whatever a caller gives is a parameter.
# ruff: noqa: S608

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec
import pyarrow as pa
from msgspec import Struct

from recoup.kit.warehouse import Value, Warehouse
from recoup.services.intelligence.analytics.domain import (
    MEASURES,
    Amount,
    FunnelDay,
    Incremental,
    Period,
    RevenueChannel,
    RevenueDay,
    Source,
    Spenders,
    selection,
)

_IN_PERIOD: Final = """
    store_id = {store_id:String}
    and occurred_at >= fromUnixTimestamp64Milli({since:Int64}) and occurred_at < fromUnixTimestamp64Milli({until:Int64})
"""

_EVENTS: Final = f"(select * from events_processed where {_IN_PERIOD})"

# What shops took back of orders, whenever that was: it counts against the day of the order. Each event counts once,
# also when it was sent again long after the pipeline had forgotten its id.
_TAKEN_BACK: Final = """(
    select
        order_key, max(kind = 'order_cancelled') as cancelled,
        max(kind = 'order_cancelled' or amount is null) as whole, sum(ifNull(amount, 0)) as part
    from (
        select event_id, any(order_id) as order_key, any(toString(type)) as kind, any(e.amount) as amount
        from events_processed as e
        where store_id = {store_id:String} and type in ('order_refunded', 'order_cancelled') and order_id != ''
            and occurred_at >= fromUnixTimestamp64Milli({since:Int64})
        group by event_id
    )
    group by order_key
)"""

_COMPLETED: Final = f"""(
    select
        if(e.order_id = '', toString(e.event_id), e.order_id) as order_key,
        min(e.occurred_at) as at,
        argMax(ifNull(e.amount, arraySum((n, p) -> n * p, e.items.quantity, e.items.price)), e.received_at) as amount,
        argMax(if(e.currency = '', {{currency:String}}, toString(e.currency)), e.received_at) as currency,
        max(e.cart_change = 'recovered') as recovered,
        max(toString(e.traffic_source)) as channel,
        max(e.cart_id) as cart_id,
        max(e.user_id) as user_id,
        max(e.anonymous_id) as anonymous_id
    from {_EVENTS} as e
    where e.type = 'order_completed'
    group by order_key
)"""

# One row an order that was not cancelled, worth what was not paid back. An order without an amount is worth its items;
# one without a currency is in the shop's own.
_ORDERS: Final = f"""(
    select o.* replace(if(t.whole, 0, greatest(0, o.amount - t.part)) as amount)
    from {_COMPLETED} as o left join {_TAKEN_BACK} as t on o.order_key = t.order_key
    where not t.cancelled
)"""

RELATIONS: Final[Mapping[Source, str]] = {
    Source.EVENTS: _EVENTS,
    Source.ORDERS: f"(select * from {_ORDERS} where currency = {{currency:String}})",
    Source.DECISIONS: f"(select * from interventions_log final where {_IN_PERIOD})",
    Source.CONVERSIONS: f"(select * from conversions_log final where {_IN_PERIOD} and currency = {{currency:String}})",
}

# Everybody eligible who was first decided about in the period, in the arm of that decision. Their orders are found by
# person and by cart; they count from the decision on, for as long as attribution lasts.
_SPENDERS: Final = f"""
    with
        people as (
            select
                d.person_id as person_id,
                min(d.occurred_at) as decided_at,
                argMin(toString(d.outcome), (d.occurred_at, d.id)) as outcome,
                argMin(if(d.outcome = 'contact', d.propensity, 1 - d.propensity), (d.occurred_at, d.id)) as chance,
                groupUniqArray(d.cart_id) as carts
            from interventions_log as d final
            where d.store_id = {{store_id:String}} and d.kind = 'decided' and d.outcome in ('contact', 'held_out')
                and d.person_id != ''
            group by person_id
            having decided_at >= fromUnixTimestamp64Milli({{since:Int64}})
                and decided_at < fromUnixTimestamp64Milli({{decided_until:Int64}})
        ),
        keys as (
            select
                person_id, decided_at,
                arrayJoin(arrayConcat(
                    ['p' || person_id], arrayMap(c -> 'c' || c, arrayFilter(c -> c != '', carts))
                )) as key
            from people
        ),
        orders as (
            select
                order_key, amount, at,
                arrayJoin(arrayDistinct(arrayFilter(
                    k -> length(k) > 1, ['p' || user_id, 'p' || anonymous_id, 'c' || cart_id]
                ))) as key
            from {RELATIONS[Source.ORDERS]}
        ),
        spent as (
            select person_id, sum(amount) as revenue
            from (
                select distinct keys.person_id as person_id, orders.order_key as order_key, orders.amount as amount
                from keys inner join orders on keys.key = orders.key
                where orders.at >= keys.decided_at and orders.at < keys.decided_at + toIntervalDay({{days:UInt16}})
            )
            group by person_id
        )
    select
        people.outcome as outcome, ifNull(spent.revenue, 0) as revenue,
        count() as people, sum(people.chance) as chance
    from people left join spent on people.person_id = spent.person_id
    group by outcome, revenue
    order by outcome, revenue
"""

# A step counts a session on the day it happened, in the shop's own time zone; the row without a day counts them all.
_FUNNEL: Final = f"""
    select
        if(grouping(at_day) = 1, '', toString(at_day)) as day,
        uniqExactIf(
            visit, type in ('page_viewed', 'product_viewed', 'product_list_viewed', 'products_searched')
        ) as viewed,
        uniqExactIf(visit, type = 'product_added' or cart_change = 'opened') as added,
        uniqExactIf(
            visit, type in ('checkout_started', 'checkout_step_completed', 'payment_info_entered')
        ) as checkout,
        uniqExactIf(visit, type = 'order_completed') as ordered
    from (
        select
            type, cart_change, toDate(occurred_at, {{timezone:String}}) as at_day,
            multiIf(
                session_id != '', session_id, anonymous_id != '', anonymous_id, user_id != '', user_id, cart_id
            ) as visit
        from {_EVENTS}
    )
    group by grouping sets ((at_day), ())
    order by day
"""

_BY_DAY: Final = f"""
    select toString(toDate(at, {{timezone:String}})) as day, count() as orders, sum(amount) as amount
    from {RELATIONS[Source.ORDERS]}
    group by day
    order by day
"""
_BY_CHANNEL: Final = f"""
    select if(channel = '', 'unknown', channel) as channel, count() as orders, sum(amount) as amount
    from {RELATIONS[Source.ORDERS]} as o
    group by channel
    order by amount desc, channel
"""
_OTHER_CURRENCIES: Final = f"""
    select sum(o.amount) as amount, o.currency as currency from {_ORDERS} as o
    where o.currency != {{currency:String}}
    group by currency
    order by currency
"""

_REACHED: Final = (
    "select toUnixTimestamp64Milli(max(occurred_at)) as at from events_processed where store_id = {store_id:String}"
)

_MINUTES: Final = f"""
    select toInt64(intDiv({{as_of:Int64}} - toUnixTimestamp64Milli(occurred_at), 60000)) as ago,
        {MEASURES["events"].sql} as events
    from {_EVENTS}
    group by ago
"""

# Carts as they stand: open ones that hold something; those abandoned within the window that nobody has ordered yet.
_STANDING: Final = """
    select
        countIf(state = 'open' and standing.4 > 0) as open_carts,
        countIf(state = 'waiting') as waiting,
        sumIf(standing.3, state = 'waiting' and currency in ('', {currency:String})) as value
    from (
        select
            max(c.standing) as standing, max(c.currency) as currency,
            multiIf(
                toUnixTimestamp64Milli(max(c.recovered_at)) > 0 or toUnixTimestamp64Milli(max(c.converted_at)) > 0
                    or toUnixTimestamp64Milli(max(c.expired_at)) > 0, 'over',
                toUnixTimestamp64Milli(max(c.abandoned_at)) = 0, 'open',
                toUnixTimestamp64Milli(max(c.abandoned_at)) > {since:Int64}, 'waiting',
                'over'
            ) as state
        from carts as c
        where c.store_id = {store_id:String}
        group by c.cart_id, c.number
    )
"""


class _Reached(Struct, frozen=True):
    at: int


class _Minute(Struct, frozen=True):
    ago: int
    events: int


class Standing(Struct, frozen=True):
    """Carts as they stand: how many are open, how many abandoned and still waited for, and what those are worth."""

    open_carts: int
    waiting: int
    value: int


_EVALUATIONS: Final = pa.schema(
    [
        pa.field("store_id", pa.string()),
        pa.field("evaluated_at", pa.timestamp("ms", "UTC")),
        pa.field("currency", pa.string()),
        *(pa.field(name, pa.int64()) for name in ("amount", "low", "high", "contacted_people", "held_out_people")),
        *(pa.field(name, pa.float64()) for name in ("per_contacted_person", "per_held_out_person", "sample_ratio_p")),
    ]
)


@dataclass(frozen=True, slots=True)
class Store:
    """What analytics asks."""

    warehouse: Warehouse

    async def figures(self, store_id: str, period: Period, currency: str) -> dict[str, int]:
        """Every measure by name."""
        found: dict[str, int] = {}
        for source, relation in RELATIONS.items():
            # Names and aggregates are ours; whatever a caller gave is a parameter.
            sql = f"select {selection(source)} from {relation}"
            table = await self.warehouse.arrow(sql, _scope(store_id, period, currency))
            found |= {str(name): int(value or 0) for name, value in table.to_pylist()[0].items()}
        return found

    async def other_currencies(self, store_id: str, period: Period, currency: str) -> list[Amount]:
        """Revenue that is not in the shop's own currency."""
        return await self.warehouse.rows(Amount, _OTHER_CURRENCIES, _scope(store_id, period, currency))

    async def spenders(self, store_id: str, period: Period, currency: str, attribution: timedelta) -> list[Spenders]:
        """The people of both arms by what they spent after they were decided about."""
        until = min(period.until + round(attribution.total_seconds() * 1000), 9_999_999_999_999)
        scope = _scope(store_id, Period(period.since, until), currency)
        return await self.warehouse.rows(
            Spenders, _SPENDERS, {**scope, "decided_until": period.until, "days": attribution.days}
        )

    async def funnel(self, store_id: str, period: Period, timezone: str) -> list[FunnelDay]:
        """By day; the one without a day is the whole period's."""
        return await self.warehouse.rows(FunnelDay, _FUNNEL, {**_scope(store_id, period, ""), "timezone": timezone})

    async def revenue_by_day(self, store_id: str, period: Period, currency: str, timezone: str) -> list[RevenueDay]:
        scope = _scope(store_id, period, currency)
        return await self.warehouse.rows(RevenueDay, _BY_DAY, {**scope, "timezone": timezone})

    async def revenue_by_channel(self, store_id: str, period: Period, currency: str) -> list[RevenueChannel]:
        return await self.warehouse.rows(RevenueChannel, _BY_CHANNEL, _scope(store_id, period, currency))

    async def reached(self, store_id: str) -> int | None:
        """The newest moment of the store's own events, in ms."""
        (found,) = await self.warehouse.rows(_Reached, _REACHED, {"store_id": store_id})
        return found.at or None

    async def minutes(self, store_id: str, as_of: int, minutes: int) -> list[int]:
        """Events in each of the last minutes, oldest first."""
        period = Period(as_of - minutes * 60_000 + 1, as_of + 1)
        rows = await self.warehouse.rows(_Minute, _MINUTES, {**_scope(store_id, period, ""), "as_of": as_of})
        counts = {row.ago: row.events for row in rows}
        return [counts.get(ago, 0) for ago in reversed(range(minutes))]

    async def standing(self, store_id: str, abandoned_since: int, currency: str) -> Standing:
        """Carts as they stand."""
        period = Period(abandoned_since, 0)
        (found,) = await self.warehouse.rows(Standing, _STANDING, _scope(store_id, period, currency))
        return found

    async def record(self, store_id: str, found: Incremental, at: datetime) -> None:
        """Keeps what an evaluation found; a second one of the same moment replaces the first."""
        row = {"store_id": store_id, "evaluated_at": at, **msgspec.structs.asdict(found)}
        await self.warehouse.insert(
            "holdout_evaluations", pa.Table.from_pylist([row], schema=_EVALUATIONS), token=f"holdout:{store_id}:{at}"
        )


def _scope(store_id: str, period: Period, currency: str) -> dict[str, Value]:
    return {"store_id": store_id, "since": period.since, "until": period.until, "currency": currency}
