"""Decisions and the carts they are about, as rows. A decision is written once and never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from recoup.kit.errors import Missing
from recoup.kit.postgres import Postgres, Session
from recoup.messages.facts import Outcome
from recoup.services.interventions.announcements.store import announce
from recoup.services.interventions.decisions.domain import CartSeen, Intervention, decided

COLUMNS = """
    i.id, i.store_id, i.cart_id, i.cart_number, i.trigger, i.person_id, i.assigned_as, i.outcome, i.channel, i.action,
    i.discount_percent, i.coupon, i.rules, i.propensity, i.probability, i.model_version, i.reasons, i.cart, i.clock,
    i.decided_at, i.due_at, i.expires_at
"""


class Progress(Struct, frozen=True):
    """How much is still to be done with what the store's shoppers did so far."""

    clock: int | None
    """The store's time in milliseconds since 1970; null while it is not known."""
    outstanding: int
    """Abandoned carts nobody has decided about yet."""
    pending: int
    """Messages that are due and not finished, and announcements not yet published."""


class Reach(Struct, frozen=True, kw_only=True):
    """Of the carts that were decided about within the last days, the newest ones: whom a mail could reach now."""

    days: int
    carts: int
    with_email: int
    mailable: int
    """An address, the consent that the store asks for, and nothing that speaks against it."""


_REACH = """
    with decisions as (
        select distinct cart_id, cart_number, person_id from (
            select cart_id, cart_number, person_id from interventions
            where store_id = $1 and recorded_at > $2 order by recorded_at desc, id desc limit $3) newest
    ), known as (
        select d.person_id, max(p.email) as email, bool_and(p.consent) filter (where p.consent is not null) as consent
        from (select distinct person_id from decisions) d
        left join people p on p.store_id = $1 and (p.person_id = d.person_id or p.person_id in (
            select anonymous_id from identities where store_id = $1 and user_id = d.person_id))
        group by d.person_id
    ), mailable as (
        select person_id, email is not null as has_email, email is not null
            and (consent or (consent is null and not $4))
            and not exists (select from suppressions s where s.store_id = $1 and s.address = known.email)
            and not exists (select from preferences w
                where w.store_id = $1 and w.user_id = known.person_id and w.opted_out) as good
        from known
    )
    select $5::int as days, count(*) as carts, count(*) filter (where has_email) as with_email,
        count(*) filter (where good) as mailable
    from decisions join mailable using (person_id)
"""
REACH_DAYS = 7
_REACH_CARTS = 10_000


class _Place(Struct, frozen=True):
    store_id: str
    cart_id: str


class _Returned(Struct, frozen=True):
    cart_id: str
    cart_number: int
    returned_at: datetime


class Assigned(Struct, frozen=True):
    """The id under which somebody was first put into an arm."""

    person_id: str
    assigned_as: str


