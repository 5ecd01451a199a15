"""A store, its members, and what its settings must obey beyond their types."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import available_timezones

from msgspec import Struct

from recoup.kit.errors import Problem
from recoup.messages.access import Permission
from recoup.messages.stores import StoreSettings


class Store(Struct, frozen=True, kw_only=True):
    """A shop."""

    store_id: str
    name: str
    created_at: datetime


class Membership(Struct, frozen=True, kw_only=True):
    """What somebody is in a store; for an API key, its kind stands for the role."""

    store_id: str
    name: str
    role: str


def problems(settings: StoreSettings) -> Sequence[Problem]:
    """Every rule that the types cannot say and these settings break."""
    found: list[Problem] = []
    if settings.timezone not in available_timezones():
        found.append(Problem(code="unknown_timezone", field="timezone", detail=f"no time zone {settings.timezone!r}"))
    if not settings.max_per_hour <= settings.max_per_day <= settings.max_per_week:
        found.append(
            Problem(code="caps_out_of_order", field="max_per_day", detail="a longer span cannot allow fewer messages")
        )
    if len(set(settings.channels)) != len(settings.channels):
        found.append(Problem(code="repeated", field="channels", detail="a channel stands there twice"))
    return found


def switches_clock(before: StoreSettings, after: StoreSettings) -> bool:
    """Whether what waits would go by another clock."""
    return before.clock != after.clock


def readable(permissions: Sequence[Permission]) -> bool:
    """Whether someone with these may know the store at all."""
    return Permission.SELF_READ in permissions
