"""The audit trail as a chain: each row carries the hash of the one before, and the database alone makes the links.

The chain of a store is made by a trigger, whoever inserts; nobody may update, delete or truncate, by right and by
trigger. What is hashed stands in docs/guides/audit.md and, a second time, in `services/platform/audit/domain.py`.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    "alter table audit_logs disable trigger audit_logs_append_only",
    """
    alter table audit_logs
        add column seq bigint,
        add column request_id text not null default '',
        add column previous bytea,
        add column digest bytea
    """,
    """
    create function audit_part(part text) returns bytea language sql immutable as $$
        select convert_to(octet_length(part) || ':' || part || ',', 'UTF8')
    $$
    """,
    """
    create function audit_digest(entry audit_logs) returns bytea language sql stable set search_path from current as $$
        select sha256(
            entry.previous || audit_part(entry.seq::text) || audit_part(entry.id::text) || audit_part(entry.store_id)
            || audit_part(to_char(entry.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
            || audit_part(entry.actor) || audit_part(entry.action) || audit_part(entry.subject)
            || audit_part(entry.address) || audit_part(entry.request_id)
            || coalesce((
                select string_agg(audit_part(key) || audit_part(value), ''::bytea order by key collate "C")
                from jsonb_each_text(entry.detail)
            ), ''::bytea)
        )
    $$
    """,
    """
    create function audit_chained(entry audit_logs) returns audit_logs language plpgsql
    set search_path from current as $$
    declare
        last record;
    begin
        -- Writers of one store's trail take turns, until each has committed.
        perform pg_advisory_xact_lock(hashtextextended('recoup-audit ' || entry.store_id, 0));
        select seq, digest into last from audit_logs
            where store_id = entry.store_id and seq is not null order by seq desc limit 1;
        entry.seq := coalesce(last.seq, 0) + 1;
        entry.previous := coalesce(last.digest, decode(repeat('00', 32), 'hex'));
        entry.digest := audit_digest(entry);
        return entry;
    end
    $$
    """,
    "create unique index audit_logs_in_order on audit_logs (store_id, seq)",
    """
    do $$
    declare
        entry audit_logs;
    begin
        for entry in select * from audit_logs order by store_id, id loop
            entry := audit_chained(entry);
            update audit_logs set seq = entry.seq, previous = entry.previous, digest = entry.digest where id = entry.id;
        end loop;
    end
    $$
    """,
    """
    alter table audit_logs
        alter column seq set not null, alter column previous set not null, alter column digest set not null
    """,
    "drop index audit_logs_of_store",
    """
    create function audit_chain() returns trigger language plpgsql set search_path from current as $$
    begin
        return audit_chained(new);
    end
    $$
    """,
    """
    create trigger audit_logs_chain before insert on audit_logs for each row execute function audit_chain()
    """,
    # Always: also where a session says that it only replays what another database did.
    "alter table audit_logs enable always trigger audit_logs_append_only",
    "alter table audit_logs enable always trigger audit_logs_chain",
    # The owner too: it could give itself the right again, but no mistake of ours does.
    "revoke update, delete, truncate, trigger on audit_logs from public, current_user",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
