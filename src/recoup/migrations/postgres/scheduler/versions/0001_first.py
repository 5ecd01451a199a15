"""Jobs, their runs, and the schedulers that live."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        create table jobs (
            service text not null,
            name text not null,
            cron text not null,
            timeout_seconds double precision not null,
            paused boolean not null default false,
            offered boolean not null default true,
            next_run timestamptz,
            primary key (service, name)
        )
    """)
    op.execute("create index jobs_due on jobs (next_run) where offered and not paused")
    op.execute("""
        create table runs (
            id uuid primary key,
            service text not null,
            job text not null,
            cause text not null,
            due_at timestamptz not null,
            state text not null,
            attempts integer not null default 0,
            enqueued_at timestamptz,
            started_at timestamptz,
            finished_at timestamptz,
            result text,
            error text
        )
    """)
    op.execute("create index runs_of_job on runs (service, job, due_at desc, id desc)")
    op.execute("create index runs_to_enqueue on runs (due_at) where state = 'queued' and enqueued_at is null")
    op.execute("create table instances (member text primary key, seen_at timestamptz not null)")


def downgrade() -> None:
    op.execute("drop table instances, runs, jobs")
