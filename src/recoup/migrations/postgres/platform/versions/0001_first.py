"""Users, stores, keys, sessions, settings, audit."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table users (
        id uuid primary key,
        email text not null unique check (email = lower(email)),
        password_hash text not null,
        created_at timestamptz not null
    )
    """,
    """
    create table stores (
        id text primary key,
        name text not null,
        created_at timestamptz not null
    )
    """,
    """
    create table memberships (
        user_id uuid not null references users on delete cascade,
        store_id text not null references stores,
        role text not null,
        created_at timestamptz not null,
        primary key (user_id, store_id)
    )
    """,
    "create index memberships_of_store on memberships (store_id)",
    """
    create table api_keys (
        id uuid primary key,
        store_id text not null references stores,
        kind text not null check (kind in ('secret_key', 'publishable_key')),
        name text not null,
        prefix text not null,
        digest bytea not null unique,
        created_at timestamptz not null,
        created_by text not null,
        last_used_at timestamptz,
        revoked_at timestamptz
    )
    """,
    "create index api_keys_of_store on api_keys (store_id, id)",
    """
    create table refresh_sessions (
        id uuid primary key,
        user_id uuid not null references users on delete cascade,
        created_at timestamptz not null,
        expires_at timestamptz not null,
        ended_at timestamptz,
        ended_because text
    )
    """,
    "create index refresh_sessions_ended on refresh_sessions (ended_at) where ended_at is not null",
    """
    create table refresh_tokens (
        digest bytea primary key,
        session_id uuid not null references refresh_sessions on delete cascade,
        made_at timestamptz not null,
        used_at timestamptz
    )
    """,
    """
    create table signing_keys (
        id uuid primary key,
        seed text not null,
        created_at timestamptz not null
    )
    """,
    """
    create table store_settings (
        store_id text not null references stores,
        version int not null,
        settings jsonb not null,
        created_at timestamptz not null,
        created_by text not null,
        primary key (store_id, version)
    )
    """,
    """
    create table audit_logs (
        id uuid primary key,
        store_id text not null,
        at timestamptz not null,
        actor text not null,
        action text not null,
        subject text not null,
        address text not null,
        detail jsonb not null
    )
    """,
    "create index audit_logs_of_store on audit_logs (store_id, id desc)",
    """
    create function refuse_change() returns trigger language plpgsql as $$
    begin
        raise exception 'audit_logs is append-only';
    end
    $$
    """,
    """
    create trigger audit_logs_append_only before update or delete or truncate on audit_logs
    execute function refuse_change()
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
