"""Records that readers could not handle, kept until somebody puts them back or dismisses them."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table parked_records (
        id uuid primary key,
        reader text not null,
        topic text not null,
        partition int not null,
        position bigint not null,
        reason text not null,
        body bytea not null,
        headers jsonb not null,
        stores text[] not null,
        status text not null,
        parked_at timestamptz not null,
        settled_at timestamptz,
        settled_by text
    )
    """,
    "create index parked_records_by_status on parked_records (status, parked_at desc, id desc)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table parked_records")
