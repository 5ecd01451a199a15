"""Routing over HTTP: a store's rules and their versions, destinations, deliveries, and what its topics hold."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from litestar import Router, delete, get, patch, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from recoup.kit.clock import Clock
from recoup.kit.errors import Conflict, Invalid, Missing
from recoup.kit.ids import new_id
from recoup.kit.log.port import Log
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page
from recoup.kit.runner import decoded
from recoup.messages.access import Permission, Principal
from recoup.services.pipeline.routing.actions import Desk
from recoup.services.pipeline.routing.domain import feed
from recoup.services.pipeline.routing.domain.payload import ROUTED
from recoup.services.pipeline.routing.domain.rules import (
    Destination,
    DestinationKind,
    Form,
    Rule,
    RuleName,
    State,
    Status,
    TopicName,
    topic_name,
)
from recoup.services.pipeline.routing.store.deliveries import DeliveryStore, Entry
from recoup.services.pipeline.routing.store.rules import RuleStore, Version

Url = Annotated[str, Meta(min_length=8, max_length=2_048)]
Concurrency = Annotated[int, Meta(ge=1, le=100)]
Hours = Annotated[int, Meta(ge=1, le=168)]
Destinations = Annotated[list[UUID], Meta(min_length=1, max_length=100)]


class NewRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule as it is to be; the guide has the language of `when`."""

    name: RuleName
    to: Destinations
    """Ids of destinations."""
    when: dict[str, object] | None = None
    enabled: bool = True


class Rules(Struct, frozen=True, kw_only=True):
    """A store's rules as they are now."""

    version: int
    items: list[Rule]


