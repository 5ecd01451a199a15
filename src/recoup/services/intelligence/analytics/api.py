"""Questions over HTTP: overview, conversion, revenue, live figures."""

from datetime import datetime
from typing import Annotated

from litestar import Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from recoup.kit.clock import milliseconds
from recoup.kit.errors import Invalid, Problem
from recoup.messages.access import Permission
from recoup.services.intelligence.analytics.actions import Analytics
from recoup.services.intelligence.analytics.domain import FOR_EVER, Funnel, Live, Overview, Period, Revenue

Since = Annotated[
    datetime | None, QueryParameter(name="from", description="First moment, RFC 3339; the beginning if left out")
]
Until = Annotated[datetime | None, QueryParameter(name="to", description="Before this moment; the end if left out")]
READ = {"permission": Permission.ANALYTICS_READ}


@get("/overview", opt=READ)
async def overview(
    store_id: NamedDependency[str], analytics: NamedDependency[Analytics], since: Since = None, until: Until = None
) -> Overview:
    """A shop at a glance: events, carts, orders, what was recovered and what our messages caused."""
    return await analytics.overview(store_id, period(since, until))


@get("/conversion", opt=READ)
async def conversion(
    store_id: NamedDependency[str], analytics: NamedDependency[Analytics], since: Since = None, until: Until = None
) -> Funnel:
    """From looking to buying, by session and day."""
    return await analytics.funnel(store_id, period(since, until))


@get("/revenue", opt=READ)
async def revenue(
    store_id: NamedDependency[str], analytics: NamedDependency[Analytics], since: Since = None, until: Until = None
) -> Revenue:
    """Orders by day and by channel."""
    return await analytics.revenue(store_id, period(since, until))


@get("/live", opt=READ)
async def live(store_id: NamedDependency[str], analytics: NamedDependency[Analytics]) -> Live:
    """The last minutes on the store's clock: events a minute, open carts, what is at risk."""
    return await analytics.live(store_id)


def period(since: datetime | None, until: datetime | None) -> Period:
    """Raises Invalid for a moment without an offset, and for an end that is not after the start."""
    found = Period(_moment("from", since, FOR_EVER.since), _moment("to", until, FOR_EVER.until))
    if found.since >= found.until:
        raise Invalid("the period is empty", problems=[Problem(code="invalid", field="to", detail="not after `from`")])
    return found


def _moment(field: str, given: datetime | None, otherwise: int) -> int:
    if given is None:
        return otherwise
    if given.tzinfo is None:
        raise Invalid(f"{field} has no offset", problems=[Problem(code="invalid", field=field, detail="no offset")])
    return milliseconds(given)


def router(analytics: Analytics) -> Router:
    """The routes under /analytics."""
    return Router(
        "/analytics",
        route_handlers=[overview, conversion, revenue, live],
        tags=["analytics"],
        dependencies={"analytics": Provide(lambda: analytics, sync_to_thread=False)},
    )
