-- What was predicted, decided and won. Messages come at least once, perhaps from two records of the log: the same id is the
-- same row, the newer one stays. Read with `final`; these tables are small beside the events.

create table if not exists prediction_logs (
    store_id LowCardinality(String),
    id String,
    occurred_at DateTime64(3, 'UTC'),
    trigger LowCardinality(String),
    cart_id String,
    cart_number UInt32,
    cart_value Int64,
    currency LowCardinality(String),
    item_count UInt32,
    user_id String,
    anonymous_id String,
    session_id String,
    probability Float64,
    confidence Float64,
    action LowCardinality(String),
    discount_percent UInt8,
    reasons Array(String),
    features String codec(ZSTD(1)),
    model_version LowCardinality(String),
    expires_at DateTime64(3, 'UTC'),
    log_partition UInt16,
    log_offset UInt64
)
engine = ReplacingMergeTree
order by (store_id, id)
settings non_replicated_deduplication_window = 1000;

create table if not exists interventions_log (
    store_id LowCardinality(String),
    id String,
    occurred_at DateTime64(3, 'UTC'),
    intervention_id String,
    kind LowCardinality(String),
    cart_id String,
    cart_number UInt32,
    person_id String,
    channel LowCardinality(String),
    action LowCardinality(String),
    discount_percent UInt8,
    outcome LowCardinality(String),
    rules Nested (rule String, passed Bool, detail String),
    propensity Float64,
    cart_value Int64,
    currency LowCardinality(String),
    probability Nullable(Float64),
    model_version LowCardinality(String),
    machine Bool,
    detail String,
    log_partition UInt16,
    log_offset UInt64
)
engine = ReplacingMergeTree
order by (store_id, id)
settings non_replicated_deduplication_window = 1000;

create table if not exists conversions_log (
    store_id LowCardinality(String),
    id String,
    occurred_at DateTime64(3, 'UTC'),
    order_id String,
    person_id String,
    cart_id String,
    amount Int64,
    currency LowCardinality(String),
    intervention_id String,
    outcome LowCardinality(String),
    attributed Bool,
    channel LowCardinality(String),
    log_partition UInt16,
    log_offset UInt64
)
engine = ReplacingMergeTree
order by (store_id, id)
settings non_replicated_deduplication_window = 1000;
