-- Events as they were sent, as they took effect, and those that could not.
--
-- The tables an event passes on its way (processed, raw, errors) carry the log position of the record that brought it, so
-- that a loader can ask which rows of a record are there already. One insert makes one part a month, and a part is there
-- whole or not at all.
--
-- Inserts are written as compact parts (one file each instead of a hundred): a tenth of the processor time. Merging is
-- lazy (base 20), because each merge writes every row again.

create table if not exists events_processed (
    store_id LowCardinality(String),
    event_id UUID,
    type LowCardinality(String),
    occurred_at DateTime64(3, 'UTC') codec(Delta, LZ4),
    sent_at Nullable(DateTime64(3, 'UTC')),
    received_at DateTime64(3, 'UTC') codec(Delta, LZ4),
    enriched_at DateTime64(3, 'UTC') codec(Delta, LZ4),
    schema_version UInt32,
    cart_id String,
    user_id String,
    anonymous_id String,
    session_id String,
    items Nested (
        product_id String,
        quantity UInt32,
        price Int64,
        variant_id String,
        name String,
        category String,
        brand String
    ),
    amount Nullable(Int64),
    currency LowCardinality(String),
    order_id String,
    coupon String,
    discount Nullable(Int64),
    page_url String,
    referrer String,
    user_agent String,
    ip String,
    locale LowCardinality(String),
    timezone LowCardinality(String),
    device_type LowCardinality(String),
    utm_source LowCardinality(String),
    utm_medium LowCardinality(String),
    utm_campaign LowCardinality(String),
    utm_term String,
    utm_content String,
    fingerprint String,
    properties String,
    raw_partition UInt16,
    raw_offset UInt64 codec(Delta, LZ4),
    cart_number UInt32,
    cart_change LowCardinality(String),
    cart_value Int64,
    item_count UInt32,
    average_item_price Int64,
    local_hour UInt8,
    local_weekday UInt8,
    is_weekend Bool,
    device_class LowCardinality(String),
    traffic_source LowCardinality(String),
    log_partition UInt16,
    log_offset UInt64 codec(Delta, LZ4),
    index positions log_offset type minmax granularity 4
)
engine = MergeTree
partition by toYYYYMM(occurred_at)
order by (store_id, occurred_at)
settings
    non_replicated_deduplication_window = 1000,
    min_bytes_for_wide_part = 268435456,
    merge_selector_base = 20;

-- Narrow: what reconciliation compares. The body of an event is in events_processed or in events_errors.
-- Kept by the time of arrival, so that replayed history is not dropped on the day it comes.
create table if not exists events_raw (
    store_id LowCardinality(String),
    event_id UUID,
    type LowCardinality(String),
    cart_id String,
    order_id String,
    amount Nullable(Int64),
    occurred_at DateTime64(3, 'UTC') codec(Delta, LZ4),
    received_at DateTime64(3, 'UTC') codec(Delta, LZ4),
    log_partition UInt16,
    log_offset UInt64 codec(Delta, LZ4),
    index positions log_offset type minmax granularity 4
)
engine = MergeTree
partition by toYYYYMM(received_at)
order by (store_id, received_at)
ttl toDateTime(received_at) + interval 18 month delete
settings
    non_replicated_deduplication_window = 1000,
    min_bytes_for_wide_part = 268435456,
    merge_selector_base = 20,
    ttl_only_drop_parts = 1;

create table if not exists events_errors (
    store_id LowCardinality(String),
    event_id String,
    stage LowCardinality(String),
    kind LowCardinality(String),
    field LowCardinality(String),
    reason String,
    attempts UInt32,
    body String codec(ZSTD(1)),
    received_at DateTime64(3, 'UTC'),
    dead_at DateTime64(3, 'UTC'),
    log_partition UInt16,
    log_offset UInt64 codec(Delta, LZ4),
    index positions log_offset type minmax granularity 4
)
engine = MergeTree
partition by toYYYYMM(dead_at)
order by (store_id, dead_at)
ttl toDateTime(dead_at) + interval 18 month delete
settings
    non_replicated_deduplication_window = 1000,
    min_bytes_for_wide_part = 268435456,
    ttl_only_drop_parts = 1;
