"""Circuit breakers and retry budgets: when to stop asking somebody who fails. Pure; time comes in as an argument.

A breaker looks at the calls of a sliding window. Once enough were made and too many of them failed it opens, and
nothing is asked for a while; then a few trial calls decide whether it closes or opens again.
"""

from enum import StrEnum

from msgspec import Struct

_BUCKETS = 10


class BreakerSettings(Struct, frozen=True, kw_only=True):
    """When a breaker opens, and for how long."""

    window_seconds: float = 10.0
    """How far back calls count."""
    minimum_calls: int = 20
    """Fewer calls than this in the window never open it."""
    failure_share: float = 0.5
    """It opens when at least this share of the window's calls failed."""
    open_seconds: float = 30.0
    """How long nothing is asked before trial calls are let through."""
    trial_calls: int = 3
    """So many calls have to succeed, one after the other or at once, to close it again."""


class State(StrEnum):
    """What a breaker does with the next call."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """One breaker. `enter` comes before a call, and `leave` after it, whatever became of it."""

    __slots__ = ("_at", "_calls", "_failures", "_opened_at", "_settings", "_state", "_succeeded", "_trials")

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._state = State.CLOSED
        self._opened_at = 0.0
        self._trials = 0
        self._succeeded = 0
        self._at = 0
        self._calls = [0] * _BUCKETS
        self._failures = [0] * _BUCKETS

    def state(self, now: float) -> State:
        """What it would do now."""
        if self._state is State.OPEN and now - self._opened_at >= self._settings.open_seconds:
            return State.HALF_OPEN
        return self._state

    def wait(self, now: float) -> float:
        """Seconds until it lets somebody try again."""
        if self.state(now) is not State.OPEN:
            return 0.0
        return self._settings.open_seconds - (now - self._opened_at)

    def allows(self, now: float) -> bool:
        """Whether a call may be made."""
        if self._state is State.CLOSED:
            return True
        state = self.state(now)
        return state is State.HALF_OPEN and (
            self._state is State.OPEN or self._trials + self._succeeded < self._settings.trial_calls
        )

    def enter(self) -> None:
        """A call begins that `allows` said yes to."""
        if self._state is State.CLOSED:
            return
        if self._state is State.OPEN:
            self._state, self._trials, self._succeeded = State.HALF_OPEN, 0, 0
        self._trials += 1

    def leave(self, now: float, *, failed: bool | None) -> bool:
        """A call has ended; whether that opens it. `failed` is None where it says nothing about the other side."""
        if self._state is State.HALF_OPEN:
            return self._tried(now, failed=failed)
        if self._state is State.OPEN or failed is None:
            return False
        self._turn(now)
        place = self._at % _BUCKETS
        self._calls[place] += 1
        if not failed:
            return False
        self._failures[place] += 1
        calls = sum(self._calls)
        if calls < self._settings.minimum_calls or sum(self._failures) < self._settings.failure_share * calls:
            return False
        return self._open(now)

    def _tried(self, now: float, *, failed: bool | None) -> bool:
        self._trials = max(0, self._trials - 1)
        if failed:
            return self._open(now)
        if failed is False:
            self._succeeded += 1
        if self._succeeded >= self._settings.trial_calls:
            self._state = State.CLOSED
            self._calls, self._failures = [0] * _BUCKETS, [0] * _BUCKETS
        return False

    def _open(self, now: float) -> bool:
        self._state, self._opened_at = State.OPEN, now
        return True

    def _turn(self, now: float) -> None:
        """Forgets what has left the window."""
        at = int(now * _BUCKETS / self._settings.window_seconds)
        if at == self._at:
            return
        for left in range(max(self._at, at - _BUCKETS) + 1, at + 1):
            self._calls[left % _BUCKETS] = self._failures[left % _BUCKETS] = 0
        self._at = at


class RetrySettings(Struct, frozen=True, kw_only=True):
    """How often a call may be made again."""

    share: float = 0.2
    """Repeated calls are at most this share of first ones,"""
    reserve: int = 10
    """and so many besides, earned back at one a second, so that a quiet service has some too."""
    attempts: int = 3
    """Most calls for one request, the first one counted."""
    backoff_seconds: float = 0.025
    """Before the second call to an instance that broke off; doubles, and is cut by chance. None after a refused
    connection while there is another instance."""


class Budget:
    """What may be spent on repeated calls: every first call pays in a share, every repeated one costs a whole."""

    __slots__ = ("_asked_at", "_ceiling", "_left", "_settings")

    def __init__(self, settings: RetrySettings) -> None:
        self._settings = settings
        self._ceiling = settings.reserve + 100 * settings.share
        self._left = float(settings.reserve)
        self._asked_at = 0.0

    def pay_in(self) -> None:
        """A first call was made."""
        self._left = min(self._ceiling, self._left + self._settings.share)

    def spend(self, now: float) -> bool:
        """Whether a call may be repeated; if so, it is paid for."""
        missing = self._settings.reserve - self._left
        if missing > 0:
            self._left += min(missing, now - self._asked_at)
        self._asked_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
