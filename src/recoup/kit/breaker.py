"""Circuit breakers and retry budgets: when to stop asking somebody who fails.

The breaker is the library `interlock`: it looks at the calls of a sliding window of time. Once enough were made and too
many of them failed it opens, and nothing is asked for a while; then a few trial calls decide whether it closes or opens
again. Here are our settings for it, and a way to tell it by hand how a call went (decision 30).
"""

from asyncio import CancelledError
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from recoup.kit.clock import stopwatch

if TYPE_CHECKING:
    from interlock import CircuitBreaker


class BreakerSettings(Struct, frozen=True, kw_only=True):
    """When a breaker opens, and for how long."""

    window_seconds: Annotated[int, Meta(ge=1)] = 10
    """How far back calls count."""
    minimum_calls: Annotated[int, Meta(ge=1)] = 20
    """Fewer calls than this in the window never open it."""
    failure_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """It opens when at least this share of the window's calls failed."""
    open_seconds: Annotated[float, Meta(gt=0)] = 30.0
    """How long nothing is asked before trial calls are let through."""
    trial_calls: Annotated[int, Meta(ge=1)] = 3
    """So many calls are then made; if less than that share of them fails it closes, else it opens again."""


class _Failed(Exception):
    """Never raised: the library's word for a call that failed."""


_FAILED: Final = _Failed()
_INTERRUPTED: Final = CancelledError()
"""What the library takes for a call that says nothing about the other side."""


@dataclass(frozen=True, slots=True)
class _Hands:
    """The library's idea of a clock."""

    ticks: Callable[[], float]

    def monotonic(self) -> float:
        return self.ticks()


class Breaker:
    """One breaker. `enter` comes before a call, and `leave` after it, in the same task, whatever became of it.

    The library is loaded with the first call: processes that never make one do without its 2 MB.
    """

    __slots__ = ("_circuit", "_is_open", "_name", "_open_until", "_refusal", "_settings", "_ticks")

    def __init__(self, name: str, settings: BreakerSettings, ticks: Callable[[], float] = stopwatch) -> None:
        self._name = name
        self._settings = settings
        self._ticks = ticks
        self._circuit: CircuitBreaker | None = None
        self._refusal: type[Exception] = _Failed
        self._is_open = False
        self._open_until = -inf

    def wait(self, now: float) -> float:
        """Seconds until it lets somebody try again; 0 when it is not open."""
        return max(0.0, self._open_until - now)

    def enter(self) -> bool:
        """Whether a call may be made; if so, it has begun."""
        if self._circuit is None:
            self._circuit, self._refusal = _circuit(self._name, self._settings, self._ticks)
        try:
            self._circuit.__enter__()  # a call begins here and ends elsewhere: there is no block to stand in
        except self._refusal:
            return False
        self._is_open = False
        return True

    def leave(self, *, failed: bool | None) -> bool:
        """A call has ended; whether that opens it. `failed` is None where it says nothing about the other side."""
        if self._circuit is None:
            return False
        said = _INTERRUPTED if failed is None else _FAILED if failed else None
        self._circuit.__exit__(None, said, None)
        if self._is_open or self._circuit.state != "open":
            return False
        self._is_open = True
        self._open_until = self._ticks() + self._settings.open_seconds
        return True


def preload() -> None:
    """Loads the library now, so that no request waits for it."""
    _circuit("preload", BreakerSettings(), stopwatch)


def _circuit(
    name: str, settings: BreakerSettings, ticks: Callable[[], float]
) -> "tuple[CircuitBreaker, type[Exception]]":
    from interlock import CircuitBreaker, CircuitOpenError, Config, WindowType  # noqa: PLC0415 - see `Breaker`

    config = Config(
        window_type=WindowType.TIME_BASED,
        window_size=settings.window_seconds,
        minimum_number_of_calls=settings.minimum_calls,
        failure_rate_threshold=settings.failure_share,
        wait_duration_in_open=settings.open_seconds,
        permitted_calls_in_half_open=settings.trial_calls,
        max_concurrent_probes=settings.trial_calls,
        # An export may take minutes, a socket days: how long a good call took says nothing.
        slow_call_duration_threshold=inf,
    )
    return CircuitBreaker(name=name, config=config, clock=_Hands(ticks)), CircuitOpenError


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
