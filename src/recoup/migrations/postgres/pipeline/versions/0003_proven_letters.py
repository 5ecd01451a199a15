"""Of each dead letter, whether the shop itself had said it: sent again it must not count for more, nor for less."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table dead_letters add column proven boolean not null default false")


def downgrade() -> None:
    op.execute("alter table dead_letters drop column proven")
