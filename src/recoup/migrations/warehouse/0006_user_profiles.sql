-- What was known of the user before the event.

alter table events_processed
    add column if not exists user_orders Nullable(UInt32) after traffic_medium,
    add column if not exists user_average_order Nullable(Int64) after user_orders,
    add column if not exists user_last_seen Nullable(DateTime64(3, 'UTC')) after user_average_order,
    add column if not exists user_last_category LowCardinality(String) after user_last_seen;
