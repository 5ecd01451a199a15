"""Routing: rules by version, destinations, their secrets, and what is on its way to webhooks."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table routing_changes (
        store_id text primary key,
        number bigint not null
    )
    """,
    """
    create table routing_rules (
        store_id text not null,
        version integer not null,
        rules jsonb not null,
        changed_by text not null,
        changed_at timestamptz not null,
        primary key (store_id, version)
    )
    """,
    """
    create table routing_destinations (
        id uuid primary key,
        store_id text not null,
        name text not null,
        kind text not null,
        url text,
        form text,
        concurrency integer,
        retention_hours integer,
        state text not null default 'active',
        reason text not null default '',
        failures integer not null default 0,
        failing_since timestamptz,
        blocked_until timestamptz,
        dropped bigint not null default 0,
        told boolean not null default true,
        created_at timestamptz not null,
        unique (store_id, name)
    )
    """,
    """
    create table routing_secrets (
        id uuid primary key,
        store_id text not null,
        destination_id uuid not null references routing_destinations (id) on delete cascade,
        sealed bytea not null,
        set_at timestamptz not null,
        good_until timestamptz
    )
    """,
    "create index routing_secrets_of_destination on routing_secrets (destination_id)",
    """
    create table routed_deliveries (
        id uuid primary key,
        number bigint generated always as identity,
        store_id text not null,
        destination_id uuid not null references routing_destinations (id) on delete cascade,
        body bytea not null,
        events integer not null,
        status text not null default 'waiting',
        attempts integer not null default 0,
        next_at timestamptz not null,
        made_at timestamptz not null,
        done_at timestamptz,
        note text not null default ''
    )
    """,
    "create index routed_deliveries_due on routed_deliveries (destination_id, next_at) where status = 'waiting'",
    "create index routed_deliveries_of_destination on routed_deliveries (destination_id)",
    "create index routed_deliveries_of_store on routed_deliveries (store_id, number desc)",
    "create index routed_deliveries_made on routed_deliveries (made_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table routed_deliveries, routing_secrets, routing_destinations, routing_rules, routing_changes")
