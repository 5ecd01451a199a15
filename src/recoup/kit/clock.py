"""The only place that asks the machine what time it is. Never sleeps, never guesses a zone: all times are UTC."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable


@runtime_checkable  # Litestar asks whether what is handed to a route is one
class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place


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
