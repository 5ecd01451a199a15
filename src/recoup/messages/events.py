"""What a shop tells us: the event as a Struct at the edge and as Arrow columns inside.

One definition; the other derives.

Checks the envelope only (types, lengths, ranges, unknown fields). What an event of some type must carry is the stream's
business, because it depends on the store.
"""

from datetime import datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import pyarrow as pa
from msgspec import Meta, Raw, Struct

Id = Annotated[str, Meta(min_length=1, max_length=128, description="an id the shop gives")]
Text = Annotated[str, Meta(max_length=512)]
LongText = Annotated[str, Meta(max_length=4096)]
MinorUnits = Annotated[int, Meta(ge=0, le=10**15, description="money in minor units: 1999 is 19.99")]
CurrencyCode = Annotated[str, Meta(min_length=3, max_length=3, description="ISO 4217")]
Proof = Annotated[str, Meta(max_length=64, description="HMAC-SHA256 of the user id by a secret key, in hexadecimal")]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]


class EventType(StrEnum):
    """The vocabulary: Segment's e-commerce names in snake case, and those we derive ourselves."""

    PAGE_VIEWED = "page_viewed"
    PRODUCT_VIEWED = "product_viewed"
    PRODUCT_LIST_VIEWED = "product_list_viewed"
    PRODUCTS_SEARCHED = "products_searched"
    PRODUCT_ADDED = "product_added"
    PRODUCT_REMOVED = "product_removed"
    CART_VIEWED = "cart_viewed"
    CART_UPDATED = "cart_updated"
    CHECKOUT_STARTED = "checkout_started"
    CHECKOUT_STEP_COMPLETED = "checkout_step_completed"
    PAYMENT_INFO_ENTERED = "payment_info_entered"
    PAYMENT_FAILED = "payment_failed"
    COUPON_ENTERED = "coupon_entered"
    COUPON_APPLIED = "coupon_applied"
    COUPON_DENIED = "coupon_denied"
    EXIT_INTENT = "exit_intent"
    ORDER_COMPLETED = "order_completed"
    ORDER_UPDATED = "order_updated"
    ORDER_REFUNDED = "order_refunded"
    ORDER_CANCELLED = "order_cancelled"
    USER_IDENTIFIED = "user_identified"
    CONSENT_UPDATED = "consent_updated"
    CLOCK = "clock"
    """Moves the clock of a store that runs on event time; says nothing of any shopper."""
    CART_ABANDONED = "cart_abandoned"
    CART_RECOVERED = "cart_recovered"
    CART_EXPIRED = "cart_expired"
    CUSTOM_EVENT = "custom_event"
    """Something other software calls by a name we have no type for; `properties.event` says which."""


DERIVED = frozenset({EventType.CART_ABANDONED, EventType.CART_RECOVERED, EventType.CART_EXPIRED})
"""Types only we may write."""