@dataclass(frozen=True, slots=True)
class Interventions:
    """What was decided."""

    postgres: Postgres

    async def record(self, store_id: str, interventions: Sequence[Intervention]) -> None:
        """Keeps decisions with their deliveries and announcements; a cart that was decided about keeps its first."""
        async with self.postgres.transaction() as session:
            new = await self._insert(session, store_id, interventions)
            fresh = [each for each in interventions if each.id in new]
            await self._note_decided(session, store_id, interventions)
            await self._schedule(session, store_id, [each for each in fresh if each.outcome is Outcome.CONTACT])
            await announce(session, [decided(each) for each in fresh])

    @staticmethod
    async def _insert(session: Session, store_id: str, interventions: Sequence[Intervention]) -> set[UUID]:
        """Writes those whose cart nobody has decided about; which those are."""
        return set(
            await session.rows(
                UUID,
                """
                insert into interventions (store_id, id, cart_id, cart_number, trigger, person_id, assigned_as, outcome,
                    channel, action, discount_percent, coupon, rules, propensity, probability, model_version, reasons,
                    cart, clock, decided_at, due_at, expires_at)
                select $1, r.* from jsonb_to_recordset($2::jsonb) as r (id uuid, cart_id text, cart_number int,
                    trigger text, person_id text, assigned_as text, outcome text, channel text, action text,
                    discount_percent int, coupon text, rules jsonb, propensity float8, probability float8,
                    model_version text, reasons text[], cart jsonb, clock text, decided_at timestamptz,
                    due_at timestamptz, expires_at timestamptz)
                on conflict do nothing returning id
                """,
                store_id,
                interventions,
            )
        )

    @staticmethod
    async def _note_decided(session: Session, store_id: str, interventions: Sequence[Intervention]) -> None:
        await session.execute_many(
            """
            insert into carts (store_id, cart_id, cart_number, decided_at) values ($1, $2, $3, $4)
            on conflict (store_id, cart_id, cart_number) do update set decided_at = excluded.decided_at
            where carts.decided_at is null
            """,
            [(store_id, each.cart_id, each.cart_number, each.decided_at) for each in interventions],
        )

    @staticmethod
    async def _schedule(session: Session, store_id: str, interventions: Sequence[Intervention]) -> None:
        await session.execute_many(
            """
            insert into deliveries (intervention_id, store_id, person_id, cart_id, status, clock, channel, due_at,
                next_try_at, expires_at)
            values ($1, $2, $3, $4, 'pending', $5, $6, $7, '-infinity', $8)
            """,
            [
                (
                    each.id,
                    store_id,
                    each.person_id,
                    each.cart_id,
                    each.clock,
                    each.channel,
                    each.due_at,
                    each.expires_at,
                )
                for each in interventions
            ],
        )

    async def decided_ids(self, store_id: str, ids: Sequence[UUID]) -> set[UUID]:
        return set(
            await self.postgres.rows(
                UUID, "select id from interventions where store_id = $1 and id = any($2)", store_id, ids
            )
        )

    async def first_assignments(self, store_id: str, people: Sequence[str]) -> dict[str, str]:
        """By any of these ids, the one under which its owner was first put into an arm of the experiment."""
        found = await self.postgres.rows(
            Assigned,
            """
            select distinct on (person_id) person_id, assigned_as from interventions
            where store_id = $1 and person_id = any($2) and outcome <> 'skipped'
            order by person_id, decided_at, id
            """,
            store_id,
            people,
        )
        return {each.person_id: each.assigned_as for each in found}

    async def note_abandoned(self, carts: Sequence[CartSeen]) -> None:
        """Carts that wait for a decision from now on."""
        if not carts:
            return
        await self.postgres.execute(
            """
            insert into carts (store_id, cart_id, cart_number, abandoned_at)
            select * from unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[])
            on conflict (store_id, cart_id, cart_number) do update set abandoned_at = excluded.abandoned_at
            """,
            [cart.store_id for cart in carts],
            [cart.cart_id for cart in carts],
            [cart.cart_number for cart in carts],
            [cart.at for cart in carts],
        )

    async def unheard(self, store_id: str, carts: Sequence[tuple[str, int]]) -> int:
        """How many of these carts (id, number) no event has told us to be abandoned."""
        return await self.postgres.row(
            int,
            """
            select count(*) from unnest($2::text[], $3::int[]) as asked (cart_id, cart_number)
            where not exists (
                select from carts where carts.store_id = $1 and carts.cart_id = asked.cart_id
                  and carts.cart_number = asked.cart_number and carts.abandoned_at is not null
            )
            """,
            store_id,
            [cart_id for cart_id, _ in carts],
            [number for _, number in carts],
        )

    async def note_returned(self, added: Sequence[tuple[str, str, datetime]]) -> list[tuple[str, str]]:
        """Abandoned carts to which something was added: (store, cart, when); which of them are back only now."""
        if not added:
            return []
        rows = await self.postgres.rows(
            _Place,
            """
            update carts set returned_at = r.at
            from unnest($1::text[], $2::text[], $3::timestamptz[]) as r (store_id, cart_id, at)
            where carts.store_id = r.store_id and carts.cart_id = r.cart_id and carts.returned_at is null
              and carts.abandoned_at < r.at
            returning carts.store_id, carts.cart_id
            """,
            [store_id for store_id, _, _ in added],
            [cart_id for _, cart_id, _ in added],
            [at for _, _, at in added],
        )
        return [(row.store_id, row.cart_id) for row in rows]

    async def returned(self, store_id: str, carts: Sequence[tuple[str, int]]) -> list[datetime | None]:
        """When each cart (id, number) was added to after it had been abandoned, in order."""
        rows = await self.postgres.rows(
            _Returned,
            """
            select cart_id, cart_number, returned_at from carts
            where store_id = $1 and cart_id = any($2) and returned_at is not null
            """,
            store_id,
            [cart_id for cart_id, _ in carts],
        )
        found = {(row.cart_id, row.cart_number): row.returned_at for row in rows}
        return [found.get(cart) for cart in carts]

    async def progress(self, store_id: str, clock: datetime | None) -> Progress:
        return await self.postgres.row(
            Progress,
            """
            select (extract(epoch from $2::timestamptz) * 1000)::bigint as clock,
                (select count(*) from carts where store_id = $1 and decided_at is null) as outstanding,
                (select count(*) from deliveries where store_id = $1 and status = 'pending' and due_at <= $2)
                + (select count(*) from announcements where message ->> 'store_id' = $1) as pending
            """,
            store_id,
            clock,
        )

    async def reach(self, store_id: str, now: datetime, *, needs_consent: bool) -> Reach:
        """What share of carts could be contacted by mail, whatever else was decided about them."""
        since = now - timedelta(days=REACH_DAYS)
        return await self.postgres.row(Reach, _REACH, store_id, since, _REACH_CARTS, needs_consent, REACH_DAYS)

    async def find(self, store_id: str, intervention_id: UUID) -> Intervention | None:
        return await self.postgres.find(
            Intervention,
            f"select {COLUMNS} from interventions i where store_id = $1 and id = $2",  # noqa: S608 - our own columns
            store_id,
            intervention_id,
        )

    async def intervention(self, store_id: str, intervention_id: UUID) -> Intervention:
        found = await self.find(store_id, intervention_id)
        if found is None:
            raise Missing(f"no intervention {str(intervention_id)!r}")
        return found
