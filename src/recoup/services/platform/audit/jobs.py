"""Changes that were begun and never ended come into the trail as such."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from recoup.kit.errors import Unavailable
from recoup.kit.telemetry import logger
from recoup.services.platform.audit.store import AuditLog

log = logger(__name__)
LONGEST_PAUSE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Begun:
    """`patience`: how long what was begun may be without an outcome."""

    audit: AuditLog
    patience: timedelta

    async def watch(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(min(LONGEST_PAUSE_SECONDS, self.patience.total_seconds() / 2))
            try:
                closed = await self.audit.close(self.patience)
            except Unavailable as failure:
                log.warning("changes without an outcome wait", why=failure.detail)
                continue
            if closed:
                log.warning("changes were begun and have no outcome", lines=closed)
