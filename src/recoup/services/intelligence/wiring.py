"""The intelligence service, put together: the loader, its tables, and the questions they answer."""

from recoup.kit.service import Check, Job, Service, Worker
from recoup.kit.warehouse import Warehouse
from recoup.messages.deps import Deps
from recoup.services.intelligence.analytics import api as analytics_api
from recoup.services.intelligence.analytics.actions import Analytics
from recoup.services.intelligence.analytics.jobs import Jobs as AnalyticsJobs
from recoup.services.intelligence.analytics.store import Store as AnalyticsStore
from recoup.services.intelligence.carts import api as carts_api
from recoup.services.intelligence.carts.store import Store as CartStore
from recoup.services.intelligence.settings import Settings
from recoup.services.intelligence.training import api as training_api
from recoup.services.intelligence.training.store import Store as TrainingStore
from recoup.services.intelligence.warehouse.actions import Tables, until_done
from recoup.services.intelligence.warehouse.handlers import GROUP, TARGETS, Loader
from recoup.services.intelligence.warehouse.jobs import Jobs as WarehouseJobs
from recoup.services.intelligence.warehouse.store import Store, migrate


def build(deps: Deps, settings: Settings) -> Service:
    """One process of it. On chDB there can be only one; on ClickHouse as many as one likes."""
    loading = Warehouse(deps.warehouse_url)
    store = Store(loading, deps.valkey, deps.member)
    loader = Loader(store, deps.log, deps.publish, deps.member, settings)
    tables = Tables(lambda: migrate(loading, deps.clock), loading.ping)

    async def load() -> None:
        # First of all, so that the log keeps for us what comes while the warehouse is away.
        await until_done(lambda: deps.log.register(GROUP, list(TARGETS)))
        await tables.wait()
        await loader.run()

    async def start() -> None:
        await tables.begin()

    asking = Warehouse(deps.warehouse_url, threads=settings.query_threads)
    analytics = Analytics(AnalyticsStore(asking), deps.stores, deps.clock)
    return Service(
        name="intelligence",
        routers=[
            analytics_api.router(analytics),
            carts_api.router(CartStore(asking)),
            training_api.router(TrainingStore(asking), deps.stores),
        ],
        reads=[target.topic for target in TARGETS.values()],
        workers=[Worker("load the warehouse", load)],
        jobs=[
            Job("holdout-evaluation", "20 3 * * *", AnalyticsJobs(analytics, deps.peers).evaluate_holdouts),
            Job("retention", "40 3 * * *", WarehouseJobs(store, deps.clock).retain),
        ],
        checks=[Check("warehouse", tables.ping), Check("log", deps.log.ping)],
        on_start=[start],
        on_stop=[loading.close, asking.close],
    )
