"""The shared windows in Valkey: caches that may vanish at any time, after which everybody starts afresh."""

from dataclasses import dataclass

from recoup.kit.clock import stopwatch
from recoup.kit.valkey import Valkey
from recoup.kit.windows import SharedWindows
from recoup.messages.keys import RATE_WINDOWS
from recoup.services.platform.ratelimits.domain import PERIOD, Window


@dataclass(frozen=True, slots=True)
class RateWindows:
    """What all processes have counted."""

    shared: SharedWindows

    @classmethod
    def on(cls, client: Valkey) -> "RateWindows":
        return cls(SharedWindows(client, RATE_WINDOWS.key(identifier="").rstrip(":")))

    async def settle(self, window: Window) -> None:
        """Tells what was counted here and learns what all have counted; raises Unavailable."""
        told = window.pending
        kind, whose, _ = window.limit
        found = await self.shared.add(f"{kind}:{whose}", PERIOD, told)
        window.learn(*found, told, stopwatch())
