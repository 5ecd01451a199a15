"""Waiting for what must become true, on however slow a machine."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 60


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await true():
            await asyncio.sleep(0.05)
