"""The monitoring service, put together."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from recoup.kit.postgres import Postgres
from recoup.kit.service import Check, Consumer, Job, Service, Worker
from recoup.messages.deps import Deps
from recoup.messages.topics import CONVERSION_EVENTS, EVENTS_ENRICHED, INTERVENTION_EVENTS, RISK_SIGNALS
from recoup.services.monitoring.anomalies import api as anomalies_api
from recoup.services.monitoring.anomalies import store as anomalies_store
from recoup.services.monitoring.anomalies.domain.counts import COLUMNS
from recoup.services.monitoring.anomalies.handlers import Handlers
from recoup.services.monitoring.anomalies.jobs import Detector
from recoup.services.monitoring.lag.jobs import Measure
from recoup.services.monitoring.metrics import api as metrics_api
from recoup.services.monitoring.metrics import store as metrics_store
from recoup.services.monitoring.metrics.actions import Gatherer
from recoup.services.monitoring.metrics.jobs import Timers
from recoup.services.monitoring.settings import Settings
from recoup.services.monitoring.status import api as status_api
from recoup.services.monitoring.status import store as status_store
from recoup.services.monitoring.status.actions import Look

# Nothing here is urgent to a second, and costs are per batch.
_GATHER_SECONDS = 1.0


def build(deps: Deps, settings: Settings) -> Service:
    """Watches every service named in the peers' addresses, and every store whose events come by."""
    postgres = Postgres(deps.postgres_url, "monitoring")
    figures = anomalies_store.Store(postgres)
    handlers = Handlers(figures, deps.publish, deps.clock, settings.cart_value_limit, settings.adds_a_minute_limit)
    detector = Detector(
        store=figures,
        stores=deps.stores,
        clock=deps.clock,
        partitions=deps.log.partitions,
        every=timedelta(seconds=settings.look_seconds),
        late=timedelta(seconds=settings.late_seconds),
        keep=timedelta(days=settings.history_days),
    )
    points = metrics_store.Store(postgres)
    patience = timedelta(seconds=settings.patience_seconds)
    gatherer = Gatherer(points, deps.peers, deps.clock, patience)
    look = Look(
        deps.peers, status_store.Store(postgres), deps.clock, Path(deps.data), uses=gatherer.uses, patience=patience
    )
    timers = Timers(
        gatherer=gatherer,
        store=points,
        clock=deps.clock,
        look=look.everything,
        day=partial(figures.day, None),
        every=timedelta(seconds=settings.gather_seconds),
        keep_every=timedelta(seconds=settings.keep_every_seconds),
        keep=timedelta(days=settings.keep_days),
    )
    measure = Measure(deps.log, timedelta(seconds=settings.gather_seconds))
    return Service(
        name="monitoring",
        routers=[
            status_api.router(look),
            metrics_api.router(points, gatherer, metrics_api.Figures(figures.day)),
            anomalies_api.router(figures, deps.clock),
        ],
        consumes=[
            Consumer(EVENTS_ENRICHED.only(*COLUMNS), on_batch=handlers.on_enriched, gather_seconds=_GATHER_SECONDS),
            Consumer(INTERVENTION_EVENTS, on_messages=handlers.on_interventions, gather_seconds=_GATHER_SECONDS),
            Consumer(CONVERSION_EVENTS, on_messages=handlers.on_conversions, gather_seconds=_GATHER_SECONDS),
        ],
        emits=[RISK_SIGNALS],
        workers=[
            Worker("gather metrics", timers.gather),
            Worker("judge figures", detector.run),
            Worker("measure lag", measure.run),
        ],
        jobs=[
            Job("forget-metrics", "23 3 * * *", timers.forget, timedelta(minutes=10)),
            Job("forget-figures", "29 3 * * *", detector.forget, timedelta(minutes=10)),
        ],
        checks=[Check("postgres", postgres.ping), Check("log", deps.log.ping)],
        on_stop=[postgres.close],
    )
