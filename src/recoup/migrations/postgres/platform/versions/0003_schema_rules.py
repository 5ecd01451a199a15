"""What becomes of events that break their schema, and how those of one version become those of the next."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    "alter table schema_settings add column on_violation text",
    """
    create table schema_migrations (
        store_id text not null references stores,
        subject text not null,
        from_version int not null,
        steps jsonb not null,
        created_at timestamptz not null,
        created_by text not null,
        primary key (store_id, subject, from_version)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
