"""Trying an event out on the schemas of its type, and migrations before they are set."""

import asyncio

from litestar import Router, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from recoup.kit.errors import Missing
from recoup.messages.access import Permission
from recoup.messages.schemas import OnViolation, Steps
from recoup.services.pipeline.schemas.actions import Catalogs
from recoup.services.pipeline.schemas.domain.trying import SchemaTrial, draft, sample_of, trial


class EventSample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event as it is sent, with what is to be tried on it."""

    event: dict[str, object]
    """`schema_version` (1 if it names none), `properties`, and whatever of the event the schema names besides."""
    steps: Steps | None = None
    """A migration away from the event's version, in place of the one that is set."""
    on_violation: OnViolation | None = None
    """In place of what is set."""


@post("/events/schemas/{name:str}/try", opt={"permission": Permission.SCHEMAS_READ}, status_code=200)
async def try_event(
    name: FromPath[str],
    data: JSONBody[EventSample],
    store_id: NamedDependency[str],
    catalogs: NamedDependency[Catalogs],
) -> SchemaTrial:
    """What would become of an event of this type, and what migrations would make of it; keeps and changes nothing."""
    event, version = sample_of(data.event)
    catalog = await catalogs.renewed(store_id, [(name, version)])
    subject = catalog.subjects.get(name)
    if subject is None:
        raise Missing(f"no schema is registered for {name[:100]!r}", code="schema_missing")
    planned = draft(subject, version, data.steps, data.on_violation)
    # Schemas that nobody asked for yet are compiled by it.
    return await asyncio.to_thread(trial, planned, event, version, catalog)


def router(catalogs: Catalogs) -> Router:
    """The feature's one route."""
    return Router(
        "/",
        route_handlers=[try_event],
        dependencies={"catalogs": Provide(lambda: catalogs, sync_to_thread=False)},
        tags=["schemas"],
    )
