"""The keys in use, remembered for seconds, so that the event path asks no database."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from recoup.kit.clock import Clock, stopwatch
from recoup.kit.errors import Unauthenticated, Unavailable
from recoup.messages.access import Principal
from recoup.services.platform.access import domain
from recoup.services.platform.access.store import Keys, digest

FRESH_SECONDS: Final = 5.0
"""A revoked key may open doors for so long."""
STALE_SECONDS: Final = 300.0
"""While the database is away nothing can be revoked either: known keys stay good for so long."""
REMEMBERED: Final = 10_000
NOTE_SECONDS: Final = 10.0


@dataclass(slots=True)
class _Known:
    principal: Principal | None
    key_id: UUID | None
    looked_up_at: float


@dataclass(slots=True)
class KeyRing:
    """Tells who a key stands for; raises Unauthenticated for one that is not in force."""

    keys: Keys
    clock: Clock
    _known: OrderedDict[bytes, _Known] = field(default_factory=OrderedDict)
    _uses: dict[UUID, datetime] = field(default_factory=dict)
    _asking: dict[bytes, "asyncio.Task[_Known]"] = field(default_factory=dict)

    async def principal(self, key: str) -> Principal:
        known = await self._find(key)
        if known.principal is None or known.key_id is None:
            raise Unauthenticated("this API key is not in force", code="key_invalid")
        self._uses[known.key_id] = self.clock.now()
        return known.principal

    def forget(self) -> None:
        """Looks every key up again when it comes; after one was revoked here."""
        self._known.clear()

    async def note_uses(self) -> None:
        """Writes down, now and then, when keys were last used; for ever."""
        while True:
            await asyncio.sleep(NOTE_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            await self.keys.note_uses(uses)
        except Unavailable:
            self._uses = {**uses, **self._uses}

    async def _find(self, key: str) -> _Known:
        mark = digest(key)
        known = self._known.get(mark)
        if known is not None and stopwatch() - known.looked_up_at < FRESH_SECONDS:
            return known
        if known is None and not domain.plausible(key):
            raise Unauthenticated("this is not an API key", code="key_invalid")
        try:
            return await self._ask_once(mark)
        except Unavailable:
            if known is None or stopwatch() - known.looked_up_at > STALE_SECONDS:
                raise
            return known

    async def _ask_once(self, mark: bytes) -> _Known:
        """However many requests wait for the same key, one asks."""
        task = self._asking.get(mark)
        if task is None:
            task = self._asking[mark] = asyncio.create_task(self._ask(mark))
            task.add_done_callback(lambda _: self._asking.pop(mark, None))
        return await asyncio.shield(task)

    async def _ask(self, mark: bytes) -> _Known:
        found = await self.keys.find(mark)
        known = _Known(domain.principal(found) if found else None, found.id if found else None, stopwatch())
        self._known[mark] = known
        self._known.move_to_end(mark)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known
