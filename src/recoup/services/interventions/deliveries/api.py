"""What was decided and what became of it: lists, one in full, calling one off, and how far we are."""

from datetime import datetime
from uuid import UUID

from litestar import Router, delete, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page, cursor_after
from recoup.messages.access import Permission
from recoup.messages.facts import ConversionRecorded
from recoup.services.interventions.attribution.store import Orders
from recoup.services.interventions.channels.store import place
from recoup.services.interventions.clocks.store import Clocks
from recoup.services.interventions.decisions.domain import Intervention
from recoup.services.interventions.decisions.store.interventions import Progress, Reach
from recoup.services.interventions.deliveries.actions import Endings
from recoup.services.interventions.deliveries.store import Deliveries, Listed, View
from recoup.services.interventions.tracking.domain import Touch
from recoup.services.interventions.tracking.store import Touches


class Story(Struct, frozen=True, kw_only=True):
    """One decision in full: every rule's answer, the delivery, what was done with the message, the orders."""

    decision: Intervention
    delivery: View | None
    touches: list[Touch]
    conversions: list[ConversionRecorded]


@get("/interventions", opt={"permission": Permission.INTERVENTIONS_READ})
async def read_interventions(
    store_id: NamedDependency[str],
    deliveries: NamedDependency[Deliveries],
    status: FromQuery[str | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Page[Listed]:
    """Decisions with their rules and deliveries, newest first; `status` is a delivery's, or an outcome."""
    rows = await deliveries.listed(store_id, status, place(cursor), limit)
    last = rows[-1] if len(rows) == limit else None
    return Page(rows, cursor_after(last.recorded_at.isoformat(), str(last.id)) if last else None)


@get("/interventions/progress", opt={"permission": Permission.INTERVENTIONS_READ})
async def read_progress(
    store_id: NamedDependency[str], endings: NamedDependency[Endings], clocks: NamedDependency[Clocks]
) -> Progress:
    """How far the store's clock has come here, and what is still to be done up to then."""
    now: datetime | None = await clocks.now(store_id, await endings.stores.settings(store_id))
    return await endings.interventions.progress(store_id, now)


@get("/interventions/reach", opt={"permission": Permission.INTERVENTIONS_READ})
async def read_reach(store_id: NamedDependency[str], endings: NamedDependency[Endings]) -> Reach:
    """Of the carts that were left in the last days, whom a mail could reach."""
    store = await endings.stores.settings(store_id)
    return await endings.interventions.reach(
        store_id, endings.clock.now(), needs_consent=store.contact_requires_consent
    )


@get("/interventions/{intervention_id:uuid}", opt={"permission": Permission.INTERVENTIONS_READ})
async def read_intervention(
    store_id: NamedDependency[str],
    intervention_id: FromPath[UUID],
    endings: NamedDependency[Endings],
    touches: NamedDependency[Touches],
    orders: NamedDependency[Orders],
) -> Story:
    """One decision with all that followed."""
    return Story(
        decision=await endings.interventions.intervention(store_id, intervention_id),
        delivery=await endings.deliveries.find_view(store_id, intervention_id),
        touches=await touches.of_intervention(store_id, intervention_id),
        conversions=await orders.of_intervention(store_id, intervention_id),
    )


@delete("/interventions/{intervention_id:uuid}", opt={"permission": Permission.INTERVENTIONS_WRITE})
async def call_off(
    store_id: NamedDependency[str], intervention_id: FromPath[UUID], endings: NamedDependency[Endings]
) -> None:
    """Cancels a message that hasn't left yet; 409 if there is none under way."""
    await endings.call_off(store_id, intervention_id, "called off by hand")


def router(endings: Endings, clocks: Clocks, touches: Touches, orders: Orders) -> Router:
    """All routes of this feature."""
    return Router(
        "/",
        route_handlers=[read_interventions, read_progress, read_reach, read_intervention, call_off],
        dependencies={
            "endings": Provide(lambda: endings, sync_to_thread=False),
            "deliveries": Provide(lambda: endings.deliveries, sync_to_thread=False),
            "clocks": Provide(lambda: clocks, sync_to_thread=False),
            "touches": Provide(lambda: touches, sync_to_thread=False),
            "orders": Provide(lambda: orders, sync_to_thread=False),
        },
        tags=["interventions"],
    )
