"""The only place that asks the machine what time it is. Never sleeps, never guesses a zone: all times are UTC."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, runtime_checkable

LEAP: Final = timedelta(seconds=30)
"""A clock that is off by more since it was last asked has leapt; by less, it is being adjusted."""


@runtime_checkable  # Litestar asks whether what is handed to a route is one
class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place


@dataclass(slots=True)
class SteadyClock:
    """Follows another clock, but not its leaps: a machine's time that is set wrongly, and right again, passes unseen.

    It never goes back. A leap that lasts for `believe_after` was a correction, or a sleep, and is believed.
    """

    clock: Clock
    believe_after: timedelta
    ticks: Callable[[], float] = time.perf_counter
    leaps: int = 0
    _at: datetime | None = None
    _ticked: float = 0.0
    _apart_since: float | None = None

    def now(self) -> datetime:
        told, ticked = self.clock.now(), self.ticks()
        if self._at is None:
            self._at = told
        else:
            self._at = self._followed(told, self._at + timedelta(seconds=ticked - self._ticked), ticked)
        self._ticked = ticked
        return self._at

    def _followed(self, told: datetime, expected: datetime, ticked: float) -> datetime:
        if abs(told - expected) <= LEAP:
            self._apart_since = None
            return max(told, self._at or told)
        if self._apart_since is None:
            self._apart_since = ticked
            self.leaps += 1
        if ticked - self._apart_since < self.believe_after.total_seconds():
            return expected
        self._apart_since = None
        return told


@dataclass(slots=True)
class ManualClock:
    """Stands still until told to move; for tests and simulations."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> None:
        self.at += by


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, as times travel inside."""
    return round(moment.timestamp() * 1000)


def moment(milliseconds_: int) -> datetime:
    """The inverse of `milliseconds`."""
    return datetime.fromtimestamp(milliseconds_ / 1000, UTC)


def now_milliseconds() -> int:
    """Now, for hot paths that never need a test to stop the clock."""
    return time.time_ns() // 1_000_000  # noqa: TID251 - the one place


def stopwatch() -> float:
    """Seconds on a clock that only moves forward; differences mean something, the value does not."""
    return time.perf_counter()
