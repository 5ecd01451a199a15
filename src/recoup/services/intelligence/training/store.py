"""The labelled predictions of a store, in one statement; a row holds nothing that was learnt after it but its label."""

# The pieces of SQL put together here are constants of ours; whatever a caller gives is a parameter.

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pyarrow as pa

from recoup.kit.warehouse import Warehouse

# Orders by cart and by person. A prediction is converted by the first order of the same cart id, or of the same person,
# after it and within the window; it is a "no" only once the store's own time is past the window. The others are left
# out: their end is not known yet.
_CARTS: Final = """
    with
        (
            select max(occurred_at) from events_processed where store_id = {store_id:String}
        ) as reached,
        predicted as (
            select *, occurred_at + toIntervalDay({days:UInt16}) as until
            from prediction_logs final where store_id = {store_id:String}
        ),
        keys as (
            select id, occurred_at, until, arrayJoin(arrayFilter(
                k -> length(k) > 1, arrayDistinct(['c' || cart_id, 'p' || user_id, 'p' || anonymous_id])
            )) as key
            from predicted
        ),
        orders as (
            select
                occurred_at as at,
                ifNull(amount, arraySum((n, p) -> n * p, items.quantity, items.price)) as paid,
                arrayJoin(arrayFilter(
                    k -> length(k) > 1, arrayDistinct(['c' || cart_id, 'p' || user_id, 'p' || anonymous_id])
                )) as key
            from events_processed
            where store_id = {store_id:String} and type = 'order_completed'
        ),
        bought as (
            select keys.id as id, argMin(orders.paid, orders.at) as order_amount
            from keys inner join orders on keys.key = orders.key
            where orders.at > keys.occurred_at and orders.at <= keys.until
            group by id
        ),
        decided as (
            select
                cart_id, cart_number,
                argMin(toString(i.outcome), (occurred_at, id)) as outcome,
                argMin(toString(i.action), (occurred_at, id)) as action
            from interventions_log as i final
            where store_id = {store_id:String} and kind = 'decided'
            group by cart_id, cart_number
        )
    select
        p.id as prediction_id, toString(p.store_id) as store_id, p.cart_id as cart_id,
        toInt64(p.cart_number) as cart_number, p.occurred_at as occurred_at, p.probability as probability,
        toString(p.model_version) as model_version, p.features as features,
        nullIf(d.outcome, '') as outcome, nullIf(d.action, '') as action,
        toInt8(b.id != '') as converted, toInt64(b.order_amount) as order_amount
    from predicted as p
    left join bought as b on p.id = b.id
    left join decided as d on p.cart_id = d.cart_id and p.cart_number = d.cart_number
    where converted = 1 or p.until <= reached
    order by p.occurred_at, p.id
"""


@dataclass(frozen=True, slots=True)
class Store:
    """What training asks."""

    warehouse: Warehouse

    async def carts(self, store_id: str, window: timedelta) -> pa.Table:
        """One row a prediction whose outcome is known."""
        return await self.warehouse.arrow(_CARTS, {"store_id": store_id, "days": window.days})
