"""Quiet hours in somebody's own zone. Pure; knows no store and no person.

The hour that comes twice in autumn is quiet by what the wall shows, both times. An end that is missing in spring moves
on with the clocks: quiet until 02:30 ends at 03:30 that morning.
"""

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAYS_LOOKED_AHEAD = 3


def zone_of(*names: str | None) -> ZoneInfo:
    """The first name that is a zone; a name nobody knows is passed over."""
    return next((zone for zone in map(_zone, names) if zone is not None), ZoneInfo("UTC"))


@lru_cache(maxsize=1000)
def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def is_quiet(moment: datetime, zone: ZoneInfo, quiet_from: str, quiet_until: str) -> bool:
    """Whether the wall there shows a quiet time; equal ends mean never."""
    start, end = time.fromisoformat(quiet_from), time.fromisoformat(quiet_until)
    shown = moment.astimezone(zone).time()
    if start <= end:
        return start <= shown < end
    return shown >= start or shown < end


def end_of_quiet(moment: datetime, zone: ZoneInfo, quiet_from: str, quiet_until: str) -> datetime:
    """The first moment from the given one on that is not quiet."""
    if not is_quiet(moment, zone, quiet_from, quiet_until):
        return moment
    end = time.fromisoformat(quiet_until)
    today = moment.astimezone(zone).date()
    for days in range(_DAYS_LOOKED_AHEAD):
        local = datetime.combine(today + timedelta(days=days), end, zone)
        for fold in (0, 1):
            candidate = local.replace(fold=fold).astimezone(UTC)
            if candidate > moment and not is_quiet(candidate, zone, quiet_from, quiet_until):
                return candidate
    return moment + timedelta(days=1)
