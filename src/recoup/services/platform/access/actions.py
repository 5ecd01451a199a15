"""The keys in use, remembered, so that the event path asks no database; and the acts by which keys come and go.

Who remembers a key must learn that it was revoked: every process asks the database each second which keys have changed
within the last ten. That is one small statement a second, and needs nothing that could lose a notice.
"""

import asyncio
import secrets
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from recoup.kit.clock import Clock, stopwatch
from recoup.kit.errors import Refused, Unauthenticated, Unavailable
from recoup.kit.ids import new_id
from recoup.kit.telemetry import logger
from recoup.messages.access import Principal
from recoup.messages.stores import StoreDirectory
from recoup.services.platform.access import domain
from recoup.services.platform.access.domain import ApiKey
from recoup.services.platform.access.store import Keys, digest
from recoup.services.platform.audit.domain import Actor

log = logger(__name__)
POLL_SECONDS: Final = 1.0
"""A revoked key may open doors of other processes for so long."""
OVERLAP: Final = timedelta(seconds=10)
"""How far back each poll looks: a change is seen by several, whatever was being looked up meanwhile."""
FRESH_SECONDS: Final = 5.0
"""Without news of changes a key is looked up again after so long."""
STALE_SECONDS: Final = 300.0
"""While the database is away nothing can be revoked either: known keys stay good for so long."""
PATIENCE_SECONDS: Final = 0.5
"""How long one request waits for the database to say again what is known of its key; others go by what is known."""
REMEMBERED: Final = 10_000
NOTE_SECONDS: Final = 10.0


class MadeKey(Struct, frozen=True, kw_only=True):
    """A new key. `key` is shown this once and kept nowhere."""

    key: str
    api_key: ApiKey


@dataclass(slots=True)
class _Known:
    key: ApiKey | None
    principal: Principal | None
    looked_up_at: float


@dataclass(slots=True)
class KeyRing:
    """Tells who a key stands for; raises Unauthenticated for one that is not in force."""

    keys: Keys
    clock: Clock
    stores: StoreDirectory
    look_up_seconds: float = 10.0
    """How long a request waits for the database to say whose a key is that is not known here."""
    _known: OrderedDict[bytes, _Known] = field(default_factory=OrderedDict)
    _uses: dict[UUID, datetime] = field(default_factory=dict)
    _asking: dict[bytes, "asyncio.Task[_Known]"] = field(default_factory=dict)
    _learned_at: float = -STALE_SECONDS
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced by another, when some key has changed."""

    async def principal(self, key: str, origin: str | None) -> tuple[Principal, ApiKey]:
        """Raises Forbidden for a page whose origin the key is not for."""
        known = await self._find(key)
        now = self.clock.now()
        admitted = domain.admit(known.key, now, origin)
        if origin is not None and admitted.kind == "publishable_key":
            domain.admit_page((await self.stores.settings(admitted.store_id)).allowed_origins, origin)
        self._uses[admitted.id] = now
        if known.principal is None:
            known.principal = domain.principal(admitted)
        return known.principal, admitted

    def forget(self) -> None:
        """Looks every key up again when it comes; after one was changed here."""
        self._known.clear()
        self._tell()

    async def until_over(self, key: str, origin: str | None) -> None:
        """Waits until the key may not be used any more; what is open by it should be closed then."""
        while True:
            news = self._news
            try:
                _, admitted = await self.principal(key, origin)
            except Refused:
                return
            except Unavailable:
                await asyncio.sleep(FRESH_SECONDS)
                continue
            left = admitted.expires_at and (admitted.expires_at - self.clock.now()).total_seconds()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await news.wait()

    async def learn(self) -> None:
        """Forgets the keys that were changed elsewhere."""
        begun = stopwatch()
        changed = await self.keys.changed_within(OVERLAP)
        if begun - self._learned_at > OVERLAP.total_seconds() / 2:
            self._known.clear()
        for mark in changed:
            self._known.pop(mark, None)
        self._learned_at = begun
        if changed:
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def watch(self) -> None:
        """The same again and again, for ever."""
        while True:
            # While the database is away nothing can be revoked either; see STALE_SECONDS.
            with suppress(Unavailable):
                await self.learn()
            await asyncio.sleep(POLL_SECONDS)

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
        if known is not None and stopwatch() - max(known.looked_up_at, self._learned_at) < FRESH_SECONDS:
            return known
        if known is None and not domain.plausible(key):
            raise Unauthenticated("this is no API key of ours: mistyped, or cut short", code="key_mistyped")
        if known is not None and stopwatch() - max(known.looked_up_at, self._learned_at) > STALE_SECONDS:
            known = None
        try:
            return await self._ask_once(mark, known)
        except Unavailable:
            if known is None:
                raise
            return known

    async def _ask_once(self, mark: bytes, known: _Known | None) -> _Known:
        """However many requests wait for the same key, one asks; a database that does not answer holds up one."""
        task, patience = self._asking.get(mark), self.look_up_seconds
        if known is not None:
            patience = PATIENCE_SECONDS if task is None else 0.0
        if task is None:
            task = self._asking[mark] = asyncio.create_task(self._ask(mark))
            task.add_done_callback(lambda done: self._asked(mark, done))
        await asyncio.wait((task,), timeout=patience)
        if not task.done():
            raise Unavailable("whose key this is cannot be looked up now")
        return task.result()

    def _asked(self, mark: bytes, task: "asyncio.Task[_Known]") -> None:
        del self._asking[mark]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Unavailable):
            log.warning("a key cannot be looked up", why=error.detail)
        elif error is not None:
            raise error

    async def _ask(self, mark: bytes) -> _Known:
        known = _Known(await self.keys.find(mark), None, stopwatch())
        self._known[mark] = known
        self._known.move_to_end(mark)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known


@dataclass(frozen=True, slots=True)
class KeyMaking:
    """Makes, rotates and revokes a store's keys; known here at once, elsewhere within a second or so."""

    keys: Keys
    ring: KeyRing
    clock: Clock

    async def make(self, wanted: ApiKey, actor: Actor) -> MadeKey:
        """Whatever id, time and first signs `wanted` has, the key gets its own."""
        made, key = self._spelled(wanted)
        await self.keys.make(made, key, actor)
        self.ring.forget()
        return MadeKey(key=key, api_key=made)

    async def rotate(self, old: ApiKey, until: datetime, actor: Actor) -> MadeKey:
        """A key that may do the same; the old one goes on until then."""
        made, key = self._spelled(old)
        await self.keys.rotate(old, made, key, actor, until)
        self.ring.forget()
        return MadeKey(key=key, api_key=made)

    async def revoke(self, store_id: str, key_id: UUID, actor: Actor) -> None:
        await self.keys.revoke(store_id, key_id, actor, self.clock.now())
        self.ring.forget()

    def _spelled(self, wanted: ApiKey) -> tuple[ApiKey, str]:
        key = domain.spelled(wanted.kind, secrets.token_bytes(domain.RANDOM_BYTES))
        shown = domain.shown(key, wanted.kind)
        made = replace(wanted, id=new_id(), prefix=shown, created_at=self.clock.now(), last_used_at=None)
        return made, key
