"""Holds requests against their limits without leaving the process, and settles with the other processes beside it.

While Valkey is away each process goes on by its own count: the limits hold for each of them by itself.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Unavailable
from recoup.kit.metrics import Counter
from recoup.kit.telemetry import logger
from recoup.messages.access import Principal
from recoup.services.platform.ratelimits import domain
from recoup.services.platform.ratelimits.domain import Limit, Rates, Standing, Window
from recoup.services.platform.ratelimits.store import RateWindows

log = logger(__name__)
LOOK_SECONDS: Final = 0.1
SWEEP_SECONDS: Final = 60.0
AT_ONCE: Final = 8
"""Windows that are settled side by side."""
LIMITED: Final = Counter("rate_limited_total", "Requests refused because there were too many", ["limit"])
UNSETTLED: Final = Counter("rate_settle_failures_total", "Rounds in which the shared windows could not be reached")


@dataclass(slots=True)
class Limiter:
    """Every window that is in use here."""

    shared: RateWindows
    rates: Rates
    _windows: dict[tuple[str, str], Window] = field(default_factory=dict)
    _asked: dict[tuple[str, str | None, str], tuple[Window, ...]] = field(default_factory=dict)
    _swept_at: float = 0.0
    _away: bool = False

    def stand(self, caller: Principal, own: int | None, store_id: str | None, endpoint: str) -> Standing | None:
        """Counts a request, or does not where it is too many; None where nothing is limited."""
        asked = (caller.subject, store_id, endpoint)
        windows = self._asked.get(asked)
        if windows is None:
            limits = domain.limits(caller, own, store_id, endpoint, self.rates)
            windows = self._asked[asked] = tuple(map(self._window, limits))
        return self._stand(windows)

    def stand_alone(self, address: str) -> Standing | None:
        """The same for somebody of whom only the address is known."""
        limit = Limit("address", address, self.rates.address)
        return self._stand((self._window(limit),)) if limit.per_minute else None

    def _window(self, limit: Limit) -> Window:
        return self._windows.setdefault((limit.kind, limit.whose), Window(limit))

    def _stand(self, windows: Sequence[Window]) -> Standing | None:
        if not windows:
            return None
        standing = domain.stand(windows, stopwatch())
        if not standing.allowed:
            LIMITED.labels(standing.limit.kind).inc()
        return standing

    async def watch(self) -> None:
        """Settles what is due, for ever."""
        while True:
            await self.settle()
            await asyncio.sleep(LOOK_SECONDS)

    async def settle(self) -> None:
        """One round; what can't be told now stays due."""
        now = stopwatch()
        if now - self._swept_at >= SWEEP_SECONDS:
            self._sweep(now)
        due = iter([window for window in self._windows.values() if window.is_due(now)])
        outages = [*filter(None, await asyncio.gather(*(self._settle_each(due) for _ in range(AT_ONCE))))]
        if outages and not self._away:
            log.warning("rate limits hold for each process by itself", why=outages[0].detail)
        if outages:
            UNSETTLED.inc()
        self._away = bool(outages)

    async def _settle_each(self, due: Iterator[Window]) -> Unavailable | None:
        try:
            for window in due:
                await self.shared.settle(window)
        except Unavailable as outage:
            return outage
        return None

    def _sweep(self, now: float) -> None:
        """Forgets windows in which nothing falls any more."""
        self._swept_at = now
        self._windows = {name: window for name, window in self._windows.items() if not window.is_idle(now)}
        self._asked.clear()
