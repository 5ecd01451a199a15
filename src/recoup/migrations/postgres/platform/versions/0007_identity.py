"""Signing keys that follow one another, sealed; sign-ins one can recognise; second factors; letters to people."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    # The seeds of before stood there in the clear. Whoever holds a token of theirs refreshes it.
    "drop table signing_keys",
    """
    create table signing_keys (
        id uuid primary key,
        sealed bytea not null,
        created_at timestamptz not null,
        signs_from timestamptz not null
    )
    """,
    """
    alter table refresh_sessions
        add column address text not null default '',
        add column device text not null default '',
        add column last_used_at timestamptz
    """,
    "update refresh_sessions set last_used_at = created_at",
    "alter table refresh_sessions alter column last_used_at set not null",
    "create index refresh_sessions_of_user on refresh_sessions (user_id) where ended_at is null",
    "create index refresh_tokens_of_session on refresh_tokens (session_id)",
    """
    create table second_factors (
        user_id uuid primary key references users on delete cascade,
        sealed bytea not null,
        made_at timestamptz not null,
        confirmed_at timestamptz,
        last_step bigint not null default 0
    )
    """,
    """
    create table recovery_codes (
        user_id uuid not null references second_factors on delete cascade,
        digest bytea not null,
        used_at timestamptz,
        primary key (user_id, digest)
    )
    """,
    """
    create table password_resets (
        user_id uuid primary key references users on delete cascade,
        digest bytea not null unique,
        expires_at timestamptz not null
    )
    """,
    """
    create table invitations (
        id uuid primary key,
        store_id text not null references stores,
        email text not null check (email = lower(email)),
        role text not null,
        digest bytea unique,
        made_at timestamptz not null,
        made_by text not null,
        expires_at timestamptz not null,
        accepted_at timestamptz,
        revoked_at timestamptz
    )
    """,
    """
    create unique index invitations_open on invitations (store_id, email)
    where accepted_at is null and revoked_at is null
    """,
    """
    create table letters_due (
        id uuid primary key,
        email text not null,
        invitation_id uuid references invitations on delete cascade,
        asked_at timestamptz not null,
        due_at timestamptz not null,
        attempts int not null default 0
    )
    """,
    "create index letters_due_by_time on letters_due (due_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
