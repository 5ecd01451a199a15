"""Turns log records of enriched events into the columns that advance needs. Pure; knows their schema, not their source.

A row belongs to its cart; a row without a cart id belongs to its session's record, which is joined to the cart's when
the cart is looked at. Rows of neither, and `clock` rows, say nothing of a shopper and are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recoup.messages.events import CartChange, EventType
from recoup.messages.keys import CART_FEATURES, SESSION_FEATURES
from recoup.services.ai.features.domain.advance import DEVICES, OTHER_TYPE, SOURCES, TYPES, Ints, Places, Rows
from recoup.services.ai.features.domain.definitions import PastOrder
from recoup.services.ai.features.domain.state import SEPARATOR, UNKNOWN, Shopper, newer

COLUMNS: Final = (
    "event_id", "type", "store_id", "cart_id", "user_id", "anonymous_id", "session_id", "occurred_at", "items",
    "amount", "currency", "order_id", "coupon", "discount", "cart_number", "cart_change", "cart_value", "item_count",
    "average_item_price", "local_hour", "local_weekday", "is_weekend", "device_class", "traffic_source",
)  # fmt: skip
_CLOSING: Final = pa.array([CartChange.CONVERTED, CartChange.RECOVERED], pa.string())
_TYPE_NAMES: Final = pa.array([*TYPES], pa.string())


_ALIASES: Final = {
    **{kind: kind for kind in SOURCES},
    **dict.fromkeys(("google", "bing", "duckduckgo", "yahoo", "baidu", "yandex", "ecosia", "organic"), "search"),
    **dict.fromkeys(("facebook", "instagram", "tiktok", "twitter", "x", "pinterest", "youtube", "reddit"), "social"),
    **dict.fromkeys(("newsletter", "mail", "e-mail", "klaviyo", "mailchimp", "recoup"), "email"),
    **dict.fromkeys(("adwords", "google_ads", "googleads", "cpc", "ppc", "ads", "criteo"), "paid"),
}  # fmt: skip


_CART_PREFIX: Final = CART_FEATURES.pattern.partition(":")[0]
_SESSION_PREFIX: Final = SESSION_FEATURES.pattern.partition(":")[0]


def cart_key(store_id: str, cart_id: str) -> str:
    """The key of a cart's record."""
    return CART_FEATURES.key(store_id=store_id, cart_id=cart_id)


def session_key(store_id: str, session_id: str) -> str:
    """The key of the record of a session's rows without a cart."""
    return SESSION_FEATURES.key(store_id=store_id, session_id=session_id)


class Order(NamedTuple):
    """An order as the history of each of its people remembers it."""

    store_id: str
    person_id: str
    order_id: str
    order: PastOrder


@dataclass(frozen=True, slots=True)
class Reading:
    """A batch's rows that concern us, as a table and as columns, and whose records they advance."""

    table: pa.Table
    rows: Rows
    keys: list[str]

    def shoppers(self, before: Sequence[str]) -> list[str]:
        """Who is behind each record now."""
        parts = [self._newest(name) for name in Shopper._fields]
        said = cast("list[str]", pc.binary_join_element_wise(*parts, SEPARATOR).to_pylist())
        return [was if was == now else newer(was, now) for was, now in zip(before, said, strict=True)]

    def orders(self) -> list[Order]:
        """The orders in the batch, once for each id their shopper is known by."""
        completed = np.flatnonzero(self.rows.kind == TYPES.index(EventType.ORDER_COMPLETED))
        found: list[Order] = []
        for row in self.table.take(pa.array(completed)).to_pylist():
            order = PastOrder(
                at=_ms(row["occurred_at"]), amount=row["amount"] or row["cart_value"] or 0,
                with_coupon=bool(row["coupon"] or row["discount"]),
            )  # fmt: skip
            people = {row["user_id"], row["anonymous_id"]} - {None}
            found += [
                Order(row["store_id"], person, row["order_id"] or row["event_id"].hex(), order)
                for person in sorted(people)
            ]
        return found

    def _newest(self, name: str) -> pa.Array:
        """Of each record's rows, what the last one says that says anything; empty where none does."""
        column = _column(self.table, name)
        valid = np.flatnonzero(_numpy(pc.is_valid(column)))
        newest = np.full(len(self.keys), -1, np.int64)
        newest[self.rows.subject[valid]] = valid  # of repeated places the last assignment stays
        return pc.fill_null(column.take(pa.array(newest, mask=newest < 0)), "")


