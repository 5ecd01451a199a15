"""Webhooks of shop platforms: their secrets, what came, what is known of its carts, and what the law was asked for."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table webhook_secrets (
        id uuid primary key,
        store_id text not null,
        platform text not null,
        sealed bytea not null,
        set_at timestamptz not null,
        good_until timestamptz
    )
    """,
    "create index webhook_secrets_of_store on webhook_secrets (store_id, platform)",
    """
    create table webhook_deliveries (
        id uuid primary key,
        store_id text not null,
        platform text not null,
        key text not null,
        topic text not null,
        said jsonb not null,
        body bytea not null,
        received_at timestamptz not null,
        repeats integer not null default 0,
        status text not null default 'waiting',
        attempts integer not null default 0,
        next_at timestamptz not null,
        events integer not null default 0,
        note text not null default '',
        worked_at timestamptz,
        unique (store_id, platform, key)
    )
    """,
    "create index webhook_deliveries_due on webhook_deliveries (next_at) where status = 'waiting'",
    "create index webhook_deliveries_of_store on webhook_deliveries (store_id, id desc)",
    """
    create table webhook_memory (
        store_id text not null,
        platform text not null,
        name text not null,
        memory bytea not null,
        user_id text,
        updated_at timestamptz not null,
        primary key (store_id, platform, name)
    )
    """,
    """
    create table privacy_requests (
        id uuid primary key,
        store_id text not null,
        platform text not null,
        kind text not null,
        subject jsonb not null,
        asked_at timestamptz not null,
        taken_at timestamptz
    )
    """,
    "create index privacy_requests_open on privacy_requests (asked_at) where taken_at is null",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table privacy_requests, webhook_memory, webhook_deliveries, webhook_secrets")
