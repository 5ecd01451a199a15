"""What shops took back of orders: cancellations and refunds, and how much of each conversion they undid so far."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = (
    # A null amount takes the whole order back.
    """
    create table refunds (
        store_id text not null, event_id uuid not null, order_id text not null,
        amount bigint, refunded_at timestamptz not null,
        primary key (store_id, event_id)
    )
    """,
    "create index refunds_of_order on refunds (store_id, order_id)",
    "alter table conversions add column taken_back bigint not null default 0",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
