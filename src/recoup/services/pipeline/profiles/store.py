"""Profiles in Valkey, with the latest ones in memory. Asking never holds up a batch for longer than it may."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast

from recoup.kit.clock import milliseconds
from recoup.kit.errors import Unavailable
from recoup.kit.telemetry import logger
from recoup.kit.valkey import Pipeline, Valkey, settled
from recoup.messages.keys import USER_PROFILE
from recoup.services.pipeline.profiles.domain import Change, Profile, User, changed

log = logger(__name__)

# Another processor may have seen an order of the same user: what is in memory is asked for again after so long.
_FRESH_MS: Final = 600_000
# When somebody was last seen is written when it has moved by so much.
_NOTED_MS: Final = 600_000
_MOST_ASKED: Final = 1_000
_READ: Final = """
local found = {}
for i, key in ipairs(KEYS) do found[i] = redis.call('HMGET', key, 'n', 'p', 'v', 's', 'c', 'o') end
return found
"""
# Orders are counted up, not set: processors that share a user add to each other's counts.
_WRITE: Final = """
for i, key in ipairs(KEYS) do
    local at = (i - 1) * 6 + 1
    if ARGV[at + 1] ~= '0' then
        redis.call('HINCRBY', key, 'n', ARGV[at + 1])
        redis.call('HINCRBY', key, 'p', ARGV[at + 2])
        redis.call('HINCRBY', key, 'v', ARGV[at + 3])
        redis.call('HSET', key, 'o', ARGV[at + 5])
        if ARGV[at + 4] ~= '' then redis.call('HSET', key, 'c', ARGV[at + 4]) end
    end
    local seen = redis.call('HGET', key, 's') or '0'
    if tonumber(ARGV[at]) > tonumber(seen) then redis.call('HSET', key, 's', ARGV[at]) end
    redis.call('EXPIRE', key, ARGV[#ARGV])
end
"""


@dataclass(slots=True)
class Profiles:
    """Profiles of the users that pass by."""

    valkey: Valkey
    wait_seconds: float
    most_known: int
    _known: dict[User, tuple[int, Profile]] = field(default_factory=dict)
    # With the time they were read (ms); the ones used latest come last.
    _noted: dict[User, int] = field(default_factory=dict)
    _asking: asyncio.Task[None] | None = None

    async def find(self, users: Sequence[User], now: datetime) -> dict[User, Profile]:
        """Without those of whom there was no answer in time: the next batch will have it."""
        at = milliseconds(now)
        unknown = [user for user in users if (known := self._known.get(user)) is None or at - known[0] > _FRESH_MS]
        if unknown and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask(unknown[:_MOST_ASKED], at))
            await asyncio.wait({self._asking}, timeout=self.wait_seconds)
        found: dict[User, Profile] = {}
        for user in users:
            if known := self._known.pop(user, None):
                self._known[user] = known
                found[user] = known[1]
        return found

    async def _ask(self, users: Sequence[User], at: int) -> None:
        try:
            answers = await settled(self.valkey.eval(_READ, len(users), *map(_key, users)))
        except Unavailable as failure:
            log.warning("profiles are missing", why=failure.detail)
            return
        for user, answer in zip(users, cast("list[list[bytes | None]]", answers), strict=True):
            orders, priced, spent, seen, category, order = answer
            profile = Profile(
                int(orders or 0), int(priced or 0), int(spent or 0), int(seen or 0), _text(category), _text(order)
            )
            self._known[user] = (at, profile)
            self._noted[user] = profile.last_seen

    def save(self, pipe: Pipeline, changes: Mapping[User, Change]) -> None:
        """Queues what a batch adds; in memory it counts when `settle` says that it was taken."""
        worth = {
            user: change
            for user, change in changes.items()
            if change.orders or change.seen - self._noted.get(user, 0) >= _NOTED_MS
        }
        if not worth:
            return
        words = [str(word) if word is not None else "" for change in worth.values() for word in change]
        lifetime = cast("timedelta", USER_PROFILE.lifetime)
        pipe.eval(_WRITE, len(worth), *map(_key, worth), *words, str(round(lifetime.total_seconds())))

    def settle(self, changes: Mapping[User, Change]) -> None:
        """After the commit took what `save` queued."""
        for user, change in changes.items():
            if change.orders or change.seen - self._noted.get(user, 0) >= _NOTED_MS:
                self._noted[user] = change.seen
            if (known := self._known.get(user)) is not None:
                self._known[user] = (known[0], changed(known[1], change))
        while len(self._known) > self.most_known:
            del self._known[next(iter(self._known))]
        while len(self._noted) > self.most_known:
            del self._noted[next(iter(self._noted))]

    async def close(self) -> None:
        """Waits for no answer any more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})


def _key(user: User) -> str:
    return USER_PROFILE.key(store_id=user.store_id, user_id=user.user_id)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
