"""Gathered metrics over HTTP: their history for all, the business' figures for one store."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from litestar import Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery
from msgspec import Struct

from recoup.messages.access import Permission
from recoup.services.monitoring.metrics.actions import Gatherer
from recoup.services.monitoring.metrics.domain import Business, Series, business
from recoup.services.monitoring.metrics.store import Store

_HOUR = timedelta(hours=1)


class Figures(Struct, frozen=True):
    """Gives a store's last day: its sums by metric."""

    of_store: Callable[[str], Awaitable[dict[str, float]]]


@get("/metrics/history", opt={"permission": Permission.MONITORING_READ})
async def history(
    points: NamedDependency[Store],
    gatherer: NamedDependency[Gatherer],
    service: FromQuery[str],
    metric: FromQuery[str],
    since: FromQuery[datetime | None] = None,
    until: FromQuery[datetime | None] = None,
) -> Series:
    """One metric of one service over time, an hour unless told."""
    end = until or gatherer.clock.now()
    found = await points.series(service, metric, since or end - _HOUR, end)
    return Series(service=service, metric=metric, points=found)


@get("/metrics/latest", opt={"permission": Permission.MONITORING_READ}, sync_to_thread=False)
def latest(gatherer: NamedDependency[Gatherer]) -> dict[str, dict[str, float]]:
    """What every service exported last, label sets summed; a service that did not answer is missing."""
    return {name: dict(metrics) for name, metrics in gatherer.latest.items()}


@get("/metrics/business", opt={"permission": Permission.MONITORING_READ})
async def business_figures(store_id: NamedDependency[str], figures: NamedDependency[Figures]) -> Business:
    """The last day of a store, by its own clock."""
    return business(await figures.of_store(store_id))


def router(points: Store, gatherer: Gatherer, figures: Figures) -> Router:
    """The feature's routes."""
    return Router(
        "/",
        route_handlers=[history, latest, business_figures],
        dependencies={
            "points": Provide(lambda: points, sync_to_thread=False),
            "gatherer": Provide(lambda: gatherer, sync_to_thread=False),
            "figures": Provide(lambda: figures, sync_to_thread=False),
        },
        tags=["metrics"],
    )
