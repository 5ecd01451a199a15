"""What the envelope of an event must keep to, for one store at one moment. Whoever judges an event asks here."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from recoup.messages.events import DERIVED, EventType
from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.settings import Settings

SHOP_TYPES: Final = frozenset(kind.value for kind in EventType) - DERIVED - {EventType.CLOCK.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The rules as values; `Reading` says where an event breaks one."""

    store_id: str
    types: frozenset[str]
    arrived: datetime
    """When the event first came: what `sent_at` is compared with."""
    oldest: datetime | None
    newest: datetime
    skew: timedelta | None
    """A client's clock that `sent_at` shows to be wrong by more than this is corrected; None: never."""
    events: int
    items: int
    properties_bytes: int


def limits_of(
    store_id: str, store: StoreSettings, settings: Settings, now: datetime, arrived: datetime | None = None
) -> Limits:
    """A store on an event clock takes events of any age, and its times as they are: they are the clock.

    `arrived` is earlier than now for what was set aside once and is tried again.
    """
    on_wall = store.clock == "wall"
    return Limits(
        store_id=store_id,
        types=SHOP_TYPES if on_wall else SHOP_TYPES | {EventType.CLOCK.value},
        arrived=arrived or now,
        oldest=now - timedelta(days=store.oldest_event_days) if on_wall else None,
        newest=now + timedelta(hours=settings.future_hours),
        skew=timedelta(seconds=settings.skew_seconds) if on_wall else None,
        events=settings.batch_events,
        items=settings.max_items,
        properties_bytes=settings.max_properties_bytes,
    )


def with_types(limits: Limits, registered: frozenset[str]) -> Limits:
    """The same for a store that registered types of its own."""
    return replace(limits, types=limits.types | registered) if registered else limits
