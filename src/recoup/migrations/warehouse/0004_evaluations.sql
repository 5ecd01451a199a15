-- What the nightly comparison of contacted and held-out people found, so that its course can be seen.

create table if not exists holdout_evaluations (
    store_id LowCardinality(String),
    evaluated_at DateTime64(3, 'UTC'),
    currency LowCardinality(String),
    amount Nullable(Int64),
    low Nullable(Int64),
    high Nullable(Int64),
    contacted_people UInt64,
    held_out_people UInt64,
    per_contacted_person Nullable(Float64),
    per_held_out_person Nullable(Float64),
    sample_ratio_p Nullable(Float64)
)
engine = ReplacingMergeTree
order by (store_id, evaluated_at)
settings non_replicated_deduplication_window = 1000;
