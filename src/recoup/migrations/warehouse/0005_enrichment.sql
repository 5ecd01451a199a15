-- What else is known of an event: the day and hour at the shop, how the visit came about, and what could not be asked.

alter table events_processed
    add column if not exists is_holiday Nullable(Bool) after is_weekend,
    add column if not exists in_business_hours Nullable(Bool) after is_holiday,
    add column if not exists traffic_medium LowCardinality(String) after traffic_source,
    add column if not exists enrichment_missing LowCardinality(String) after traffic_medium;
