"""Whether an event would be taken: the collector's rules and the stream's, asked without writing anything.

The collector reads and judges with `collect.domain.reading`; what the stream would set aside afterwards stands here
once more for one event, as the stream itself judges by column.
"""

from datetime import datetime, timedelta
from typing import Final

from recoup.kit.errors import Problem, Refused
from recoup.messages.events import Event, EventType
from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.collect.domain.reading import SHOP_TYPES, Form, Limits, read
from recoup.services.pipeline.settings import Settings

_NEEDS_ITEMS: Final = frozenset({EventType.PRODUCT_ADDED.value, EventType.PRODUCT_REMOVED.value})
_NEEDS_ORDER: Final = frozenset(kind.value for kind in EventType if kind.value.startswith("order_"))


def limits(store_id: str, store: StoreSettings, settings: Settings, now: datetime) -> Limits:
    """What the collector holds an event of this store to at this moment."""
    return Limits(
        store_id=store_id,
        types=SHOP_TYPES if store.clock == "wall" else SHOP_TYPES | {EventType.CLOCK.value},
        oldest=None if store.clock == "event" else now - timedelta(days=store.oldest_event_days),
        newest=now + timedelta(hours=settings.future_hours),
        events=1,
        items=settings.max_items,
        properties_bytes=settings.max_properties_bytes,
    )


def check(body: bytes, held_to: Limits) -> Problem | None:
    """Why this event would not be taken; None where it would."""
    try:
        reading = read(body, Form.ONE, held_to)
    except Refused as refusal:
        return Problem(code=refusal.reason, detail=refusal.detail)
    if reading.refusals:
        return reading.refusals[0].problem
    return _later(reading.events[0]) if reading.events else Problem(code="empty", detail="there is no event in it")


def _later(event: Event) -> Problem | None:
    if event.type in _NEEDS_ITEMS and not event.items:
        return Problem(code="schema_violation", field="items", detail="an event of this type must name its items")
    if event.type in _NEEDS_ORDER and event.order_id is None:
        return Problem(code="schema_violation", field="order_id", detail="an event of this type must name its order")
    return None
