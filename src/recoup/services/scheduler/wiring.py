"""The scheduler, put together."""

from datetime import timedelta

from recoup.kit.postgres import Postgres
from recoup.kit.service import Check, Job, Service, Worker
from recoup.messages.deps import Deps
from recoup.services.scheduler.jobs import api
from recoup.services.scheduler.jobs.actions import Execution
from recoup.services.scheduler.jobs.durable import Engine
from recoup.services.scheduler.jobs.jobs import Timers
from recoup.services.scheduler.jobs.store import Store
from recoup.services.scheduler.settings import Settings


def build(deps: Deps, settings: Settings) -> Service:
    """Ready as soon as PostgreSQL answers; the workflow engine starts beside it."""
    postgres = Postgres(deps.postgres_url, "scheduler")
    store = Store(postgres)
    engine = Engine(
        url=deps.postgres_url,
        member=deps.member,
        execution=Execution(store, deps.peers, deps.clock),
        concurrency=settings.concurrency,
        attempts=settings.attempts,
    )
    timers = Timers(
        store=store,
        engine=engine,
        peers=deps.peers,
        clock=deps.clock,
        member=deps.member,
        services=tuple(deps.peers.addresses),
        tick=timedelta(seconds=settings.tick_seconds),
        discover=timedelta(seconds=settings.discover_seconds),
        lease=timedelta(seconds=settings.lease_seconds),
        keep=timedelta(days=settings.keep_days),
    )
    return Service(
        name="scheduler",
        routers=[api.router(store, deps.clock)],
        workers=[
            Worker("jobs due", timers.run_due),
            Worker("jobs offered", timers.ask_services),
            Worker("alive", timers.stay_alive),
        ],
        jobs=[Job("forget-runs", "17 4 * * *", timers.forget_runs, timedelta(minutes=5))],
        checks=[Check("postgres", postgres.ping)],
        on_stop=[postgres.close, engine.stop],
    )
