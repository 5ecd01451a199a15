"""Deliveries as rows: claimed with a lease, written back only by the claim that still holds. Sends nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from msgspec import Struct

from recoup.kit.ids import derived_id
from recoup.kit.postgres import Postgres, Session
from recoup.messages.facts import Cart
from recoup.messages.stores import Channel
from recoup.services.interventions.announcements.store import announce
from recoup.services.interventions.decisions.domain import Intervention
from recoup.services.interventions.decisions.store.interventions import COLUMNS
from recoup.services.interventions.deliveries.domain import Delivery, Status, ended
from recoup.services.interventions.tracking.domain import Touch
from recoup.services.interventions.tracking.store import note

_OPEN = "status in ('pending', 'offered')"
_TOLD: dict[Status, Literal["delivered", "failed", "cancelled", "expired"]] = {
    "delivered": "delivered", "dead": "failed", "cancelled": "cancelled", "expired": "expired",
}  # fmt: skip


class Result(Struct, frozen=True, kw_only=True):
    """How one claim ended."""

    delivery: Delivery
    intervention: Intervention
    status: Status
    at: datetime
    """On the store's clock."""
    channel: Channel | None = None
    detail: str = ""
    frame: str | None = None
    due_at: datetime | None = None
    next_try_at: datetime | None = None
    failed: bool = False


class View(Struct, frozen=True, kw_only=True):
    """How a delivery stands."""

    intervention_id: UUID
    status: Status
    channel: Channel | None
    due_at: datetime
    expires_at: datetime
    attempts: int
    failures: int
    detail: str
    delivered_at: datetime | None