def read(table: pa.Table, partitions: Ints, offsets: Ints) -> Reading:
    """Rows with the position of each one's record; the table may have more columns than we look at."""
    whole = table.select(COLUMNS)
    position = np.stack([partitions, offsets], axis=1)
    owner = pc.coalesce(_column(whole, "cart_id"), _column(whole, "session_id"), _column(whole, "anonymous_id"))
    ours = _numpy(pc.and_(pc.is_valid(owner), pc.not_equal(_column(whole, "type"), EventType.CLOCK)))
    if not ours.all():
        kept = np.flatnonzero(ours)
        whole, position, owner = whole.take(pa.array(kept)), position[kept], owner.take(pa.array(kept))
    prefix = pc.if_else(pc.is_valid(_column(whole, "cart_id")), _CART_PREFIX, _SESSION_PREFIX)
    keys = pc.binary_join_element_wise(prefix, _column(whole, "store_id"), owner, ":").dictionary_encode()
    places = _numpy(keys.indices).astype(np.intp)
    return Reading(whole, _columns(whole, places, position), cast("list[str]", keys.dictionary.to_pylist()))


def _columns(table: pa.Table, subject: Places, position: Ints) -> Rows:
    change = _column(table, "cart_change")
    return Rows(
        subject=subject,
        partition=position[:, 0],
        offset=position[:, 1],
        kind=_codes(_column(table, "type"), _TYPE_NAMES, OTHER_TYPE),
        at=_numpy(_column(table, "occurred_at").cast(pa.int64())),
        closes=_numpy(pc.is_in(change, value_set=_CLOSING)).astype(np.bool_),
        number=_integers(table, "cart_number"),
        value=_integers(table, "cart_value"),
        items=_integers(table, "item_count"),
        price=_integers(table, "average_item_price"),
        hour=_integers(table, "local_hour"),
        weekday=_integers(table, "local_weekday"),
        weekend=_integers(table, "is_weekend"),
        device=_codes(_column(table, "device_class"), pa.array(DEVICES), len(DEVICES) - 1),
        source=_sources(_column(table, "traffic_source")),
    )


def _column(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks)
        if column.num_chunks
        else _none(column)
    )


def _none(column: pa.ChunkedArray) -> pa.Array:
    return pa.array([], column.type)


def _integers(table: pa.Table, name: str) -> Ints:
    return _numpy(pc.fill_null(_column(table, name).cast(pa.int64()), UNKNOWN))


def _codes(column: pa.Array, names: pa.Array, other: int) -> Ints:
    """Places among the names; `other` for a name not listed, UNKNOWN for none at all."""
    found = pc.fill_null(pc.index_in(column, value_set=names), other)
    return _numpy(pc.if_else(pc.is_valid(column), found, UNKNOWN)).astype(np.int64)


def _sources(column: pa.Array) -> Ints:
    """Campaigns name their source as they like; the ones everybody uses are known by kind."""
    place = _codes(pc.utf8_lower(column), pa.array(list(_ALIASES)), len(_ALIASES))
    meaning = np.array([*(SOURCES.index(kind) for kind in _ALIASES.values()), len(SOURCES) - 1, UNKNOWN])
    return meaning[place]  # UNKNOWN is -1 and so finds the last


def _numpy(array: pa.Array) -> npt.NDArray[np.int64]:
    return cast("npt.NDArray[np.int64]", array.to_numpy(zero_copy_only=False))


def _ms(moment: object) -> int:
    return round(moment.timestamp() * 1000)  # pyright: ignore[reportAttributeAccessIssue] - a datetime by the schema
