"""Feature flags: as they are, as they were, how often they changed, and who asks for them."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table feature_flags (
        store_id text not null references stores,
        key text not null,
        version int not null,
        definition jsonb not null,
        created_at timestamptz not null,
        changed_at timestamptz not null,
        changed_by text not null,
        primary key (store_id, key)
    )
    """,
    """
    create table flag_history (
        store_id text not null references stores,
        key text not null,
        version int not null,
        definition jsonb,
        at timestamptz not null,
        by text not null,
        primary key (store_id, key, version)
    )
    """,
    """
    create table flag_revisions (
        store_id text primary key references stores,
        revision int not null
    )
    """,
    """
    create table flag_uses (
        store_id text not null,
        key text not null,
        evaluated_at timestamptz not null,
        evaluations bigint not null,
        primary key (store_id, key),
        foreign key (store_id, key) references feature_flags on delete cascade
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
