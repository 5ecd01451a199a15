"""The readiness page's figures."""

from litestar import Router, get
from litestar.di import NamedDependency, Provide

from recoup.messages.access import Permission
from recoup.services.pipeline.readiness.actions import Inspector, Readiness


@get("/events/readiness", opt={"permission": Permission.EVENTS_READ})
async def read_readiness(store_id: NamedDependency[str], inspector: NamedDependency[Inspector]) -> Readiness:
    """Whether the shop sends what is needed, what is wrong with what it sends, and what to do next."""
    return await inspector.inspect(store_id)


def router(inspector: Inspector) -> Router:
    """The feature's one route."""
    return Router(
        "/",
        route_handlers=[read_readiness],
        dependencies={"inspector": Provide(lambda: inspector, sync_to_thread=False)},
        tags=["events"],
    )
