"""Starting while an engine is away: what must come first is tried until it is done, and readiness says so."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from recoup.kit.errors import Unavailable
from recoup.kit.telemetry import logger

log = logger(__name__)
AGAIN_SECONDS: Final = 1.0
Act = Callable[[], Awaitable[object]]


async def until_done(act: Act) -> None:
    """Tries again every second while an engine is away."""
    while True:
        try:
            await act()
        except Unavailable as error:
            log.warning("waiting for an engine", why=error.detail)
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            return


@dataclass(frozen=True, slots=True)
class Tables:
    """The warehouse's tables: `make` brings them up to date, `answers` asks whether the warehouse is there at all."""

    make: Act
    answers: Act
    _made: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self) -> None:
        """Makes them if that is possible now; a service without its warehouse starts all the same."""
        try:
            await self.make()
        except Unavailable as error:
            log.warning("starting without the warehouse", why=error.detail)
        else:
            self._made.set()

    async def wait(self) -> None:
        """Returns once they are there."""
        if not self._made.is_set():
            await until_done(self.make)
            self._made.set()

    async def ping(self) -> None:
        """Raises Unavailable while the warehouse does not answer, or has no tables of ours yet."""
        await self.answers()
        if not self._made.is_set():
            raise Unavailable("the warehouse's tables are not made yet")
