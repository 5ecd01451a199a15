"""Profiles in Valkey, with the latest ones in memory and a copy of all in PostgreSQL.

Asking never holds up a batch for longer than it may. What Valkey has lost comes back from the copy, and what was
counted in the meantime is added to it: a profile is whole (`w`) once the copy has been asked, and only whole ones are
copied. The copy is some seconds behind; so much can be lost with Valkey.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast

from msgspec import Struct
from msgspec.structs import astuple

from recoup.kit.clock import milliseconds, stopwatch
from recoup.kit.errors import Unavailable
from recoup.kit.postgres import Postgres
from recoup.kit.telemetry import logger
from recoup.kit.valkey import Pipeline, Valkey, settled
from recoup.messages.keys import PROFILES_CHANGED, USER_PROFILE
from recoup.services.pipeline.profiles.domain import Change, Profile, User, changed

log = logger(__name__)

# Another processor may have seen an order of the same user: what is in memory is asked for again after so long.
_FRESH_MS: Final = 600_000
# When somebody was last seen is written when it has moved by so much.
_NOTED_MS: Final = 600_000
_MOST_ASKED: Final = 1_000
_MOST_COPIED: Final = 1_000
# After the copy could not be asked it is left alone for so long.
_PAUSE_SECONDS: Final = 5.0
_SEPARATOR: Final = "\x1f"
_READ: Final = """
local found = {}
for i, key in ipairs(KEYS) do found[i] = redis.call('HMGET', key, 'n', 'p', 'v', 's', 'c', 'o', 'w') end
return found
"""
# What the copy knows, below what has been counted since it was lost. Once: another processor may have done it.
_RESTORE: Final = """
for i, key in ipairs(KEYS) do
    local at = (i - 1) * 6 + 1
    if redis.call('HSETNX', key, 'w', '1') == 1 then
        for j, field in ipairs({'n', 'p', 'v'}) do redis.call('HINCRBY', key, field, ARGV[at + j - 1]) end
        if tonumber(ARGV[at + 3]) > tonumber(redis.call('HGET', key, 's') or '0') then
            redis.call('HSET', key, 's', ARGV[at + 3])
        end
        for j, field in ipairs({'c', 'o'}) do
            if ARGV[at + 3 + j] ~= '' then redis.call('HSETNX', key, field, ARGV[at + 3 + j]) end
        end
        redis.call('EXPIRE', key, ARGV[#ARGV])
    end
end
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


_Answer = list[bytes | None]
_COLUMNS: Final = "store_id, user_id, orders, priced, spent, last_seen, last_category, last_order"


@dataclass(frozen=True, slots=True)
class Archive:
    """The copy in PostgreSQL."""

    postgres: Postgres

    async def find(self, users: Sequence[User]) -> dict[User, Profile]:
        """The profiles of those that have one, in one query."""
        rows = await self.postgres.rows(
            _Row,
            f"select {_COLUMNS} from user_profiles"  # noqa: S608 - a constant of ours
            " join unnest($1::text[], $2::text[]) as asked (store_id, user_id) using (store_id, user_id)",
            [user.store_id for user in users],
            [user.user_id for user in users],
        )
        return {User(row.store_id, row.user_id): Profile(*astuple(row)[2:]) for row in rows}

    async def save(self, profiles: Mapping[User, Profile]) -> None:
        """Writes profiles down; an older state never takes the place of a newer one."""
        rows = [(*user, *profile) for user, profile in profiles.items()]
        if not rows:
            return
        await self.postgres.execute(
            f"insert into user_profiles as kept ({_COLUMNS})"  # noqa: S608 - a constant of ours
            " select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],"
            " $7::text[], $8::text[]) on conflict (store_id, user_id) do update set orders = excluded.orders,"
            " priced = excluded.priced, spent = excluded.spent, last_seen = excluded.last_seen,"
            " last_category = excluded.last_category, last_order = excluded.last_order"
            " where (excluded.orders, excluded.last_seen) > (kept.orders, kept.last_seen)",
            *(list(column) for column in zip(*rows, strict=True)),
        )

    async def forget(self, before: datetime) -> int:
        """Deletes whoever was not seen since then, of every store; how many they were."""
        return await self.postgres.execute("delete from user_profiles where last_seen < $1", milliseconds(before))


class _Row(Struct, frozen=True):
    store_id: str
    user_id: str
    orders: int
    priced: int
    spent: int
    last_seen: int
    last_category: str | None
    last_order: str | None


@dataclass(slots=True)
class Profiles:
    """Profiles of the users that pass by."""

    valkey: Valkey
    archive: Archive
    wait_seconds: float
    most_known: int
    _known: dict[User, tuple[int, Profile]] = field(default_factory=dict)
    # With the time they were read (ms); the ones used latest come last.
    _noted: dict[User, int] = field(default_factory=dict)
    _asking: asyncio.Task[None] | None = None
    _restoring: asyncio.Task[None] | None = None
    _paused_until: float = 0.0

    async def find(self, users: Sequence[User], now: datetime) -> dict[User, Profile]:
        """Without those of whom there was no answer in time: the next batch will have it."""
        at = milliseconds(now)
        unknown = [user for user in users if (known := self._known.get(user)) is None or at - known[0] > _FRESH_MS]
        if unknown and _is_idle(self._asking):
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
            lost = await self._read(users, at)
        except Unavailable as failure:
            log.warning("profiles are missing", why=failure.detail)
            return
        if lost and _is_idle(self._restoring) and stopwatch() >= self._paused_until:
            # By itself, as it may take long: what Valkey knows must not wait for it.
            self._restoring = asyncio.create_task(self._restore(lost, at))
            await asyncio.wait({self._restoring}, timeout=self.wait_seconds)

    async def _read(self, users: Sequence[User], at: int) -> list[User]:
        """Takes over what Valkey knows; the users of whom it may have lost something."""
        lost: list[User] = []
        for user, answer in await self._stored(users):
            if answer is None:
                lost.append(user)
                continue
            self._known[user] = (at, answer)
            self._noted[user] = answer.last_seen
        return lost

    async def _stored(self, users: Sequence[User]) -> list[tuple[User, Profile | None]]:
        """Profiles as Valkey has them; None for those that are not whole."""
        answers = await settled(self.valkey.eval(_READ, len(users), *map(_key, users)))
        return [
            (user, _profile(answer)) for user, answer in zip(users, cast("list[_Answer]", answers), strict=True)
        ]  # fmt: skip

    async def _restore(self, users: Sequence[User], at: int) -> None:
        try:
            copies = await self.archive.find(users)
            words = [_word(word) for user in users for word in copies.get(user, Profile())]
            await settled(self.valkey.eval(_RESTORE, len(users), *map(_key, users), *words, _lifetime()))
            await self._read(users, at)
            # What was counted while the copy could not be asked is not in it yet.
            newer = [
                user
                for user in users
                if (known := self._known.get(user)) and known[1].orders > copies.get(user, Profile()).orders
            ]
            if newer:
                await settled(self.valkey.sadd(PROFILES_CHANGED.key(), *map(_SEPARATOR.join, newer)))
        except Unavailable as failure:
            self._paused_until = stopwatch() + _PAUSE_SECONDS
            log.warning("profiles are missing", why=failure.detail)

    async def copy(self) -> None:
        """Brings the copy up to date; what an outage keeps from it is left for the next time."""
        try:
            while len(members := await self._take()) > 0:
                stored = await self._stored([_user(member) for member in members])
                whole = {user: profile for user, profile in stored if profile is not None}
                try:
                    await self.archive.save(whole)
                except Unavailable:
                    await settled(self.valkey.sadd(PROFILES_CHANGED.key(), *members))
                    raise
                if len(members) < _MOST_COPIED:
                    return
        except Unavailable as failure:
            log.warning("profiles are not copied", why=failure.detail)

    async def _take(self) -> list[bytes]:
        return cast("list[bytes]", await settled(self.valkey.spop(PROFILES_CHANGED.key(), _MOST_COPIED)))

    def save(self, pipe: Pipeline, changes: Mapping[User, Change]) -> None:
        """Queues what a batch adds; in memory it counts when `settle` says that it was taken."""
        worth = {
            user: change
            for user, change in changes.items()
            if change.orders or change.seen - self._noted.get(user, 0) >= _NOTED_MS
        }
        if not worth:
            return
        words = [_word(word) for change in worth.values() for word in change]
        pipe.eval(_WRITE, len(worth), *map(_key, worth), *words, _lifetime())
        pipe.sadd(PROFILES_CHANGED.key(), *(_SEPARATOR.join(user) for user in worth))

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
        for task in (self._asking, self._restoring):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})


def _key(user: User) -> str:
    return USER_PROFILE.key(store_id=user.store_id, user_id=user.user_id)


def _user(member: bytes) -> User:
    store_id, _, user_id = member.decode().partition(_SEPARATOR)
    return User(store_id, user_id)


def _word(value: object) -> str:
    return "" if value is None else str(value)


def _lifetime() -> str:
    return str(round(cast("timedelta", USER_PROFILE.lifetime).total_seconds()))


def _is_idle(task: asyncio.Task[None] | None) -> bool:
    return task is None or task.done()


def _profile(answer: _Answer) -> Profile | None:
    orders, priced, spent, seen, category, order, whole = answer
    if whole is None:
        return None
    return Profile(int(orders or 0), int(priced or 0), int(spent or 0), int(seen or 0), _text(category), _text(order))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
