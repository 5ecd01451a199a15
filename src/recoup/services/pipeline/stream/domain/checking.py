"""The first two steps: drop what was seen before, set aside what its type does not allow."""

from typing import Final

import numpy as np
import pyarrow.compute as pc

from recoup.messages.events import EventType
from recoup.services.pipeline.stream.domain.planned import hold_against_schemas
from recoup.services.pipeline.stream.domain.seen import first_of_each
from recoup.services.pipeline.stream.domain.work import Dead, Known, Work

_NEEDS_ITEMS: Final = frozenset({EventType.PRODUCT_ADDED.value, EventType.PRODUCT_REMOVED.value})
_CLOCK: Final = frozenset({EventType.CLOCK.value})
_NEEDS_ORDER: Final = frozenset(
    kind.value
    for kind in (
        EventType.ORDER_COMPLETED,
        EventType.ORDER_UPDATED,
        EventType.ORDER_REFUNDED,
        EventType.ORDER_CANCELLED,
    )
)


def deduplicate(work: Work, known: Known) -> None:
    """Keeps the first event of each id within a store."""
    duplicates = known.seen | ~first_of_each(work.ids)
    duplicates &= ~work.of_types(_CLOCK)
    work.duplicates = duplicates
    work.kept &= ~duplicates


def validate(work: Work, known: Known) -> None:
    """Sets aside events that lack what their type is about, or that break the schema their store registered for it."""
    needs_items = work.of_types(_NEEDS_ITEMS)
    if needs_items.any():
        lengths = pc.list_value_length(work.rows.column("items")).fill_null(0).to_numpy()
        _set_aside(work, needs_items & (lengths == 0), "items", "an event of this type must name its items")
    needs_order = work.of_types(_NEEDS_ORDER)
    if needs_order.any():
        missing = work.rows.column("order_id").is_null().to_numpy()
        _set_aside(work, needs_order & missing, "order_id", "an event of this type must name its order")
    if known.catalogs:
        hold_against_schemas(work, known)


def _set_aside(work: Work, broken: np.ndarray, field: str, reason: str) -> None:
    broken = broken & work.kept
    work.dead += [Dead(int(row), "schema_violation", field, reason) for row in np.flatnonzero(broken)]
    work.kept &= ~broken
