"""The `rees46` format: rows of the REES46 multi-category clickstream as our events. Pure: a row in, an event out.

Columns: event_time, event_type, product_id, category_id, category_code, brand, price, user_id, user_session. Refuses
what has no known type, time or product or a price that is no number; a missing brand, category or session is no fault.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from recoup.kit.errors import Invalid
from recoup.kit.ids import derived_id
from recoup.kit.money import minor_units
from recoup.messages.events import Event, EventType, Item

CURRENCY: Final = "USD"
TYPES: Final = {
    "view": EventType.PRODUCT_VIEWED,
    "cart": EventType.PRODUCT_ADDED,
    "remove_from_cart": EventType.PRODUCT_REMOVED,
    "purchase": EventType.ORDER_COMPLETED,
}
COLUMNS: Final = ("event_time", "event_type", "product_id", "price", "user_id", "user_session")
"""Those without which a file is not of this format."""


def columns(header: Sequence[str]) -> tuple[str, ...]:
    """The columns of a file, by its first line; raises Invalid for a file of another format."""
    lacking = [name for name in COLUMNS if name not in header]
    if lacking:
        raise Invalid(f"not a rees46 file: its first line names no column {', '.join(lacking)}")
    return tuple(header)


def row_time(text: str) -> datetime:
    """The time of a row, such as `2019-10-01 00:00:00 UTC`."""
    try:
        return datetime.fromisoformat(text.removesuffix(" UTC")).replace(tzinfo=UTC)
    except ValueError as error:
        raise Invalid(f"not a time: {text!r}") from error


def to_event(names: Sequence[str], cells: Sequence[str]) -> Event:
    """A row as an event. Its ids come from its content alone, so that a repeated row repeats them."""
    row = {name: cell.strip() for name, cell in zip(names, cells, strict=False)}
    kind = TYPES.get(row["event_type"])
    if kind is None:
        raise Invalid(f"unknown event_type {row['event_type']!r}")
    item = _item(row)
    session = row.get("user_session") or f"u-{_required(row, 'user_id')}"
    ordered = kind is EventType.ORDER_COMPLETED
    return Event(
        event_id=derived_id("rees46", *cells),
        type=kind,
        occurred_at=row_time(row["event_time"]),
        cart_id=session,
        session_id=session,
        user_id=_required(row, "user_id"),
        items=[item],
        currency=CURRENCY,
        amount=item.price if ordered else None,
        order_id=str(derived_id("rees46-order", *cells)) if ordered else None,
    )


def _item(row: Mapping[str, str]) -> Item:
    category = row.get("category_code") or row.get("category_id") or None
    brand = row.get("brand") or None
    return Item(
        product_id=_required(row, "product_id"),
        price=minor_units(_required(row, "price"), CURRENCY),
        category=category,
        brand=brand,
        name=_name(brand, row.get("category_code", "")),
    )


def _name(brand: str | None, category_code: str) -> str | None:
    """What a person would call it: the recording has no names, but brand and kind say enough for a message."""
    kind = category_code.rpartition(".")[2].replace("_", " ")
    return " ".join(filter(None, (brand, kind))).capitalize() or None


def _required(row: Mapping[str, str], name: str) -> str:
    value = row.get(name)
    if not value:
        raise Invalid(f"{name} is empty")
    return value
