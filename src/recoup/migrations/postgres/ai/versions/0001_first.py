"""Models, the history of what was live, and training runs."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        create table models (
            version text primary key,
            store_id text not null,
            status text not null check (status in ('candidate', 'live', 'retired', 'refused')),
            created_at timestamptz not null,
            artifact_digest text not null,
            training_digest text not null,
            features_digest text not null,
            features jsonb not null,
            metrics jsonb not null,
            champion jsonb,
            champion_version text not null,
            verdict text not null
        )
    """)
    op.execute("create index models_of_store on models (store_id, created_at desc)")
    op.execute("create unique index models_one_live on models (store_id) where status = 'live'")
    op.execute("""
        create table model_history (
            id bigint generated always as identity primary key,
            store_id text not null,
            version text not null,
            at timestamptz not null,
            by text not null,
            why text not null
        )
    """)
    op.execute("create index model_history_of_store on model_history (store_id, id desc)")
    op.execute("""
        create function history_stays() returns trigger language plpgsql as $$
        begin raise exception 'the history of models is only added to'; end $$
    """)
    op.execute("""
        create trigger model_history_stays before update or delete or truncate on model_history
        for each statement execute function history_stays()
    """)
    op.execute("""
        create table training_runs (
            id uuid primary key,
            store_id text not null,
            status text not null check (status in ('running', 'finished', 'failed')),
            member text not null,
            by text not null,
            started_at timestamptz not null,
            finished_at timestamptz,
            step text not null default '',
            result text not null default '',
            version text
        )
    """)
    op.execute("create unique index training_runs_one_running on training_runs (store_id) where status = 'running'")
    op.execute("create index training_runs_of_store on training_runs (store_id, started_at desc)")


def downgrade() -> None:
    op.execute("drop table training_runs, model_history, models")
    op.execute("drop function history_stays()")