class Offered(Struct, frozen=True):
    """A message that waits for a page's acknowledgement."""

    message_id: str
    frame: str
    person_id: str
    cart: Cart


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Messages under way."""

    postgres: Postgres
    partitions: int

    async def claim(self, now: datetime, lease: timedelta, limit: int) -> list[Delivery]:
        """Messages whose store says it is time, for this caller alone while the lease lasts."""
        return await self.postgres.rows(
            Delivery,
            """
            with reached as (
                select store_id, min(reached) as at from clocks group by store_id having count(*) >= $4
            ), mine as (
                select d.intervention_id from deliveries d left join reached r using (store_id)
                where d.status in ('pending', 'offered') and d.next_try_at <= $1
                  and (d.lease_until is null or d.lease_until < $1)
                  and d.due_at <= case d.clock when 'event' then r.at else $1 end
                order by d.due_at limit $3 for update of d skip locked
            )
            update deliveries d set lease_until = $1 + $2::interval, fence = d.fence + 1, attempts = d.attempts + 1
            from mine where d.intervention_id = mine.intervention_id
            returning d.intervention_id, d.store_id, d.person_id, d.status, d.clock, d.due_at, d.expires_at, d.attempts,
                d.failures, d.fence
            """,
            now,
            lease,
            limit,
            self.partitions,
        )

    async def interventions(self, store_id: str, ids: Sequence[UUID]) -> dict[UUID, Intervention]:
        found = await self.postgres.rows(
            Intervention,
            f"select {COLUMNS} from interventions i where i.store_id = $1 and i.id = any($2)",  # noqa: S608 - our own column list
            store_id,
            ids,
        )
        return {each.id: each for each in found}

    async def finish(self, store_id: str, results: Sequence[Result], wall: datetime) -> list[Result]:
        """Writes back what became of claims, and announces it; which of them still held."""
        async with self.postgres.transaction() as session:
            written = await self._write(session, store_id, results, wall)
            held = [result for result in results if result.delivery.intervention_id in written]
            await self._tell(session, held, wall)
            return held

    @staticmethod
    async def _write(session: Session, store_id: str, results: Sequence[Result], wall: datetime) -> set[UUID]:
        rows = [
            {
                "id": result.delivery.intervention_id,
                "fence": result.delivery.fence,
                "status": result.status,
                "channel": result.channel,
                "detail": result.detail,
                "frame": result.frame,
                "due_at": result.due_at,
                "next_try_at": result.next_try_at,
                "failed": int(result.failed),
                "at": result.at,
            }
            for result in results
        ]
        return set(
            await session.rows(
                UUID,
                """
                update deliveries d set status = r.status, channel = coalesce(r.channel, d.channel), detail = r.detail,
                    frame = coalesce(r.frame, d.frame), due_at = coalesce(r.due_at, d.due_at),
                    next_try_at = coalesce(r.next_try_at, d.next_try_at), failures = d.failures + r.failed,
                    lease_until = null,
                    offered_at = case when r.status = 'offered' then coalesce(d.offered_at, $3) else d.offered_at end,
                    delivered_at = case when r.status = 'delivered' then r.at end,
                    finished_at = case when r.status not in ('pending', 'offered') then $3::timestamptz end
                from jsonb_to_recordset($2::jsonb) as r (id uuid, fence bigint, status text, channel text, detail text,
                    frame text, due_at timestamptz, next_try_at timestamptz, failed int, at timestamptz)
                where d.store_id = $1 and d.intervention_id = r.id and d.fence = r.fence
                  and d.status in ('pending', 'offered')
                returning d.intervention_id
                """,
                store_id,
                rows,
                wall,
            )
        )

    @staticmethod
    async def _tell(session: Session, results: Sequence[Result], wall: datetime) -> None:
        over = [result for result in results if result.status in _TOLD]
        await announce(
            session,
            [ended(each.intervention, _TOLD[each.status], each.at, each.channel, each.detail) for each in over],
        )
        await note(session, [_touch(each, wall) for each in over if each.status == "delivered"])

    async def cancel(
        self, store_id: str, people: Mapping[str, str], carts: Mapping[str, str], at: datetime, wall: datetime
    ) -> list[tuple[UUID, str]]:
        """Ends what waits for these people or carts, each with its reason; (intervention, person) of what ended.

        What is being sent this very moment is left to its sender: it asks the same question, and knows what it did.
        """
        async with self.postgres.transaction() as session:
            rows = await session.rows(
                Delivery,
                f"""
                update deliveries set status = 'cancelled', finished_at = $4, lease_until = null
                where store_id = $1 and {_OPEN} and (person_id = any($2) or cart_id = any($3))
                  and (lease_until is null or lease_until < $4)
                returning intervention_id, store_id, person_id, status, clock, due_at, expires_at, attempts,
                    failures, fence
                """,  # noqa: S608 - our own condition
                store_id,
                list(people),
                list(carts),
                wall,
            )
            if not rows:
                return []
            found = await session.rows(
                Intervention,
                f"select {COLUMNS} from interventions i where i.store_id = $1 and i.id = any($2)",  # noqa: S608 - our own column list
                store_id,
                [row.intervention_id for row in rows],
            )
            await session.execute_many(
                "update deliveries set detail = $3 where store_id = $1 and intervention_id = $2",
                [(store_id, each.id, people.get(each.person_id) or carts.get(each.cart_id, "")) for each in found],
            )
            await announce(
                session,
                [
                    ended(
                        each, "cancelled", at, each.channel, people.get(each.person_id) or carts.get(each.cart_id, "")
                    )
                    for each in found
                ],
            )
            return [(each.id, each.person_id) for each in found]

    async def end_one(self, store_id: str, intervention: Intervention, status: Literal["delivered", "cancelled"],
                      at: datetime, wall: datetime, detail: str) -> bool:  # fmt: skip
        """Ends one delivery that is still open: its page has it, or somebody called it off."""
        async with self.postgres.transaction() as session:
            row = await session.find(
                Delivery,
                f"""
                update deliveries set status = $3, detail = $4, finished_at = $5, lease_until = null,
                    delivered_at = case when $3 = 'delivered' then $6::timestamptz end
                where store_id = $1 and intervention_id = $2 and {_OPEN}
                returning intervention_id, store_id, person_id, status, clock, due_at, expires_at, attempts,
                    failures, fence
                """,  # noqa: S608 - our own condition
                store_id,
                intervention.id,
                status,
                detail,
                wall,
                at,
            )
            if row is None:
                return False
            channel: Channel | None = "websocket" if status == "delivered" else intervention.channel
            result = Result(
                delivery=row, intervention=intervention, status=status, at=at, channel=channel, detail=detail
            )
            await self._tell(session, [result], wall)
            return True

    async def waiting(self, store_id: str, people: Sequence[str]) -> list[Offered]:
        """Frames offered to these people and not acknowledged, oldest first."""
        return await self.postgres.rows(
            Offered,
            """
            select d.intervention_id::text as message_id, d.frame, d.person_id, i.cart
            from deliveries d join interventions i on i.id = d.intervention_id
            where d.store_id = $1 and d.person_id = any($2) and d.status = 'offered' and d.frame is not null
            order by d.offered_at limit 20
            """,
            store_id,
            people,
        )

    async def find_view(self, store_id: str, intervention_id: UUID) -> View | None:
        return await self.postgres.find(
            View,
            """
            select intervention_id, status, channel, due_at, expires_at, attempts, failures, detail, delivered_at
            from deliveries where store_id = $1 and intervention_id = $2
            """,
            store_id,
            intervention_id,
        )

    async def listed(
        self, store_id: str, status: str | None, before: tuple[datetime, UUID] | None, limit: int
    ) -> list["Listed"]:
        """Decisions with how their deliveries stand, newest first; `status` is a delivery's, or an outcome."""
        recorded_at, identity = before or (None, None)
        return await self.postgres.rows(
            Listed,
            f"""
            select {COLUMNS}, i.recorded_at, coalesce(d.status, i.outcome) as status, d.detail, d.delivered_at,
                d.attempts,
                coalesce(d.channel, i.channel) as delivery_channel
            from interventions i left join deliveries d on d.intervention_id = i.id
            where i.store_id = $1 and ($2::text is null or coalesce(d.status, i.outcome) = $2 or i.outcome = $2)
              and ($3::timestamptz is null or (i.recorded_at, i.id) < ($3, $4::uuid))
            order by i.recorded_at desc, i.id desc limit $5
            """,  # noqa: S608 - our own column list
            store_id,
            status,
            recorded_at,
            identity,
            limit,
        )


class Listed(Intervention, frozen=True, kw_only=True):
    """A decision and how its delivery stands."""

    status: Literal["pending", "offered", "delivered", "dead", "cancelled", "expired", "held_out", "skipped", "contact"]
    """The delivery's; the outcome where there is none."""
    detail: str | None
    delivered_at: datetime | None
    attempts: int | None
    delivery_channel: Channel | None
    recorded_at: datetime


def _touch(result: Result, wall: datetime) -> Touch:
    """A delivery is the first touch of a message, and nobody's machine."""
    each = result.intervention
    return Touch(
        id=derived_id("touch", str(each.id), "delivered"),
        store_id=each.store_id,
        intervention_id=each.id,
        person_id=each.person_id,
        cart_id=each.cart_id,
        cart_number=each.cart_number,
        kind="delivered",
        channel=result.channel,
        at=result.at,
        received_at=wall,
        machine=False,
    )
