"""Counts in sliding windows that all processes share, in Valkey, by the library `limits`. Knows not what is counted."""

import math
from datetime import timedelta
from typing import Final, NamedTuple

from limits.aio.storage import RedisStorage

from recoup.kit.valkey import Valkey, translated

_WHATEVER: Final = 2**52
"""More than is ever counted: what has happened is counted, whether or not it should have been allowed."""


class Counts(NamedTuple):
    """What was counted in the window before and in this one, which ends in so many seconds."""

    previous: int
    current: int
    seconds_left: float

    def within(self, period: timedelta) -> float:
        """What falls into the last period, taking what was counted before as spread evenly."""
        return self.previous * self.seconds_left / period.total_seconds() + self.current


class SharedWindows:
    """Windows of one kind of key; raises Unavailable when Valkey does not answer."""

    def __init__(self, client: Valkey, prefix: str) -> None:
        # The URL is never used: the pool is our own client's.
        self._storage = RedisStorage(
            "async+redis://", implementation="redispy", key_prefix=prefix,
            connection_pool=client.connection_pool,  # pyright: ignore[reportArgumentType] - its options are typed for URLs
        )  # fmt: skip

    async def add(self, key: str, period: timedelta, amount: int) -> Counts:
        """Counts so many more, and tells what there is now."""
        seconds = math.ceil(period.total_seconds())
        with translated():
            if amount:
                await self._storage.acquire_sliding_window_entry(key, _WHATEVER, seconds, amount)
            previous, _, current, until = await self._storage.get_sliding_window(key, seconds)
        return Counts(previous, current, max(0.0, until - seconds))

    async def forget(self, key: str, period: timedelta) -> None:
        """As if nothing had been counted."""
        with translated():
            await self._storage.clear_sliding_window(key, math.ceil(period.total_seconds()))
