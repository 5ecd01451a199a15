-- What looks wrong about an event, and which version of the program made its row.

alter table events_processed
    add column if not exists risk_signals LowCardinality(String) after session_entry_page,
    add column if not exists pipeline_version LowCardinality(String) after risk_signals;