class Item(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A line of a cart or order. `price` is for one piece."""

    product_id: Id
    quantity: Annotated[int, Meta(ge=0, le=1_000_000)] = 1
    price: MinorUnits = 0
    variant_id: Id | None = None
    name: Text | None = None
    category: Text | None = None
    brand: Text | None = None


class Context(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Where the shopper was and with what."""

    page_url: LongText | None = None
    referrer: LongText | None = None
    user_agent: LongText | None = None
    ip: Text | None = None
    locale: Text | None = None
    timezone: Text | None = None
    device_type: Text | None = None
    utm_source: Text | None = None
    utm_medium: Text | None = None
    utm_campaign: Text | None = None
    utm_term: Text | None = None
    utm_content: Text | None = None
    fingerprint: Text | None = None


NO_CONTEXT = Context()
NO_PROPERTIES = Raw(b"")


class Event(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """One thing a shopper did, as the shop says it."""

    event_id: UUID
    """The client's own; sending the same one again within an hour is harmless."""
    type: Annotated[str, Meta(min_length=1, max_length=64)]
    occurred_at: Moment
    """By the shopper's clock."""
    sent_at: Moment | None = None
    """By the same clock, when the event left; lets us correct that clock."""
    schema_version: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    store_id: Id | None = None
    """May be left out: the key decides. Another store's is refused."""
    cart_id: Id | None = None
    user_id: Id | None = None
    user_hash: Proof | None = None
    """The shop's proof for `user_id`, which a page needs to change what is known of a user. Kept nowhere."""
    anonymous_id: Id | None = None
    session_id: Id | None = None
    items: list[Item] = []
    amount: MinorUnits | None = None
    currency: CurrencyCode | None = None
    order_id: Id | None = None
    coupon: Text | None = None
    discount: MinorUnits | None = None
    context: Context = NO_CONTEXT
    properties: Raw = NO_PROPERTIES
    """Whatever else: a JSON object, kept as it came."""


class CartChange(StrEnum):
    """What an event did to its cart; empty where it changed no cart's fate."""

    OPENED = "opened"
    CONVERTED = "converted"
    RECOVERED = "recovered"
    RETURNED = "returned"
    """Something was added to a cart that had been abandoned."""


NOT_KEPT = frozenset({"user_hash"})
"""Fields of an event that no row has: what proves somebody must not lie about."""

_MILLISECONDS = pa.timestamp("ms", "UTC")
_ARROW: dict[object, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    datetime: _MILLISECONDS,
    UUID: pa.binary(16),
    Raw: pa.string(),
}


def _plain(hint: object) -> object:
    """A type without its Annotated wrapping and without None."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in {Union, UnionType}:
        return _plain(next(part for part in get_args(hint) if part is not NoneType))
    return hint


def columns_of(kind: type[Struct]) -> list[pa.Field]:
    """The Arrow columns of a Struct, in its order: nested Structs flatten, lists of Structs nest."""
    found: list[pa.Field] = []
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if name in NOT_KEPT:
            continue
        plain = _plain(hint)
        if isinstance(plain, type) and issubclass(plain, Struct):
            found += columns_of(plain)
        elif get_origin(plain) is list:
            (inner,) = get_args(plain)
            found.append(pa.field(name, pa.list_(pa.struct(columns_of(inner)))))
        else:
            found.append(pa.field(name, _ARROW[plain]))
    return found


RAW = pa.schema([
    *columns_of(Event),
    pa.field("proven", pa.bool_()),
    pa.field("from_shop", pa.bool_()),
    pa.field("received_at", _MILLISECONDS),
])  # fmt: skip
"""Rows of `cart-events-raw`: the event as sent, with its store, and when it reached us.

`proven` is true where the shop itself speaks (with a secret key, through its platform's webhooks) or has proven the
user to the page that does; false or null where anybody who reads the shop's pages could have sent the same.
`from_shop` is true where the shop itself speaks: a page that has proven its user may change what is known of that user
only.

`event_id` is the 16 bytes of the UUID: a third of an event's size on the log would otherwise be its hexadecimal digits.
"""

ENRICHED = pa.schema(
    [
        *RAW,
        pa.field("raw_partition", pa.int64()),
        pa.field("raw_offset", pa.int64()),
        pa.field("cart_number", pa.int64()),
        pa.field("cart_change", pa.string()),
        pa.field("cart_value", pa.int64()),
        pa.field("item_count", pa.int64()),
        pa.field("average_item_price", pa.int64()),
        pa.field("local_hour", pa.int64()),
        pa.field("local_weekday", pa.int64()),
        pa.field("is_weekend", pa.bool_()),
        pa.field("is_holiday", pa.bool_()),
        pa.field("in_business_hours", pa.bool_()),
        pa.field("device_class", pa.string()),
        pa.field("traffic_source", pa.string()),
        pa.field("traffic_medium", pa.string()),
        pa.field("user_orders", pa.int64()),
        pa.field("user_average_order", pa.int64()),
        pa.field("user_last_seen", _MILLISECONDS),
        pa.field("user_last_category", pa.string()),
        pa.field("session_pages", pa.int64()),
        pa.field("session_seconds", pa.int64()),
        pa.field("session_source", pa.string()),
        pa.field("session_medium", pa.string()),
        pa.field("session_entry_page", pa.string()),
        pa.field("enrichment_missing", pa.string()),
        pa.field("risk_signals", pa.string()),
        pa.field("pipeline_version", pa.string()),
        pa.field("enriched_at", _MILLISECONDS),
    ]
)
"""Rows of `cart-events-enriched`: valid, once each, with what we know besides. See the glossary for each column.

`items`: what a line does not say of its product (`name`, `category`, `brand`) is what the shop itself last said of it.
`cart_number` counts the carts that were opened under one cart id, from 1; null where the event touched no cart with
items.
`cart_value` (minor units), `item_count`: the cart after this event, or the items of the event where it has no cart.
`local_hour` 0 to 23 and `local_weekday` 1 to 7 from Monday, in the shop's time zone; so are the days of `is_holiday`
(null for a shop without a country) and `in_business_hours` (null for one without such hours).
`device_class`: desktop, mobile, tablet, other, as the event or else its user agent says; a crawler is always `crawler`.
`traffic_source` is the campaign's name for it or else the medium; `traffic_medium` one of search, social, email, paid,
referral, direct, other. Both are null on steps within the shop.
`user_*`: what was known of the user before the rows that were worked on together: orders completed, their average in
minor units of the shop's currency, when last seen (to the minute or so), on which category the last order spent most.
`session_pages` and `session_seconds`: how many pages (`page_viewed`) the session had seen by then, this one included,
and how long it lasted. `session_source` and `session_medium` are those of its earliest event that has any, and
`session_entry_page` is the path of that one's page: later steps keep them. All are null without a `session_id`.
`enrichment_missing`: what could not be asked in time, with commas; null where nothing was.
`risk_signals`: what looks wrong, with commas, null where nothing does: crawler, event_rate, cart_rate, order_rate,
amount_below_cart, time_off, disposable_address.
`pipeline_version`: the version of the program that made the row.
Derived rows (`cart_abandoned`, …) carry the cart's items and value, and as `occurred_at` the moment that made them
true.
"""

DEAD = pa.schema(
    [
        pa.field("event_id", pa.string()),
        pa.field("store_id", pa.string()),
        pa.field("stage", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("field", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("attempts", pa.int64()),
        pa.field("body", pa.string()),
        pa.field("proven", pa.bool_()),
        pa.field("received_at", _MILLISECONDS),
        pa.field("dead_at", _MILLISECONDS),
    ]
)
"""Rows of `cart-events-dlq`: one event each. `body` is what came, as JSON text where it could be read at all."""
