"""What a shopper asked for, read and written by the shop."""

from litestar import Router, get, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody

from recoup.kit.clock import Clock
from recoup.messages.access import Permission
from recoup.services.interventions.preferences.domain import NO_WISHES, Wishes
from recoup.services.interventions.preferences.store import People


@get("/preferences/{user_id:str}", opt={"permission": Permission.INTERVENTIONS_READ})
async def read_wishes(
    store_id: NamedDependency[str], user_id: FromPath[str], people: NamedDependency[People]
) -> Wishes:
    """Channels, quiet hours and opt-out of one person; the defaults where nothing was ever asked for."""
    return await people.find_wishes(store_id, user_id) or NO_WISHES


@put("/preferences/{user_id:str}", opt={"permission": Permission.INTERVENTIONS_WRITE})
async def write_wishes(
    store_id: NamedDependency[str],
    user_id: FromPath[str],
    data: JSONBody[Wishes],
    people: NamedDependency[People],
    clock: NamedDependency[Clock],
) -> Wishes:
    """Replaces what one person asked for."""
    await people.record_wishes(store_id, user_id, data, clock.now())
    return data


def router(people: People, clock: Clock) -> Router:
    """All routes of this feature."""
    return Router(
        "/",
        route_handlers=[read_wishes, write_wishes],
        dependencies={
            "people": Provide(lambda: people, sync_to_thread=False),
            "clock": Provide(lambda: clock, sync_to_thread=False),
        },
        tags=["preferences"],
    )
