-- The session an event is a step of: how far it has come, and how it came about.

alter table events_processed
    add column if not exists session_pages Nullable(UInt32) after user_last_category,
    add column if not exists session_seconds Nullable(Int64) after session_pages,
    add column if not exists session_source LowCardinality(String) after session_seconds,
    add column if not exists session_medium LowCardinality(String) after session_source,
    add column if not exists session_entry_page String after session_medium;
