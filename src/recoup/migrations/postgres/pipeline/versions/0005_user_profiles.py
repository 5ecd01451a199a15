"""A lasting copy of what is known of users, for the day on which Valkey has lost it."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table user_profiles (
        store_id text not null,
        user_id text not null,
        orders bigint not null,
        priced bigint not null,
        spent bigint not null,
        last_seen bigint not null,
        last_category text,
        last_order text,
        primary key (store_id, user_id)
    )
    """,
    "create index user_profiles_by_age on user_profiles (last_seen)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table user_profiles")
