"""Whether an event would be taken: the collector's rules and the stream's, asked without writing anything.

The collector reads and judges with `collect.domain.reading`; what the stream would set aside afterwards stands here
once more for one event, as the stream itself judges by column.
"""

from typing import Final

from recoup.kit.errors import Problem, Refused
from recoup.messages.events import Event, EventType
from recoup.services.pipeline.collect.domain.limits import Limits
from recoup.services.pipeline.collect.domain.reading import Form, read

_NEEDS_ITEMS: Final = frozenset({EventType.PRODUCT_ADDED.value, EventType.PRODUCT_REMOVED.value})
_NEEDS_ORDER: Final = frozenset(kind.value for kind in EventType if kind.value.startswith("order_"))


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
