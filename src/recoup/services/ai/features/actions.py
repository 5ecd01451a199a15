"""Advances the online features by a batch, and looks at one cart's features now: what the consumer and the API share.

The caller saves an advanced batch only after its predictions are durable. So a record that has taken in an abandonment
proves that the prediction was published, and a repeated batch neither counts nor predicts anything twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
import numpy as np
import pyarrow as pa

from recoup.kit.clock import milliseconds, moment
from recoup.kit.errors import Missing
from recoup.kit.service import Batch
from recoup.messages.facts import Cart
from recoup.services.ai.features.domain.advance import Abandonment, advance
from recoup.services.ai.features.domain.definitions import Observed, PastOrder, compute
from recoup.services.ai.features.domain.findings import Abandoned, Looked
from recoup.services.ai.features.domain.rows import Reading, cart_key, read, session_key
from recoup.services.ai.features.domain.state import Shopper, States, Visit, shopper, visit
from recoup.services.ai.features.store import Store


@dataclass(frozen=True, slots=True)
class Advanced:
    """Records as a batch leaves them, not yet saved, and the abandonments that were new in it."""

    keys: Sequence[str]
    states: States
    shoppers: Sequence[str]
    abandoned: Sequence[Abandoned]


@dataclass(frozen=True, slots=True)
class Features:
    """The feature store's online side."""

    store: Store

    async def advance(self, batch: Batch) -> Advanced:
        """Takes a batch in, in memory; orders are remembered at once, since adding them twice is harmless."""
        reading = read(
            batch.table,
            batch.spread([record.partition for record in batch.records]),
            batch.spread([record.offset for record in batch.records]),
        )
        states, before = await self.store.records(reading.keys)
        await self.store.add_orders(reading.orders())
        shoppers = reading.shoppers(before)
        found = advance(states, reading.rows)
        advanced = Advanced(reading.keys, states, shoppers, ())
        if not found:
            return advanced
        carts = await self._complete(reading, advanced, found)
        return Advanced(reading.keys, states, shoppers, carts)

    async def save(self, advanced: Advanced) -> None:
        """Keeps the records; from here on the batch's rows are known to be taken in."""
        await self.store.save(advanced.keys, advanced.states, advanced.shoppers)

    async def look(self, store_id: str, cart_id: str, now: datetime) -> Looked:
        """A cart's features now; raises Missing for a cart nobody mentioned lately."""
        found = await self.find(store_id, cart_id, now)
        if found is None:
            raise Missing(f"nothing is known of cart {cart_id!r}")
        return found

    async def find(self, store_id: str, cart_id: str, now: datetime) -> Looked | None:
        """The same, None where nothing is known; where the store's clock is ahead of ours, as of the last event."""
        states, (kept,) = await self.store.records([cart_key(store_id, cart_id)])
        cart, who = visit(states[0]), shopper(kept)
        if cart.offset < 0:
            return None
        at = max(milliseconds(now), cart.last_at, cart.abandoned_at)
        (observed,) = await self._observe([(store_id, who, cart, at)], {})
        return Looked(cart_id=cart_id, person_id=who.person_id, computed_at=moment(at), features=compute(observed))

    async def changed_at(self, store_id: str, cart_id: str) -> datetime | None:
        """When the shopper last did something with a cart; None where nothing is known."""
        states, _ = await self.store.records([cart_key(store_id, cart_id)])
        last_at = int(states["last_at"][0])
        return moment(last_at) if last_at else None

    async def _complete(self, reading: Reading, advanced: Advanced, found: Sequence[Abandonment]) -> list[Abandoned]:
        places = np.asarray([one.row for one in found])
        rows = reading.table.take(pa.array(places)).to_pylist()
        owners = reading.rows.subject[places].tolist()
        wanted = [
            (
                str(row["store_id"]),
                _shopper_of(row, shopper(advanced.shoppers[int(owner)])),
                one.cart,
                milliseconds(row["occurred_at"]),
            )
            for row, owner, one in zip(rows, owners, found, strict=True)
        ]
        sessions = {session_key(store_id, who.session_id) for store_id, who, _, _ in wanted}
        fresh = {key: advanced.states[place] for place, key in enumerate(advanced.keys) if key in sessions}
        observed = await self._observe(wanted, fresh)
        return [_abandoned(row, one[1], seen) for row, one, seen in zip(rows, wanted, observed, strict=True)]

    async def _observe(
        self, wanted: Sequence[tuple[str, Shopper, Visit, int]], fresh: dict[str, np.void]
    ) -> list[Observed]:
        """What is known of each cart at its moment: its own record, its session's, its person's orders."""
        orders = await self.store.orders([(store_id, who.person_id, at) for store_id, who, _, at in wanted])
        sessions = [session_key(store_id, who.session_id) for store_id, who, _, _ in wanted]
        elsewhere = [key for key in sessions if key not in fresh]
        stored, _ = await self.store.records(elsewhere)
        known = fresh | dict(zip(elsewhere, stored, strict=True))
        return [
            Observed(
                now=at,
                cart=cart,
                session=_begun(visit(known[session])),
                orders=_history(who, history),
            )
            for (_, who, cart, at), session, history in zip(wanted, sessions, orders, strict=True)
        ]


def _begun(session: Visit) -> Visit | None:
    return session if session.first_at else None


def _history(who: Shopper, orders: Sequence[PastOrder]) -> Sequence[PastOrder] | None:
    return orders if who.person_id else None


def _shopper_of(row: dict[str, object], known: Shopper) -> Shopper:
    """As the row says, or else as the cart's earlier rows did."""
    return Shopper(
        str(row["user_id"] or known.user_id),
        str(row["anonymous_id"] or known.anonymous_id),
        str(row["session_id"] or known.session_id),
    )


def _abandoned(row: dict[str, object], who: Shopper, seen: Observed) -> Abandoned:
    items = [{name: value for name, value in item.items() if value is not None} for item in _items(row)]
    cart = {
        "cart_id": row["cart_id"], "number": row["cart_number"] or 1, "value": row["cart_value"] or 0,
        "currency": row["currency"] or "USD", "items": items, "user_id": who.user_id or None,
        "anonymous_id": who.anonymous_id or None, "session_id": who.session_id or None,
    }  # fmt: skip
    return Abandoned(
        event_id=str(UUID(bytes=cast("bytes", row["event_id"]))), store_id=str(row["store_id"]),
        occurred_at=moment(seen.now), cart=msgspec.convert(cart, Cart), features=compute(seen),
    )  # fmt: skip


def _items(row: dict[str, object]) -> list[dict[str, object]]:
    return msgspec.convert(row["items"] or [], list[dict[str, object]])
