"""Routing over HTTP: a store's rules and their versions, destinations, deliveries, and what its topics hold."""

from collections.abc import Callable

from litestar import Router
from litestar.di import Provide

from recoup.services.pipeline.routing.actions import Desk
from recoup.services.pipeline.routing.api import deliveries as deliveries_api
from recoup.services.pipeline.routing.api import destinations, rules
from recoup.services.pipeline.routing.store.deliveries import DeliveryStore


def router(desk: Desk, deliveries: DeliveryStore, news: Callable[[], None]) -> Router:
    """Everything under /routing."""
    given = {"desk": desk, "rules": desk.store, "deliveries": deliveries, "news": news}
    return Router(
        "/routing",
        route_handlers=[*rules.HANDLERS, *destinations.HANDLERS, *deliveries_api.HANDLERS],
        dependencies={name: Provide(_constant(value), sync_to_thread=False) for name, value in given.items()},
        tags=["routing"],
    )


def _constant(value: object) -> Callable[[], object]:
    return lambda: value
