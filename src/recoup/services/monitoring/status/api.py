"""How everything is, over HTTP. It is the same for every store, so no route asks for one."""

from litestar import Router, get
from litestar.di import NamedDependency, Provide
from msgspec import Struct

from recoup.messages.access import Permission
from recoup.services.monitoring.status.actions import Look
from recoup.services.monitoring.status.domain import Infrastructure, Level, ServiceStatus, overall


class Glance(Struct, frozen=True, kw_only=True):
    """The system at a glance."""

    status: Level
    services: dict[str, Level]
    infrastructure: Infrastructure


@get("/services/status", opt={"permission": Permission.MONITORING_READ})
async def services_status(look: NamedDependency[Look]) -> list[ServiceStatus]:
    """Every process: what it answers now, and what its supervisor says of it."""
    return await look.services()


@get("/infrastructure", opt={"permission": Permission.MONITORING_READ})
async def infrastructure(look: NamedDependency[Look]) -> Infrastructure:
    """Processor, memory, disk, network and database connections, by machine and process."""
    return await look.infrastructure()


@get("/status", opt={"permission": Permission.MONITORING_READ})
async def status(look: NamedDependency[Look]) -> Glance:
    """The system at a glance."""
    services = await look.services()
    return Glance(
        status=overall(services),
        services={service.service: service.status for service in services},
        infrastructure=await look.infrastructure(),
    )


def router(look: Look) -> Router:
    """The feature's routes."""
    return Router(
        "/",
        route_handlers=[services_status, infrastructure, status],
        dependencies={"look": Provide(lambda: look, sync_to_thread=False)},
        tags=["status"],
    )
