"""Touches, raw and judged. Publishes nothing before it is known whether a machine made it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from recoup.kit.postgres import Postgres, Session
from recoup.services.interventions.announcements.store import announce
from recoup.services.interventions.tracking.domain import Touch, by_machine, event

_COLUMNS = """
    id, store_id, intervention_id, person_id, cart_id, cart_number, kind, channel, target, at, received_at, user_agent,
    machine
"""
_INSERT = """
    insert into touches (id, store_id, intervention_id, person_id, cart_id, cart_number, kind, channel, target, at,
        received_at,
        user_agent, machine)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) on conflict (id) do nothing
"""


async def note(session: Session, touches: Sequence[Touch]) -> None:
    """Keeps touches in the caller's transaction; a repeat adds nothing."""
    await session.execute_many(
        _INSERT,
        [
            (
                each.id,
                each.store_id,
                each.intervention_id,
                each.person_id,
                each.cart_id,
                each.cart_number,
                each.kind,
                each.channel,
                each.target,
                each.at,
                each.received_at,
                each.user_agent,
                each.machine,
            )
            for each in touches
        ],
    )


@dataclass(frozen=True, slots=True)
class Touches:
    """What was done with messages."""

    postgres: Postgres

    async def note(self, store_id: str, touch: Touch) -> None:
        async with self.postgres.transaction() as session:
            await note(session, [touch] if touch.store_id == store_id else [])

    async def of_intervention(self, store_id: str, intervention_id: UUID) -> list[Touch]:
        return await self.postgres.rows(
            Touch,
            f"select {_COLUMNS} from touches where store_id = $1 and intervention_id = $2 order by at, received_at",  # noqa: S608 - our own column list
            store_id,
            intervention_id,
        )

    async def of_people(self, store_id: str, people: Sequence[str], since: datetime) -> list[Touch]:
        return await self.postgres.rows(
            Touch,
            f"select {_COLUMNS} from touches where store_id = $1 and person_id = any($2) and at >= $3",  # noqa: S608 - our own column list
            store_id,
            people,
            since,
        )

    async def settle(self, before: datetime, limit: int) -> int:
        """Judges the touches received before a moment and announces them; how many those were."""
        async with self.postgres.transaction() as session:
            waiting = await session.rows(
                Touch,
                f"""
                select {_COLUMNS} from touches where machine is null and received_at < $1
                order by received_at limit $2 for update skip locked
                """,  # noqa: S608 - our own column list
                before,
                limit,
            )
            if not waiting:
                return 0
            around = await session.rows(
                Touch,
                f"select {_COLUMNS} from touches where intervention_id = any($1)",  # noqa: S608 - our own column list
                list({touch.intervention_id for touch in waiting}),
            )
            machines = {each for group in _by_intervention(around).values() for each in by_machine(group)}
            await session.execute_many(
                "update touches set machine = $2 where id = $1", [(touch.id, touch.id in machines) for touch in waiting]
            )
            told = (event(touch, machine=touch.id in machines) for touch in waiting)
            await announce(session, [each for each in told if each is not None])
            return len(waiting)


def _by_intervention(touches: Sequence[Touch]) -> Mapping[UUID, list[Touch]]:
    groups: dict[UUID, list[Touch]] = {}
    for touch in touches:
        groups.setdefault(touch.intervention_id, []).append(touch)
    return groups
