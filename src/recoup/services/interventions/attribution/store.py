"""Orders and the conversions they turned out to be. An order is credited once; only its shop can take that back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from recoup.kit.postgres import Postgres, Session
from recoup.messages.facts import ConversionRecorded
from recoup.services.interventions.announcements.store import announce
from recoup.services.interventions.attribution.domain import Credited, Decided, Order, Refund, take_back


class _Kept(Struct, frozen=True):
    conversion: dict[str, object]
    taken_back: int
    refunds: list[int | None] = []


class _Last(Struct, frozen=True):
    place: int
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Orders:
    """Who bought what, and thanks to which decision."""

    postgres: Postgres

    async def note(self, store_id: str, orders: Sequence[Order]) -> None:
        """Keeps orders; a repeat adds nothing."""
        await self.postgres.execute(
            """
            insert into orders (store_id, order_id, person_id, cart_id, amount, currency, ordered_at)
            select $1, * from unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[])
            on conflict (store_id, order_id) do nothing
            """,
            store_id,
            [order.order_id for order in orders],
            [order.person_id for order in orders],
            [order.cart_id for order in orders],
            [order.amount for order in orders],
            [order.currency for order in orders],
            [order.ordered_at for order in orders],
        )

    async def last_orders(
        self, store_id: str, wanted: Sequence[tuple[Sequence[str], str, datetime]]
    ) -> list[datetime | None]:
        """The last order by any of a person's ids, or of a cart, up to a moment; in the order asked."""
        rows = await self.postgres.rows(
            _Last,
            """
            select w.place::int as place, max(o.ordered_at) as at
            from unnest($2::int[], $3::text[], $4::text[], $5::timestamptz[]) as w (place, person_id, cart_id, until)
            join orders o on o.store_id = $1 and o.ordered_at <= w.until
                and (o.person_id = w.person_id or o.cart_id = w.cart_id)
            group by w.place
            """,
            store_id,
            [place for place, (linked, _, _) in enumerate(wanted) for _ in linked],
            [person_id for linked, _, _ in wanted for person_id in linked],
            [cart_id for linked, cart_id, _ in wanted for _ in linked],
            [until for linked, _, until in wanted for _ in linked],
        )
        found = {row.place: row.at for row in rows}
        return [found.get(place) for place in range(len(wanted))]

    async def of_people(
        self, store_id: str, people: Sequence[str], carts: Sequence[str], since: datetime
    ) -> list[Order]:
        """Orders by these people or of these carts that are nobody's conversion yet."""
        return await self.postgres.rows(
            Order,
            """
            select o.store_id, o.order_id, o.person_id, o.cart_id, o.amount, o.currency, o.ordered_at from orders o
            where o.store_id = $1 and (o.person_id = any($2) or o.cart_id = any($3)) and o.ordered_at >= $4
              and not exists (select from conversions c where c.store_id = o.store_id and c.order_id = o.order_id)
            """,
            store_id,
            people,
            carts,
            since,
        )

    async def decisions(
        self, store_id: str, people: Sequence[str], carts: Sequence[str], since: datetime
    ) -> list[Decided]:
        return await self.postgres.rows(
            Decided,
            """
            select id, person_id, cart_id, outcome, decided_at from interventions
            where store_id = $1 and (person_id = any($2) or cart_id = any($3)) and decided_at >= $4
            """,
            store_id,
            people,
            carts,
            since,
        )

    async def record(self, store_id: str, conversions: Sequence[ConversionRecorded]) -> None:
        """Keeps and announces conversions; an order that is one already stays what it is."""
        async with self.postgres.transaction() as session:
            new = await session.rows(
                str,
                """
                insert into conversions (store_id, order_id, intervention_id, conversion)
                select $1, c ->> 'order_id', (c ->> 'intervention_id')::uuid,
                    c from jsonb_array_elements($2::jsonb) as r (c)
                on conflict (store_id, order_id) do nothing returning order_id
                """,
                store_id,
                conversions,
            )
            await announce(session, [each for each in conversions if each.order_id in new])
            # A refund may be known before the conversion it undoes.
            await _undo(session, store_id, [each.order_id for each in conversions])

    async def take_back(self, store_id: str, refunds: Sequence[Refund]) -> bool:
        """Keeps refunds, a repeat adds nothing, and undoes what they undo; whether that is anything to announce."""
        async with self.postgres.transaction() as session:
            await session.execute(
                """
                insert into refunds (store_id, event_id, order_id, amount, refunded_at)
                select $1, * from unnest($2::uuid[], $3::text[], $4::bigint[], $5::timestamptz[])
                on conflict (store_id, event_id) do nothing
                """,
                store_id,
                [refund.event_id for refund in refunds],
                [refund.order_id for refund in refunds],
                [refund.amount for refund in refunds],
                [refund.refunded_at for refund in refunds],
            )
            return await _undo(session, store_id, [refund.order_id for refund in refunds])

    async def of_intervention(self, store_id: str, intervention_id: UUID) -> list[ConversionRecorded]:
        """Its conversions, worth what their shop did not take back."""
        rows = await self.postgres.rows(
            _Kept,
            "select conversion, taken_back from conversions where store_id = $1 and intervention_id = $2",
            store_id,
            intervention_id,
        )
        found = [(msgspec.convert(row.conversion, ConversionRecorded), row.taken_back) for row in rows]
        return [msgspec.structs.replace(each, amount=each.amount - undone) for each, undone in found]


async def _undo(session: Session, store_id: str, order_ids: Sequence[str]) -> bool:
    """Announces what is to be undone of these orders' conversions, and remembers that it is."""
    rows = await session.rows(
        _Kept,
        """
        select c.conversion, c.taken_back,
            array(select r.amount from refunds r where r.store_id = c.store_id and r.order_id = c.order_id) as refunds
        from conversions c
        where c.store_id = $1 and c.order_id = any($2)
          and exists (select from refunds r where r.store_id = c.store_id and r.order_id = c.order_id)
        order by c.order_id for update of c
        """,
        store_id,
        order_ids,
    )
    known = [
        Credited(
            conversion=msgspec.convert(row.conversion, ConversionRecorded), taken_back=row.taken_back,
            refunds=row.refunds,
        )
        for row in rows
    ]  # fmt: skip
    undone = [each for each in map(take_back, known) if each is not None]
    await session.execute(
        """
        update conversions c set taken_back = c.taken_back - u.amount
        from unnest($2::text[], $3::bigint[]) as u (order_id, amount)
        where c.store_id = $1 and c.order_id = u.order_id
        """,
        store_id,
        [each.order_id for each in undone],
        [each.amount for each in undone],
    )
    await announce(session, undone)
    return bool(undone)
