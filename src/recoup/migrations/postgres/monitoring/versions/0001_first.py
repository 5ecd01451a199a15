"""Gathered metrics; buckets of every store's day, how far they were read and judged; anomalies."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    create table points (
        at timestamptz not null,
        service text not null,
        metrics jsonb not null,
        primary key (service, at)
    )
    """,
    """
    create table reading (
        topic text not null,
        partition integer not null,
        last_offset bigint not null,
        primary key (topic, partition)
    )
    """,
    """
    create table counted (
        id text primary key,
        at timestamptz not null
    )
    """,
    """
    create table buckets (
        store_id text not null,
        metric text not null,
        bucket timestamptz not null,
        value double precision not null,
        score double precision,
        primary key (store_id, bucket, metric)
    )
    """,
    """
    create table clocks (
        store_id text not null,
        partition integer not null,
        at timestamptz not null,
        primary key (store_id, partition)
    )
    """,
    """
    create table watched (
        store_id text primary key,
        first timestamptz not null,
        newest timestamptz not null,
        judged_until timestamptz not null
    )
    """,
    """
    create table anomalies (
        id uuid primary key,
        store_id text not null,
        kind text not null,
        subject text not null,
        status text not null default 'open',
        started_at timestamptz not null,
        last_seen_at timestamptz not null,
        ended_at timestamptz,
        seen double precision,
        expected_low double precision,
        expected_high double precision,
        score double precision,
        reasons jsonb not null,
        note text not null default '',
        handled_by text,
        found_at timestamptz not null
    )
    """,
    "create index anomalies_of_store on anomalies (store_id, started_at desc, id desc)",
    """
    create unique index anomaly_going_on on anomalies (store_id, subject) where kind = 'unusual' and ended_at is null
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table anomalies, watched, clocks, buckets, counted, reading, points")
