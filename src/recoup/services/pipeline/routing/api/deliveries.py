"""What is on its way to webhooks and what became of it, and what topics hold."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from recoup.kit.errors import Conflict, Missing
from recoup.kit.log.port import Log
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page
from recoup.kit.runner import decoded
from recoup.messages.access import Permission
from recoup.services.pipeline.routing.actions import Desk
from recoup.services.pipeline.routing.api.cursors import number
from recoup.services.pipeline.routing.domain import feed
from recoup.services.pipeline.routing.domain.payload import ROUTED
from recoup.services.pipeline.routing.domain.rules import (
    DestinationKind,
    Status,
    topic_name,
)
from recoup.services.pipeline.routing.store.deliveries import DeliveryStore, Entry, Queue


class Delivery(Struct, frozen=True, kw_only=True):
    """A delivery with what was or will be sent."""

    id: UUID
    destination_id: UUID
    status: Status
    attempts: int
    note: str
    body: str


class Queues(Struct, frozen=True, kw_only=True):
    """A store's deliveries, counted by destination and status."""

    items: list[Queue]


class Feed(Struct, frozen=True, kw_only=True):
    """Events of a topic; the cursor is good for ever, and asks for what comes after them."""

    items: list[dict[str, object]]
    next_cursor: str


@get("/deliveries", opt={"permission": Permission.EVENTS_READ})
async def list_deliveries(
    store_id: NamedDependency[str],
    deliveries: NamedDependency[DeliveryStore],
    destination: FromQuery[UUID | None] = None,
    status: FromQuery[Status | None] = None,
    cursor: FromQuery[int | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[Entry]:
    """What was queued for webhooks and what became of it, newest first."""
    found = await deliveries.page(store_id, destination, status, number(cursor), limit)
    return Page(found, str(found[-1].number) if len(found) == limit else None)


@get("/queues", opt={"permission": Permission.EVENTS_READ})
async def list_queues(store_id: NamedDependency[str], deliveries: NamedDependency[DeliveryStore]) -> Queues:
    """How many deliveries wait, were received and were given up, by destination."""
    return Queues(items=await deliveries.queues(store_id))


@get("/deliveries/{delivery_id:uuid}", opt={"permission": Permission.EVENTS_READ})
async def open_delivery(
    delivery_id: FromPath[UUID], store_id: NamedDependency[str], deliveries: NamedDependency[DeliveryStore]
) -> Delivery:
    """One delivery with its body."""
    found = await deliveries.delivery(store_id, delivery_id)
    return Delivery(
        id=found.id, destination_id=found.destination_id, status=found.status, attempts=found.attempts,
        note=found.note, body=found.body.decode(),
    )  # fmt: skip


@post("/deliveries/{delivery_id:uuid}/redeliver", opt={"permission": Permission.DLQ_WRITE}, status_code=202)
async def redeliver(
    delivery_id: FromPath[UUID],
    store_id: NamedDependency[str],
    deliveries: NamedDependency[DeliveryStore],
    desk: NamedDependency[Desk],
    news: NamedDependency[Callable[[], None]],
) -> Delivery:
    """Sends one that was given up or received once more, under its own id."""
    found = await deliveries.delivery(store_id, delivery_id)
    if not await deliveries.revive(store_id, delivery_id, desk.clock.now()):
        raise Conflict("it still waits to be sent", code="still_waiting")
    news()
    return Delivery(
        id=found.id, destination_id=found.destination_id, status=Status.WAITING, attempts=0, note=found.note,
        body=found.body.decode(),
    )  # fmt: skip


@get("/topics/{name:str}/events", opt={"permission": Permission.EVENTS_READ})
async def read_topic(
    name: FromPath[str],
    store_id: NamedDependency[str],
    desk: NamedDependency[Desk],
    cursor: FromQuery[str] = "",
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Feed:
    """Events of a topic behind the cursor, from the oldest kept; nothing new gives none and the same cursor."""
    topic = next((one for one in await desk.store.destinations(store_id) if one.name == name), None)
    if topic is None or topic.kind is not DestinationKind.TOPIC:
        raise Missing(f"no topic {name!r}")
    place = feed.read(cursor)
    log: Log = desk.log
    records = await log.after(topic_name(store_id, name), feed.starts(place), limit=desk.settings.routing_page_records)
    chunks = [feed.Chunk(one.partition, one.offset, decoded([one], ROUTED).table) for one in records]
    oldest = desk.clock.now() - timedelta(hours=topic.retention_hours or 0)
    items, reached = feed.page(chunks, place, limit, oldest)
    return Feed(items=items, next_cursor=feed.written(reached))


HANDLERS = (list_deliveries, list_queues, open_delivery, redeliver, read_topic)
