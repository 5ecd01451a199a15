"""Dead letters as a workbench, what each store's valid traffic looks like, and stores whose retries are stopped."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table dead_letters (
        id uuid primary key,
        store_id text not null,
        event_id text not null,
        event_type text not null,
        stage text not null,
        kind text not null,
        code text not null,
        field text not null,
        reason text not null,
        body bytea not null,
        status text not null default 'open',
        attempts bigint not null,
        retries integer not null default 0,
        sent_body bytea,
        sent_event_id text,
        sending_since timestamptz,
        next_retry_at timestamptz,
        examined_at timestamptz,
        proposals jsonb not null default '[]',
        history jsonb not null default '[]',
        received_at timestamptz not null,
        dead_at timestamptz not null
    )
    """,
    "create index dead_letters_of_store on dead_letters (store_id, dead_at desc, id desc)",
    "create index dead_letters_sent on dead_letters (store_id, sent_event_id) where sent_event_id is not null",
    "create index dead_letters_due on dead_letters (next_retry_at) where next_retry_at is not null",
    """
    create index dead_letters_unexamined on dead_letters (dead_at)
    where status = 'open' and examined_at is null
    """,
    "create index dead_letters_sending on dead_letters (sending_since) where status = 'sending'",
    """
    create table profiles (
        store_id text primary key,
        body bytea not null,
        events bigint not null,
        learned_at timestamptz not null
    )
    """,
    """
    create table stopped_stores (
        store_id text primary key,
        since timestamptz not null,
        letters bigint not null,
        reported boolean not null default false
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table stopped_stores, profiles, dead_letters")
