"""Changes that services began and have not said the end of: what becomes a line of the audit trail if they never do."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table changes_begun (
        id uuid primary key,
        store_id text not null,
        at timestamptz not null,
        actor text not null,
        action text not null,
        subject text not null,
        address text not null,
        request_id text not null,
        detail jsonb not null,
        told_at timestamptz not null default now()
    )
    """,
    "create index changes_begun_by_age on changes_begun (told_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
