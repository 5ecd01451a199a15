"""Where rules lead: topics and webhooks, their secrets, stopping and going on."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from recoup.kit.clock import Clock
from recoup.kit.errors import Invalid
from recoup.kit.ids import new_id
from recoup.kit.pages import Page
from recoup.messages.access import Permission
from recoup.services.pipeline.routing.actions import Desk
from recoup.services.pipeline.routing.domain.rules import (
    Destination,
    DestinationKind,
    Form,
    State,
    TopicName,
)
from recoup.services.pipeline.routing.store.rules import RuleStore

Url = Annotated[str, Meta(min_length=8, max_length=2_048)]
Concurrency = Annotated[int, Meta(ge=1, le=100)]
Hours = Annotated[int, Meta(ge=1, le=168)]


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


HANDLERS = (
    list_destinations, add_destination, read_destination, change_destination, remove_destination, renew_secret,
    pause_destination, resume_destination,
)  # fmt: skip
