"""Anomalies over HTTP: a store's list, one of them, what was done about it, and reporting one."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Router, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody
from msgspec import Meta, Struct

from recoup.kit.clock import Clock
from recoup.kit.errors import Invalid
from recoup.kit.ids import derived_id, new_id
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page, cursor_after, position
from recoup.messages.access import Permission, Principal
from recoup.services.monitoring.anomalies.domain.anomaly import Anomaly, Kind, Status
from recoup.services.monitoring.anomalies.store import Store

Key = Annotated[Annotated[str, Meta(max_length=255)] | None, HeaderParameter(name="Idempotency-Key")]


class Handling(Struct, frozen=True, forbid_unknown_fields=True):
    """What was done about an anomaly."""

    status: Status
    note: Annotated[str, Meta(max_length=4096)] = ""


class Report(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something unusual that somebody else noticed."""

    subject: Annotated[str, Meta(min_length=1, max_length=128)]
    """What it is about: a figure, a cart, a visitor."""
    detail: Annotated[str, Meta(min_length=1, max_length=4096)]
    occurred_at: Annotated[datetime, Meta(tz=True)] | None = None


@get("/anomalies", opt={"permission": Permission.MONITORING_READ})
async def list_anomalies(
    store_id: NamedDependency[str],
    anomalies: NamedDependency[Store],
    status: FromQuery[Status | None] = None,
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[Anomaly]:
    """A store's anomalies, newest first."""
    found = await anomalies.page(store_id, status, None if cursor is None else _before(cursor), limit)
    last = found[-1] if len(found) == limit else None
    return Page(found, None if last is None else cursor_after(last.started_at.isoformat(), str(last.id)))


@get("/anomalies/{anomaly:uuid}", opt={"permission": Permission.MONITORING_READ})
async def one_anomaly(
    store_id: NamedDependency[str], anomaly: FromPath[UUID], anomalies: NamedDependency[Store]
) -> Anomaly:
    """One anomaly."""
    return await anomalies.anomaly(store_id, anomaly)


@put("/anomalies/{anomaly:uuid}", opt={"permission": Permission.MONITORING_WRITE})
async def handle_anomaly(
    store_id: NamedDependency[str],
    anomaly: FromPath[UUID],
    data: JSONBody[Handling],
    caller: NamedDependency[Principal],
    anomalies: NamedDependency[Store],
) -> Anomaly:
    """Marks it as handled or ignored, or open again."""
    return await anomalies.handle(store_id, anomaly, data.status, data.note, caller.subject)


@post("/anomalies/report", opt={"permission": Permission.MONITORING_WRITE})
async def report_anomaly(
    store_id: NamedDependency[str],
    data: JSONBody[Report],
    anomalies: NamedDependency[Store],
    clock: NamedDependency[Clock],
    key: Key = None,
) -> Anomaly:
    """Adds one that somebody else noticed; the same Idempotency-Key gives the same one."""
    now = clock.now()
    at = data.occurred_at or now
    reported = Anomaly(
        id=new_id() if key is None else derived_id("anomaly reported", store_id, key),
        store_id=store_id,
        kind=Kind.REPORTED,
        subject=data.subject,
        started_at=at,
        last_seen_at=at,
        ended_at=at,
        reasons=[data.detail],
        found_at=now,
    )
    return await anomalies.report(reported)


def router(anomalies: Store, clock: Clock) -> Router:
    """The feature's routes."""
    return Router(
        "/",
        route_handlers=[list_anomalies, one_anomaly, handle_anomaly, report_anomaly],
        dependencies={
            "anomalies": Provide(lambda: anomalies, sync_to_thread=False),
            "clock": Provide(lambda: clock, sync_to_thread=False),
        },
        tags=["anomalies"],
    )


def _before(cursor: str) -> tuple[datetime, UUID]:
    started_at, anomaly = position(cursor, 2)
    try:
        return datetime.fromisoformat(started_at), UUID(anomaly)
    except ValueError as error:
        raise Invalid("the cursor is not one of ours", code="cursor_invalid") from error
