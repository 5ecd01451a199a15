"""Picks from a batch of events the few that matter here. Pure; in columns while there are many, in rows when few."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict, cast
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from recoup.messages.events import CartChange, EventType
from recoup.services.interventions.attribution.domain import Order, Refund
from recoup.services.interventions.decisions.domain import CartSeen
from recoup.services.interventions.preferences.domain import NO_TRAITS, Seen, traits

COLUMNS = (
    "type", "store_id", "occurred_at", "event_id", "user_id", "anonymous_id", "session_id", "cart_id", "cart_number",
    "cart_change", "order_id", "amount", "currency", "cart_value", "locale", "timezone", "properties", "proven",
)  # fmt: skip
_REFUNDS = frozenset({EventType.ORDER_REFUNDED, EventType.ORDER_CANCELLED})
_SAYS_NOTHING = _REFUNDS | {EventType.CART_ABANDONED}
"""Of who somebody is: these come from the shop's back office, or from us."""
_ROW_TYPES = pa.array(
    [
        EventType.USER_IDENTIFIED, EventType.CONSENT_UPDATED, EventType.ORDER_COMPLETED, EventType.CART_ABANDONED,
        *sorted(_REFUNDS),
    ]
)  # fmt: skip


class Row(TypedDict):
    """One event of the few."""

    type: str
    store_id: str
    occurred_at: datetime
    event_id: object
    user_id: str | None
    anonymous_id: str | None
    session_id: str | None
    cart_id: str | None
    cart_number: int | None
    order_id: str | None
    amount: int | None
    currency: str | None
    cart_value: int | None
    locale: str | None
    timezone: str | None
    properties: str | None
    proven: bool | None


class News(Struct, frozen=True, kw_only=True):
    """What a batch tells."""

    reached: dict[tuple[str, int], datetime]
    """How far each store's clock has come, by store and partition."""
    returned: list[tuple[str, str, datetime]]
    """Abandoned carts to which something was added: store, cart, when last."""
    rows: list[Row]


def news(table: pa.Table, partitions: np.ndarray) -> News:
    """What matters in a batch; `partitions` says where each row came from."""
    kinds = table.column("type")
    clocks = pc.equal(kinds, EventType.CLOCK)
    places = table.select(["store_id", "occurred_at"]).append_column("partition", pa.array(partitions))
    is_back = pc.equal(table.column("cart_change"), CartChange.RETURNED)
    returned = table.select(["store_id", "cart_id", "occurred_at"]).filter(is_back)
    few = table.select(list(Row.__annotations__)).filter(pc.is_in(kinds, _ROW_TYPES))
    return News(
        reached=_reached(places.filter(clocks)),
        returned=_returned(returned),
        rows=[keepable(row) for row in cast("list[Row]", few.to_pylist())],
    )


def keepable(row: Row) -> Row:
    """The row without NUL characters, which JSON allows and our tables don't: one shopper's must not stop the rest."""
    if not any(isinstance(value, str) and "\x00" in value for value in row.values()):
        return row
    cleaned = {
        name: value.replace("\x00", "\ufffd") if isinstance(value, str) else value for name, value in row.items()
    }
    return cast("Row", cast("object", cleaned))


def _reached(clocks: pa.Table) -> dict[tuple[str, int], datetime]:
    if not clocks.num_rows:
        return {}
    newest = clocks.group_by(["store_id", "partition"]).aggregate([("occurred_at", "max")])
    return {
        (cast("str", row["store_id"]), cast("int", row["partition"])): cast("datetime", row["occurred_at_max"])
        for row in newest.to_pylist()
    }


def _returned(additions: pa.Table) -> list[tuple[str, str, datetime]]:
    if not additions.num_rows:
        return []
    carts = additions.column("cart_id")
    in_carts = additions.filter(pc.and_(pc.is_valid(carts), pc.invert(pc.match_substring(carts, "\x00"))))
    newest = in_carts.group_by(["store_id", "cart_id"]).aggregate([("occurred_at", "max")])
    return [
        (cast("str", row["store_id"]), cast("str", row["cart_id"]), cast("datetime", row["occurred_at_max"]))
        for row in newest.to_pylist()
    ]


def visitor(row: Row) -> str:
    """The id of somebody who did not say who they are."""
    return row["anonymous_id"] or row["session_id"] or row["cart_id"] or str(row["event_id"])


def seen(rows: Iterable[Row]) -> list[Seen]:
    """Who was seen, and what they said about themselves."""
    return [
        Seen(
            user_id=row["user_id"],
            anonymous_id=row["anonymous_id"],
            at=row["occurred_at"],
            traits=traits(row["properties"]) if row["properties"] else NO_TRAITS,
            locale=row["locale"],
            timezone=row["timezone"],
            proven=bool(row["proven"]),
        )
        for row in rows
        if row["type"] not in _SAYS_NOTHING and (row["user_id"] or row["anonymous_id"])
    ]


def abandoned(rows: Iterable[Row]) -> list[CartSeen]:
    """Carts that were left, each once: numbers begin anew under an id that was forgotten, and the last one counts."""
    left = (row for row in rows if row["type"] == EventType.CART_ABANDONED)
    carts = [
        CartSeen(row["store_id"], row["cart_id"], row["cart_number"] or 1, row["occurred_at"])
        for row in left
        if row["cart_id"]
    ]
    return list({(cart.store_id, cart.cart_id, cart.cart_number): cart for cart in sorted(carts, key=_at)}.values())


def _at(cart: CartSeen) -> datetime:
    return cart.at


def ordered(rows: Iterable[Row], currency: str) -> list[tuple[Order, Row]]:
    """Orders, each once; without an amount an order is worth what its cart was."""
    found: dict[str, tuple[Order, Row]] = {}
    for row in rows:
        if row["type"] != EventType.ORDER_COMPLETED:
            continue
        order_id = row["order_id"] or str(row["event_id"])
        amount = row["amount"] if row["amount"] is not None else row["cart_value"] or 0
        order = Order(
            store_id=row["store_id"], order_id=order_id, person_id=row["user_id"] or visitor(row),
            cart_id=row["cart_id"],
            amount=amount, currency=row["currency"] or currency, ordered_at=row["occurred_at"],
        )  # fmt: skip
        found.setdefault(order_id, (order, row))
    return list(found.values())


def refunded(rows: Iterable[Row]) -> list[Refund]:
    """What shops took back: a cancelled order whole, a refund as far as its amount says, or else whole too."""
    return [
        Refund(
            event_id=UUID(bytes=cast("bytes", row["event_id"])), order_id=row["order_id"],
            amount=None if row["type"] == EventType.ORDER_CANCELLED else row["amount"], refunded_at=row["occurred_at"],
        )
        for row in rows
        if row["type"] in _REFUNDS and row["order_id"]
    ]  # fmt: skip
