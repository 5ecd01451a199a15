"""Changing flags: checked against all others of the store, kept, and told to every process."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from recoup.kit.clock import Clock
from recoup.kit.errors import Conflict, Invalid, Missing
from recoup.kit.flags.model import Context, Flag
from recoup.kit.flags.snapshot import Answer, Snapshot
from recoup.messages.stores import FlagUses
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.flags import domain
from recoup.services.platform.flags.domain import FlagState, FlagVersion, Limits
from recoup.services.platform.flags.store import Change, Flags


@dataclass(frozen=True, slots=True)
class FlagActions:
    """`tell` announces a store whole; who misses the news reads it within a minute."""

    flags: Flags
    tell: Callable[[str], Awaitable[None]]
    clock: Clock
    limits: Limits

    async def page(self, store_id: str, after: str, limit: int) -> Sequence[FlagState]:
        """Flags by key."""
        now = self.clock.now()
        return [
            domain.state(kept, now, self.limits.stale_after) for kept in await self.flags.page(store_id, after, limit)
        ]

    async def stale(self, store_id: str) -> Sequence[FlagState]:
        """Every flag that could probably go."""
        now = self.clock.now()
        found = (domain.state(kept, now, self.limits.stale_after) for kept in await self.flags.every(store_id))
        return [flag for flag in found if flag.stale]

    async def get(self, store_id: str, key: str) -> FlagState:
        """One of them; raises Missing."""
        return domain.state(await self.flags.get(store_id, key), self.clock.now(), self.limits.stale_after)

    async def put(self, store_id: str, key: str, flag: Flag, expected: int | None, actor: Actor) -> FlagState:
        """Makes or changes a flag; raises Invalid with every rule it breaks."""

        def check(others: Mapping[str, Flag]) -> None:
            problems = domain.problems(key, flag, others, self.limits)
            if problems:
                raise Invalid("this flag breaks a rule", problems=problems)

        now = self.clock.now()
        kept = await self.flags.put(store_id, Change(key, expected, check, actor, now), flag)
        await self.tell(store_id)
        return domain.state(kept, now, self.limits.stale_after)

    async def restore(self, store_id: str, key: str, version: int, expected: int | None, actor: Actor) -> FlagState:
        """An older version anew, as the newest one, by the rules of today; also of a flag that was deleted since."""
        written = await self.flags.written(store_id, key, version)
        if written.definition is None:
            raise Conflict(f"version {version} of {key!r} is its deletion", code="cannot_be_restored")
        return await self.put(store_id, key, written.definition, expected, actor)

    async def delete(self, store_id: str, key: str, expected: int | None, actor: Actor) -> None:
        """Raises Conflict where another flag waits for it."""

        def check(others: Mapping[str, Flag]) -> None:
            needing = domain.needing(key, others)
            if needing:
                raise Conflict(f"flag {needing[0]!r} waits for {key!r}", code="flag_in_use")

        await self.flags.delete(store_id, Change(key, expected, check, actor, self.clock.now()))
        await self.tell(store_id)

    async def history(self, store_id: str, key: str, before: int | None, limit: int) -> Sequence[FlagVersion]:
        """Its versions, newest first, each with what it changed; raises Missing for a flag there never was."""
        found = await self.flags.history(store_id, key, before, limit)
        if not found and before is None:
            raise Missing(f"no flag {key!r}")
        return domain.compared(found)[:limit]

    async def evaluate(self, store_id: str, key: str, context: Context) -> Answer:
        """What somebody would be served; counts as no use."""
        flags = {kept.key: kept.definition for kept in await self.flags.every(store_id)}
        return Snapshot(flags).evaluate(key, context, self.clock.now)

    async def note_uses(self, uses: FlagUses) -> int:
        """What a process says it has asked for."""
        rows = [(store_id, key, count) for store_id, counts in uses.stores.items() for key, count in counts.items()]
        await self.flags.note_uses(sorted(rows), self.clock.now())
        return len(rows)
