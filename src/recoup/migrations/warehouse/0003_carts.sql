-- Every cart as it stands, kept up by each insert of events. All its aggregates are idempotent (min, max, argMax): a row that
-- is counted twice changes nothing, so this table needs no exactly-once of its own. 1970 means "has not happened".

create table if not exists carts (
    store_id LowCardinality(String),
    cart_id String,
    number UInt32,
    first_activity SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_activity SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    abandoned_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    converted_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    recovered_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    expired_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    user_id SimpleAggregateFunction(max, String),
    anonymous_id SimpleAggregateFunction(max, String),
    currency SimpleAggregateFunction(max, String),
    order_amount SimpleAggregateFunction(max, Int64),
    -- The newest row that is no order: (log_offset, occurred_at in ms, value, item count).
    standing SimpleAggregateFunction(max, Tuple(UInt64, Int64, Int64, UInt32)),
    -- What was in it when it was last left: (log_offset, product ids, quantities, prices, names).
    contents SimpleAggregateFunction(
        max, Tuple(UInt64, Array(String), Array(UInt32), Array(Int64), Array(String))
    )
)
engine = AggregatingMergeTree
order by (store_id, cart_id, number);

create materialized view if not exists carts_from_events to carts as
select
    store_id,
    cart_id,
    cart_number as number,
    min(occurred_at) as first_activity,
    maxIf(occurred_at, type not in ('cart_abandoned', 'cart_recovered', 'cart_expired')) as last_activity,
    maxIf(occurred_at, type = 'cart_abandoned') as abandoned_at,
    maxIf(occurred_at, cart_change = 'converted') as converted_at,
    maxIf(occurred_at, cart_change = 'recovered' or type = 'cart_recovered') as recovered_at,
    maxIf(occurred_at, type = 'cart_expired') as expired_at,
    max(events_processed.user_id) as user_id,
    max(events_processed.anonymous_id) as anonymous_id,
    max(toString(events_processed.currency)) as currency,
    maxIf(ifNull(amount, 0), cart_change in ('converted', 'recovered')) as order_amount,
    maxIf(
        (log_offset, toUnixTimestamp64Milli(occurred_at), cart_value, events_processed.item_count),
        type != 'order_completed'
    ) as standing,
    maxIf(
        (log_offset, items.product_id, items.quantity, items.price, items.name), type = 'cart_abandoned'
    ) as contents
from events_processed
where cart_number > 0 and cart_id != ''
group by store_id, cart_id, cart_number;
