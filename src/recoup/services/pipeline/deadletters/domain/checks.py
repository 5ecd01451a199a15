"""Whether an event would be taken: the collector's rules and the stream's, asked without writing anything.

The collector reads and judges with `collect.domain.reading`; what the stream would set aside afterwards stands here
once more for one event, as the stream itself judges by column.
"""

from typing import Final, NamedTuple, cast

import msgspec
from msgspec.structs import replace

from recoup.kit.errors import Problem, Refused
from recoup.messages.events import NO_PROPERTIES, Event, EventType
from recoup.messages.schemas import OLDEST_VERSION, OnViolation
from recoup.services.pipeline.collect.domain.limits import Limits
from recoup.services.pipeline.collect.domain.reading import Form, read
from recoup.services.pipeline.schemas.domain.catalog import Catalog
from recoup.services.pipeline.schemas.domain.documents import decoded
from recoup.services.pipeline.schemas.domain.judging import judge, reason

_NEEDS_ITEMS: Final = frozenset({EventType.PRODUCT_ADDED.value, EventType.PRODUCT_REMOVED.value})
_NEEDS_ORDER: Final = frozenset(kind.value for kind in EventType if kind.value.startswith("order_"))


class Planned(NamedTuple):
    """What the store registered, and whether it refuses types of which it registered nothing."""

    catalog: Catalog
    only: bool


def check(body: bytes, held_to: Limits, planned: Planned | None = None) -> Problem | None:
    """Why this event would not be taken; None where it would."""
    try:
        reading = read(body, Form.ONE, held_to)
    except Refused as refusal:
        return Problem(code=refusal.reason, detail=refusal.detail)
    if reading.refusals:
        return reading.refusals[0].problem
    if not reading.events:
        return Problem(code="empty", detail="there is no event in it")
    event = reading.events[0]
    return _later(event) or (_schema(event, held_to.store_id, planned) if planned is not None else None)


def _later(event: Event) -> Problem | None:
    if event.type in _NEEDS_ITEMS and not event.items:
        return Problem(code="schema_violation", field="items", detail="an event of this type must name its items")
    if event.type in _NEEDS_ORDER and event.order_id is None:
        return Problem(code="schema_violation", field="order_id", detail="an event of this type must name its order")
    return None


def _schema(event: Event, store_id: str, planned: Planned) -> Problem | None:
    subject = planned.catalog.subjects.get(event.type)
    if subject is None:
        detail = f"no schema is registered for {event.type!r}"
        return Problem(code="unplanned_event", field="type", detail=detail) if planned.only else None
    verdict = judge(subject, _table(event, store_id), planned.catalog)
    if not verdict.violations or subject.rules.on_violation is OnViolation.WARN:
        return None
    first = verdict.violations[0]
    return Problem(code=first.kind.value, field=first.path, detail=reason(subject.name, verdict))


def _table(event: Event, store_id: str) -> dict[str, object]:
    """The event as its JSON, with what the stream adds to it."""
    bare = replace(event, properties=NO_PROPERTIES, user_hash=None, store_id=store_id)
    found = cast("dict[str, object]", msgspec.json.decode(msgspec.json.encode(bare)))
    found.setdefault("schema_version", OLDEST_VERSION)
    return found | {"properties": decoded(bytes(event.properties))} if len(event.properties) else found
