"""A store, its members, and what its settings must obey beyond their types."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import available_timezones

import msgspec
from msgspec import Struct

from recoup.kit.errors import Problem
from recoup.messages.access import Permission
from recoup.messages.stores import StoreSettings

SettingValue = None | bool | int | float | str | list[str | int]
_DEFAULTS: Mapping[str, SettingValue] = msgspec.convert(msgspec.to_builtins(StoreSettings()), dict[str, SettingValue])


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
    permissions: list[Permission]
    """What that comes to."""


class Changed(Struct, frozen=True, kw_only=True):
    """One setting, before and after."""

    setting: str
    before: SettingValue
    after: SettingValue


class Version(Struct, frozen=True, kw_only=True):
    """One version of a store's settings: who made it, when, and what it changed."""

    version: int
    at: datetime
    by: str
    changes: Sequence[Changed] = ()


class Written(Struct, frozen=True, kw_only=True):
    """A version as it was written down: settings that were added since are missing, others may be gone since."""

    version: int
    settings: dict[str, SettingValue]
    at: datetime
    by: str


def history(written: Sequence[Written]) -> Sequence[Version]:
    """Versions, newest first, each with what it changed of the one after it in the list; of the last, nothing."""
    following = [*written[1:], None]
    return [
        Version(version=one.version, at=one.at, by=one.by, changes=_changes(before, one) if before else ())
        for one, before in zip(written, following, strict=True)
    ]


def _changes(before: Written, after: Written) -> Sequence[Changed]:
    left, right = {**_DEFAULTS, **before.settings}, {**_DEFAULTS, **after.settings}
    return [
        Changed(setting=name, before=left.get(name), after=right.get(name))
        for name in {**left, **right}
        if left.get(name) != right.get(name)
    ]


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
