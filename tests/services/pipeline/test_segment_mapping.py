"""What calls of Segment's, and the events of others sent through them, become; the table of names, and the laws."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup.kit import loose
from recoup.kit.config import Secret
from recoup.kit.ids import derived_id
from recoup.messages.events import Event
from recoup.services.pipeline.collect.domain.limits import SHOP_TYPES
from recoup.services.pipeline.segment.domain.carts import settled, visitors_of
from recoup.services.pipeline.segment.domain.mapping import Call, event_of

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
CALL = Call(
    store_id="shop", currency="USD", types=SHOP_TYPES, received_at=NOON,
    request_id=UUID("018f0000-0000-7000-8000-000000000000"), salt=Secret("salt"),
)  # fmt: skip


def mapped(place: int = 0, call: Call = CALL, **message: Any) -> Event:
    """One message, as it comes over the wire, by a visitor who added something, unless it says otherwise."""
    said = {"type": "track", "anonymousId": "a-1", "messageId": "m-1", "timestamp": NOON.isoformat(), **message}
    return event_of(loose.table(loose.decode(json.dumps(said).encode())), call, place).event


def track(name: str, /, **properties: Any) -> Event:
    return mapped(event=name, properties=properties)


def kept(event: Event) -> dict[str, Any]:
    return msgspec.json.decode(bytes(event.properties) or b"{}")


def accepted(event: Event) -> bool:
    """Whether the envelope takes it."""
    return bool(msgspec.json.decode(msgspec.json.encode(event), type=Event))


def examples() -> list[dict[str, Any]]:
    shared = os.environ.get("RECOUP_SHARED")
    if shared is None:
        return []
    return json.loads((Path(shared) / "data/event_specs/segment_ecommerce_v2_examples.json").read_text())


OF_THE_SPEC = {
    "Products Searched": ("products_searched", 0, None),
    "Product List Viewed": ("product_list_viewed", 2, None),
    "Product List Filtered": ("product_list_viewed", 2, None),
    "Promotion Viewed": ("custom_event", 0, None),
    "Promotion Clicked": ("custom_event", 0, None),
    "Product Clicked": ("custom_event", 1, None),
    "Product Viewed": ("product_viewed", 1, 1_899),
    "Product Added": ("product_added", 1, None),
    "Product Removed": ("product_removed", 1, None),
    "Cart Viewed": ("cart_viewed", 2, None),
    "Checkout Started": ("checkout_started", 2, 3_000),
    "Checkout Step Viewed": ("custom_event", 0, None),
    "Checkout Step Completed": ("checkout_step_completed", 0, None),
    "Payment Info Entered": ("payment_info_entered", 0, None),
    "Order Updated": ("order_updated", 2, 2_750),
    "Order Completed": ("order_completed", 2, 2_750),
    "Order Refunded": ("order_refunded", 2, 3_000),
    "Order Cancelled": ("order_cancelled", 2, 3_000),
    "Coupon Entered": ("coupon_entered", 0, None),
    "Coupon Applied": ("coupon_applied", 0, None),
    "Coupon Denied": ("coupon_denied", 0, None),
    "Coupon Removed": ("custom_event", 0, None),
    "Product Added to Wishlist": ("custom_event", 1, None),
    "Product Removed from Wishlist": ("custom_event", 1, None),
    "Wishlist Product Added to Cart": ("product_added", 1, None),
    "Product Shared": ("custom_event", 1, None),
    "Cart Shared": ("custom_event", 2, None),
    "Product Reviewed": ("custom_event", 1, None),
}


@pytest.mark.skipif(not examples(), reason="the spec's examples are not here")
@pytest.mark.parametrize("example", examples(), ids=lambda example: example["event"])
def test_every_example_of_the_specs_becomes_an_event(example: dict[str, Any]) -> None:
    event = mapped(**{key: example[key] for key in ("event", "properties")})

    assert (event.type, len(event.items), event.amount) == OF_THE_SPEC[example["event"]]
    assert accepted(event)


def test_an_orders_own_fields_are_taken_over_and_the_rest_is_kept() -> None:
    event = track(
        "Order Completed", order_id="o-1", total=27.5, shipping=3, discount="2.50", coupon="hasbros", currency="eur",
        products=[{"product_id": "p", "price": 19.99, "quantity": 2, "sku": "S", "url": "https://shop/p"}],
    )  # fmt: skip

    assert (event.order_id, event.amount, event.discount, event.currency) == ("o-1", 2_750, 250, "EUR")
    assert event.coupon == "hasbros"
    assert [(item.product_id, item.price, item.quantity) for item in event.items] == [("p", 1_999, 2)]
    assert kept(event) == {"shipping": 3, "products": [{"product_id": "p", "sku": "S", "url": "https://shop/p"}]}


@pytest.mark.parametrize(
    ("currency", "price", "minor"),
    [("USD", 0.29, 29), ("JPY", 1250, 1250), ("KWD", "1.234", 1_234), (None, 19.99, 1_999), ("???", 4.35, 435)],
)
def test_money_is_read_digit_by_digit_in_the_minor_units_of_its_currency(currency, price, minor) -> None:
    event = track("Product Added", product_id="p", price=price, currency=currency)

    assert event.items[0].price == minor


ALIASES = [
    ("Started Checkout", {"$value": 9.5, "Items": [{"ProductID": "1", "ItemPrice": 9.5}]}, "checkout_started", 950),
    ("Placed Order", {"OrderId": "7", "$value": "12"}, "order_completed", 1_200),
    ("Viewed Product", {"ProductID": "1", "Price": 2}, "product_viewed", None),
    ("ecommerce.cart_updated", {"cart_id": "c", "total_value": 5, "products": [{"id": 1}]}, "cart_updated", 500),
    ("ecommerce.order_placed", {"order_id": 9, "total_value": 5.01}, "order_completed", 501),
    ("started checkout", {"cartID": "c", "value": 3, "lineItems": [{"productID": 1}]}, "checkout_started", 300),
    ("order canceled", {"orderID": "o"}, "order_cancelled", None),
    ("product_added_to_cart", {"productVariant": {"id": 1, "price": 2}}, "product_added", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "properties", "kind", "amount"), ALIASES, ids=[row[0] for row in ALIASES])
def test_what_others_call_an_event_is_taken_for_it(name, properties, kind, amount) -> None:
    event = track(name, **properties)

    assert (event.type, event.amount) == (kind, amount)
    assert kept(event)["event"] == name


def test_of_a_whole_cart_only_the_line_that_was_added_is_added() -> None:
    klaviyo = track(
        "Added to Cart", AddedItemProductID="new", AddedItemPrice=5, AddedItemQuantity=2, AddedItemProductName="New",
        Items=[{"ProductID": "old", "ItemPrice": 1}, {"ProductID": "new", "ItemPrice": 5}],
    )  # fmt: skip
    omnisend = track(
        "added product to cart", cartID="c", addedItem={"productID": "new", "productPrice": 5},
        lineItems=[{"productID": "old"}, {"productID": "new"}],
    )  # fmt: skip

    assert [(item.product_id, item.quantity, item.price, item.name) for item in klaviyo.items] == [
        ("new", 2, 500, "New")
    ]
    assert [(item.product_id, item.price) for item in omnisend.items] == [("new", 500)]


def test_an_order_of_klaviyos_goes_by_what_its_event_is_about_and_nothing_else_does() -> None:
    said = {"$event_id": "1001", "$value": 5}

    assert track("Placed Order", **said).order_id == "1001"
    assert track("Placed Order", OrderId="7", **said).order_id == "7"
    assert track("Added to Cart", **said).order_id is None


@pytest.mark.parametrize(("action", "kind"), [("add", "product_added"), ("remove", "product_removed")])
def test_brazes_cart_update_says_what_it_does(action: str, kind: str) -> None:
    assert track("ecommerce.cart_updated", cart_id="c", action=action, products=[{"product_id": "p"}]).type == kind


def test_a_name_nobody_knows_is_a_custom_event_unless_the_store_registered_it() -> None:
    event = track("Boat Rented", boat="Ada")
    registered = mapped(event="Boat Rented", call=replace(CALL, types=SHOP_TYPES | {"boat_rented"}))

    assert (event.type, kept(event)) == ("custom_event", {"boat": "Ada", "event": "Boat Rented"})
    assert registered.type == "boat_rented"


def test_an_id_that_is_none_is_derived_so_that_a_repeat_is_recognised() -> None:
    uuid = "0b0e4a9e-6d2c-4f0e-9f1c-2a51b3a2d001"

    assert mapped(messageId=uuid).event_id == UUID(uuid)
    assert mapped(messageId="ajs-next-1").event_id == derived_id("segment", "shop", "ajs-next-1")
    assert mapped(messageId=None, place=1).event_id != mapped(messageId=None, place=2).event_id


@pytest.mark.parametrize("inside", [False, True], ids=["as Segment's clients", "as RudderStack's on servers"])
def test_identify_tells_who_and_how_to_reach_them(inside: bool) -> None:
    traits = {"firstName": "Ada", "lastName": "L", "email": "a@b.c", "plan": "pro"}
    said: dict[str, Any] = {"context": {"traits": traits}} if inside else {"traits": traits}
    event = mapped(type="identify", userId="u", **said)

    assert (event.type, event.user_id, event.anonymous_id) == ("user_identified", "u", "a-1")
    assert kept(event) == {
        "event": "identify", "firstName": "Ada", "lastName": "L", "email": "a@b.c", "plan": "pro", "name": "Ada L"
    }  # fmt: skip


def test_an_alias_links_the_former_id_to_the_new_one() -> None:
    event = mapped(type="alias", userId="u", anonymousId=None, previousId="a-0")

    assert (event.type, event.user_id, event.anonymous_id) == ("user_identified", "u", "a-0")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"type": "page", "name": "Home"}, "page_viewed"),
        ({"type": "screen", "name": "Cart"}, "page_viewed"),
        ({"type": "group", "groupId": "g", "traits": {"size": 3}}, "custom_event"),
    ],
)
def test_calls_that_are_no_events_are_kept_as_what_they_are(message, kind) -> None:
    event = mapped(**message)

    assert event.type == kind
    assert kept(event)["event"] == message["type"]
    assert message.get("name") == kept(event).get("name")


def test_the_context_says_where_from_and_with_what() -> None:
    event = mapped(
        event="Product Viewed",
        context={
            "ip": "8.8.8.8", "userAgent": "UA", "locale": "de-DE", "timezone": "Europe/Berlin",
            "page": {"url": "https://shop/x", "referrer": "https://g/", "title": "X"},
            "campaign": {"name": "spring", "source": "mail", "medium": "email", "term": "t", "content": "c"},
            "device": {"type": "ios"}, "app": {"name": "Shop"},
        },
    )  # fmt: skip
    context = event.context

    assert (context.ip, context.user_agent, context.locale, context.timezone) == (
        "8.8.8.8", "UA", "de-DE", "Europe/Berlin"
    )  # fmt: skip
    assert (context.page_url, context.referrer, context.device_type) == ("https://shop/x", "https://g/", "mobile")
    assert (context.utm_campaign, context.utm_source, context.utm_content) == ("spring", "mail", "c")
    assert kept(event)["context"] == {"app": {"name": "Shop"}, "device": {"type": "ios"}, "page": {"title": "X"}}


def test_the_clients_clock_comes_along_unless_a_hub_has_corrected_it() -> None:
    sent = (NOON + timedelta(minutes=1)).isoformat()
    raw = mapped(sentAt=sent, originalTimestamp=(NOON - timedelta(hours=1)).isoformat())
    through_a_hub = mapped(sentAt=sent, receivedAt=sent, originalTimestamp="2001-01-01T00:00:00Z")

    assert (raw.occurred_at, raw.sent_at) == (NOON - timedelta(hours=1), NOON + timedelta(minutes=1))
    assert (through_a_hub.occurred_at, through_a_hub.sent_at) == (NOON, None)


def test_a_clock_that_is_days_off_loses_nothing_unless_the_store_goes_by_it() -> None:
    def ahead(call: Call) -> datetime:
        return mapped(call=call, timestamp="2031-01-01T00:00:00Z", sentAt="2031-01-01T00:00:10Z").occurred_at

    assert ahead(CALL) == NOON - timedelta(seconds=10)
    assert ahead(replace(CALL, corrects_clocks=False)).year == 2031
    assert mapped(timestamp="9999-12-31T00:00:00Z", sentAt="0002-01-01T00:00:00Z").occurred_at == NOON


@pytest.mark.parametrize("time", [None, "", "yesterday", "32.13.2026", {}, True])
def test_a_time_that_cannot_be_read_is_when_it_came(time: object) -> None:
    assert mapped(timestamp=time).occurred_at == NOON


def settle(*messages: dict[str, Any], known: dict[str, str] | None = None) -> list[str | None]:
    read = [
        event_of({"anonymousId": "a", "messageId": str(place), **message}, CALL, place)
        for place, message in enumerate(messages)
    ]
    return [event.cart_id for event in settled(read, known or {})[0]]


def test_an_order_that_names_no_cart_is_about_the_cart_its_visitor_was_seen_with() -> None:
    added = {"type": "track", "event": "Product Added", "userId": "u", "properties": {"cart_id": "c", "product_id": 1}}
    order = {"type": "track", "event": "Order Completed", "anonymousId": None, "userId": "u"}

    assert settle(added, order) == ["c", "c"]
    assert settle(order, known={"u": "c"}) == ["c"]


def test_a_visitor_who_never_named_a_cart_has_one_of_their_own() -> None:
    added = {"type": "track", "event": "Product Added", "properties": {"product_id": 1}}
    page = {"type": "page"}

    assert settle(page, added, page) == [None, "visitor-a", "visitor-a"]


def test_only_visitors_whose_cart_is_not_named_are_looked_up() -> None:
    named = event_of(
        {"type": "track", "event": "Cart Viewed", "anonymousId": "a", "properties": {"cartId": 1}}, CALL, 0
    )
    unnamed = event_of({"type": "page", "anonymousId": "b", "userId": "u"}, CALL, 1)

    assert visitors_of([named, unnamed]) == ["b", "u"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        ["type", "event", "properties", "traits", "userId", "anonymousId", "messageId", "timestamp", "sentAt",
         "context", "originalTimestamp", "receivedAt", "previousId", "groupId", "name"]
    ),
    JSON
    | st.sampled_from(["track", "identify", "Order Completed", "Product Added"])
    | st.dictionaries(
        st.sampled_from(["products", "total", "currency", "price", "quantity", "product_id", "page", "campaign", "ip"]),
        JSON | st.lists(st.dictionaries(st.sampled_from(["product_id", "price", "quantity", "sku"]), JSON)),
    ),
)  # fmt: skip


@given(message=FIELDS)
def test_whatever_a_message_says_it_becomes_an_event_that_the_envelope_can_read(message: dict[str, object]) -> None:
    event = event_of(loose.table(loose.decode(json.dumps(message).encode())), CALL, 0).event

    assert accepted(event)
    assert b"\\u0000" not in bytes(event.properties)
    assert len(bytes(event.properties)) < 32_000