class NewDestination(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A topic of the store's own, or a webhook with its URL."""

    name: TopicName
    kind: DestinationKind
    url: Url | None = None
    form: Form | None = None
    """`batch` if nothing is said."""
    concurrency: Concurrency | None = None
    """Calls at a time; 2 if nothing is said."""
    retention_hours: Hours | None = None
    """Of a topic; 24 if nothing is said."""


class DestinationChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be changed of a destination; what is left out stays."""

    url: Url | UnsetType = UNSET
    form: Form | UnsetType = UNSET
    concurrency: Concurrency | UnsetType = UNSET
    retention_hours: Hours | UnsetType = UNSET


class Made(Struct, frozen=True, kw_only=True):
    """A new destination, and the secret of a webhook: this once."""

    destination: Destination
    secret: str | None = None


class NewSecret(Struct, frozen=True, kw_only=True):
    """A webhook's secret: this once."""

    secret: str


class Delivery(Struct, frozen=True, kw_only=True):
    """A delivery with what was or will be sent."""

    id: UUID
    destination_id: UUID
    status: Status
    attempts: int
    note: str
    body: str


class Feed(Struct, frozen=True, kw_only=True):
    """Events of a topic; the cursor is good for ever, and asks for what comes after them."""

    items: list[dict[str, object]]
    next_cursor: str


@get("/rules", opt={"permission": Permission.SETTINGS_READ})
async def list_rules(store_id: NamedDependency[str], rules: NamedDependency[RuleStore]) -> Rules:
    """All rules of a store."""
    found = await rules.current(store_id)
    return Rules(version=found.version, items=list(found.rules))


@post("/rules", opt={"permission": Permission.SETTINGS_WRITE})
async def add_rule(
    data: JSONBody[NewRule],
    store_id: NamedDependency[str],
    caller: NamedDependency[Principal],
    desk: NamedDependency[Desk],
) -> Rule:
    """Adds a rule; it copies what is enriched from now on."""
    return await desk.add_rule(store_id, _rule(new_id(), data, desk.clock), caller.subject)


@get("/rules/{rule_id:uuid}", opt={"permission": Permission.SETTINGS_READ})
async def read_rule(rule_id: FromPath[UUID], store_id: NamedDependency[str], rules: NamedDependency[RuleStore]) -> Rule:
    """One rule."""
    for rule in (await rules.current(store_id)).rules:
        if rule.id == rule_id:
            return rule
    raise Missing(f"no rule {rule_id}")


@put("/rules/{rule_id:uuid}", opt={"permission": Permission.SETTINGS_WRITE})
async def change_rule(
    rule_id: FromPath[UUID],
    data: JSONBody[NewRule],
    store_id: NamedDependency[str],
    caller: NamedDependency[Principal],
    desk: NamedDependency[Desk],
) -> Rule:
    """Replaces a rule, within seconds."""
    return await desk.change_rule(store_id, _rule(rule_id, data, desk.clock), caller.subject)


@delete("/rules/{rule_id:uuid}", opt={"permission": Permission.SETTINGS_WRITE})
async def remove_rule(
    rule_id: FromPath[UUID],
    store_id: NamedDependency[str],
    caller: NamedDependency[Principal],
    desk: NamedDependency[Desk],
) -> None:
    """Removes a rule; what it has queued is still sent."""
    await desk.remove_rule(store_id, rule_id, caller.subject)


@get("/versions", opt={"permission": Permission.SETTINGS_READ})
async def list_versions(
    store_id: NamedDependency[str],
    rules: NamedDependency[RuleStore],
    cursor: FromQuery[int | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[Version]:
    """What the rules were, newest first, and who changed them."""
    found = await rules.versions(store_id, _number(cursor), limit)
    return Page(found, str(found[-1].version) if len(found) == limit else None)


@post("/versions/{version:int}/restore", opt={"permission": Permission.SETTINGS_WRITE})
async def restore_version(
    version: FromPath[int],
    store_id: NamedDependency[str],
    caller: NamedDependency[Principal],
    desk: NamedDependency[Desk],
) -> Version:
    """Makes older rules the newest version."""
    return await desk.restore(store_id, _within_int(version), caller.subject)


@get("/destinations", opt={"permission": Permission.SETTINGS_READ})
async def list_destinations(store_id: NamedDependency[str], rules: NamedDependency[RuleStore]) -> Page[Destination]:
    """Where a store's rules may lead, and how each does."""
    return Page(await rules.destinations(store_id))


@post("/destinations", opt={"permission": Permission.SETTINGS_WRITE})
async def add_destination(
    data: JSONBody[NewDestination], store_id: NamedDependency[str], desk: NamedDependency[Desk]
) -> Made:
    """Adds a topic or a webhook."""
    made = _destination(store_id, data, desk.clock)
    secret = await desk.add_destination(made)
    return Made(destination=made, secret=None if secret is None else secret.reveal())


@get("/destinations/{destination_id:uuid}", opt={"permission": Permission.SETTINGS_READ})
async def read_destination(
    destination_id: FromPath[UUID], store_id: NamedDependency[str], rules: NamedDependency[RuleStore]
) -> Destination:
    """One destination."""
    return await rules.destination(store_id, destination_id)


@patch("/destinations/{destination_id:uuid}", opt={"permission": Permission.SETTINGS_WRITE})
async def change_destination(
    destination_id: FromPath[UUID],
    data: JSONBody[DestinationChange],
    store_id: NamedDependency[str],
    desk: NamedDependency[Desk],
) -> Destination:
    """Changes how a destination is reached; its name and kind stay."""
    await desk.change_destination(_changed(await desk.store.destination(store_id, destination_id), data))
    return await desk.store.destination(store_id, destination_id)


@delete("/destinations/{destination_id:uuid}", opt={"permission": Permission.SETTINGS_WRITE})
async def remove_destination(
    destination_id: FromPath[UUID], store_id: NamedDependency[str], desk: NamedDependency[Desk]
) -> None:
    """Removes a destination with all that waits for it; not while a rule leads there."""
    await desk.remove_destination(store_id, destination_id)


@post("/destinations/{destination_id:uuid}/secret", opt={"permission": Permission.SETTINGS_WRITE})
async def renew_secret(
    destination_id: FromPath[UUID], store_id: NamedDependency[str], desk: NamedDependency[Desk]
) -> NewSecret:
    """A new secret; the old one signs along for some hours, so that a receiver can change at leisure."""
    return NewSecret(secret=(await desk.renew_secret(store_id, destination_id)).reveal())


@post("/destinations/{destination_id:uuid}/pause", opt={"permission": Permission.SETTINGS_WRITE}, status_code=204)
async def pause_destination(
    destination_id: FromPath[UUID], store_id: NamedDependency[str], rules: NamedDependency[RuleStore]
) -> None:
    """Calls it no more; what rules send there waits."""
    await rules.set_state(store_id, destination_id, State.PAUSED, "paused by hand")


@post("/destinations/{destination_id:uuid}/resume", opt={"permission": Permission.SETTINGS_WRITE}, status_code=204)
async def resume_destination(
    destination_id: FromPath[UUID],
    store_id: NamedDependency[str],
    rules: NamedDependency[RuleStore],
    news: NamedDependency[Callable[[], None]],
) -> None:
    """Calls it again, beginning with what waits."""
    await rules.set_state(store_id, destination_id, State.ACTIVE, "")
    news()


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
    found = await deliveries.page(store_id, destination, status, _number(cursor), limit)
    return Page(found, str(found[-1].number) if len(found) == limit else None)


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


def _rule(id_: UUID, data: NewRule, clock: Clock) -> Rule:
    return Rule(
        id=id_, name=data.name, enabled=data.enabled, when=data.when, to=tuple(dict.fromkeys(data.to)),
        since=clock.now(),
    )  # fmt: skip


def _destination(store_id: str, data: NewDestination, clock: Clock) -> Destination:
    webhook = data.kind is DestinationKind.WEBHOOK
    foreign = (data.retention_hours,) if webhook else (data.url, data.form, data.concurrency)
    if any(value is not None for value in foreign) or (webhook and data.url is None):
        raise Invalid("a webhook has url, form and concurrency, a topic has retention_hours", code="wrong_kind")
    return Destination(
        id=new_id(), store_id=store_id, name=data.name, kind=data.kind, url=data.url,
        form=data.form or Form.BATCH if webhook else None,
        concurrency=data.concurrency or 2 if webhook else None,
        retention_hours=None if webhook else data.retention_hours or 24, created_at=clock.now(),
    )  # fmt: skip


def _changed(one: Destination, data: DestinationChange) -> Destination:
    webhook = one.kind is DestinationKind.WEBHOOK
    foreign = (data.retention_hours,) if webhook else (data.url, data.form, data.concurrency)
    if any(value is not UNSET for value in foreign):
        raise Invalid("a webhook has url, form and concurrency, a topic has retention_hours", code="wrong_kind")
    return Destination(
        id=one.id, store_id=one.store_id, name=one.name, kind=one.kind, created_at=one.created_at,
        url=one.url if data.url is UNSET else data.url,
        form=one.form if data.form is UNSET else data.form,
        concurrency=one.concurrency if data.concurrency is UNSET else data.concurrency,
        retention_hours=one.retention_hours if data.retention_hours is UNSET else data.retention_hours,
    )  # fmt: skip


def _number(cursor: int | None) -> int | None:
    if cursor is not None and not 0 <= cursor < 2**31:
        raise Invalid("the cursor is not one of ours", code="cursor_invalid")
    return cursor


def _within_int(version: int) -> int:
    if not 0 <= version < 2**31:
        raise Missing(f"no version {version} of the rules")
    return version


def router(desk: Desk, deliveries: DeliveryStore, news: Callable[[], None]) -> Router:
    """Everything under /routing."""
    given = {"desk": desk, "rules": desk.store, "deliveries": deliveries, "news": news}
    return Router(
        "/routing",
        route_handlers=[
            list_rules, add_rule, read_rule, change_rule, remove_rule, list_versions, restore_version,
            list_destinations, add_destination, read_destination, change_destination, remove_destination,
            renew_secret, pause_destination, resume_destination, list_deliveries, open_delivery, redeliver, read_topic,
        ],
        dependencies={name: Provide(_constant(value), sync_to_thread=False) for name, value in given.items()},
        tags=["routing"],
    )  # fmt: skip


def _constant(value: object) -> Callable[[], object]:
    return lambda: value
