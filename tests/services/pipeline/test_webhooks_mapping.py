"""What each topic of each platform comes to: every recorded payload, by hand-made damage, and by chance."""

import copy
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recoup.kit import loose
from recoup.kit.config import Secret
from recoup.messages.events import Event
from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.collect.domain.limits import limits_of
from recoup.services.pipeline.collect.domain.reading import Form, read
from recoup.services.pipeline.foreign.domain import body_of
from recoup.services.pipeline.settings import Settings
from recoup.services.pipeline.webhooks.domain import shopify, woocommerce
from recoup.services.pipeline.webhooks.domain.story import Mapped, Memory, Scene, merged

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
OLDEST, NEWEST = NOON - timedelta(days=30), NOON + timedelta(days=1)
LIMITS = limits_of("shop", StoreSettings(), Settings(), NOON)
MODULES = {"shopify": shopify, "woocommerce": woocommerce}
FOLDER = Path(os.environ.get("RECOUP_SHARED", "/nowhere")) / "data/webhooks"
recorded = pytest.mark.skipif(not FOLDER.exists(), reason="the recorded payloads are not here")


def tell(platform: str, topic: str, body: Any, memory: Memory = Memory(), **scene: Any) -> Mapped:  # noqa: B008 - frozen
    """What a body comes to, through JSON as it would."""
    more: dict[str, Any] = {"salt": Secret("salt"), **scene}
    given = Scene(
        store_id="shop", platform=platform, topic=topic, cause=f"{topic}/1", received_at=NOON, oldest=OLDEST,
        newest=NEWEST, memory=memory, **more,
    )  # fmt: skip
    return MODULES[platform].mapped(given, loose.table(loose.decode(json.dumps(body).encode())))


def accepted(told: Mapped) -> bool:
    """Whether the collector takes every event of it."""
    return not read(body_of(told.events), Form.ARRAY, LIMITS).refusals


def types(told: Mapped) -> list[str]:
    return [event.type for event in told.events]


def kept(event: Event) -> dict[str, Any]:
    return msgspec.json.decode(bytes(event.properties))


SHOPIFY = {
    "carts/create": ["cart_updated"],
    "carts/update": ["cart_updated"],
    "checkouts/create": ["user_identified", "checkout_started"],
    "checkouts/update": ["user_identified", "checkout_started"],
    "orders/create": ["order_completed"],
    "orders/cancelled": ["order_cancelled"],
    "orders/edited": ["order_updated"],
    "orders/delete": ["order_cancelled"],
    "refunds/create": ["order_refunded"],
    "customers/create": ["user_identified"],
    "customers/update": ["user_identified"],
    "customers/enable": ["user_identified"],
    "customers_email_marketing_consent/update": ["consent_updated"],
    "customers_marketing_consent/update": ["consent_updated"],
}
"""By topic, what the recorded payloads tell."""
CHANGES = {"orders/paid", "orders/updated", "orders/fulfilled", "orders/partially_fulfilled"}
"""Their orders are from before the shop came here, and most are cancelled."""


def recordings() -> list[Any]:
    found: list[Any] = []
    for path in sorted(FOLDER.glob("shopify/metadatas/*/*/*.json")):
        version, resource, name = path.parts[-3:]
        topic = f"{resource}/{name.removesuffix('.json')}"
        found.append(pytest.param(topic, json.loads(path.read_text())["response"], id=f"{version} {topic}"))
    return found


@recorded
@pytest.mark.parametrize(("topic", "body"), recordings())
def test_every_recorded_payload_of_shopify_comes_to_what_its_topic_means(topic: str, body: Any) -> None:
    told = tell("shopify", topic, body)

    changed = ["order_cancelled" if body.get("cancelled_at") else "order_updated"] if topic in CHANGES else []
    assert types(told) == SHOPIFY.get(topic, changed)
    assert told.events or told.note
    assert accepted(told)


@recorded
@pytest.mark.parametrize(
    ("topic", "fixture", "kind"),
    [("carts/update", "carts", "cart_updated"), ("checkouts/create", "checkouts", "checkout_started"),
     ("orders/create", "orders", "order_completed"), ("refunds/create", "refund", "order_refunded"),
     ("customers/update", "customer", "user_identified")],
)  # fmt: skip
def test_documents_of_the_first_versions_are_read_as_well(topic: str, fixture: str, kind: str) -> None:
    (content,) = json.loads((FOLDER / f"shopify/python_api_fixtures/{fixture}.json").read_text()).values()
    for body in content if isinstance(content, list) else [content]:
        told = tell("shopify", topic, body)
        assert kind in types(told)
        assert accepted(told)


@recorded
@pytest.mark.parametrize("name", ["01_create_an_order", "02_retrieve_an_order", "04_update_an_order"])
def test_orders_of_woocommerce_become_orders(name: str) -> None:
    body = json.loads((FOLDER / f"woocommerce/wp-api-v3/orders__{name}.json").read_text())
    told = tell("woocommerce", "order.created", body)

    assert types(told) == ["order_completed"]
    (order,) = told.events
    assert (order.order_id, order.amount, order.currency) == ("727", 2_935, "USD")
    assert [(item.product_id, item.quantity, item.price, item.variant_id) for item in order.items] == [
        ("93", 2, 300, None), ("22", 1, 1_200, "23")
    ]  # fmt: skip
    assert order.cart_id is None, "a REST call is no checkout"
    assert accepted(told)


@recorded
@pytest.mark.parametrize("path", sorted(FOLDER.glob("woocommerce/wp-api-v3/*.json")), ids=lambda path: path.stem)
@pytest.mark.parametrize("happened", ["created", "updated", "deleted", "restored"])
def test_every_example_of_woocommerce_is_understood_or_said_to_mean_nothing(path: Path, happened: str) -> None:
    body = json.loads(path.read_text())
    resource = path.name.partition("__")[0].rstrip("s")
    for each in body if isinstance(body, list) else [body]:
        told = tell("woocommerce", f"{resource}.{happened}", each)
        assert told.events or told.note
        assert accepted(told)


CHECKOUT: dict[str, Any] = {
    "token": "k1", "cart_token": "t1", "email": "ada@example.com", "currency": "USD", "total_price": "25.00",
    "created_at": "2026-06-01T11:50:00Z", "updated_at": "2026-06-01T11:50:00Z", "completed_at": None,
    "buyer_accepts_marketing": True, "customer": {"id": 7, "first_name": "Ada"},
    "line_items": [{"product_id": 1, "variant_id": 2, "quantity": 2, "price": "12.50", "title": "Mug"}],
    "note_attributes": [{"name": "recoup_anonymous_id", "value": "visitor-1"}], "discount_codes": [{"code": "SPRING"}],
}  # fmt: skip
ORDER: dict[str, Any] = {
    **CHECKOUT, "id": 900, "checkout_token": "k1", "created_at": "2026-06-01T11:55:00Z", "cancelled_at": None,
    "updated_at": "2026-06-01T11:56:00Z", "financial_status": "paid",
}  # fmt: skip
CART: dict[str, Any] = {
    "token": "t1", "updated_at": "2026-06-01T11:40:00Z",
    "line_items": [{"product_id": 1, "quantity": 1, "price": "12.50"}],
}  # fmt: skip


def remembered(*told: Mapped) -> Memory:
    return merged(each.memory for each in told if each.memory)


def test_a_checkout_belongs_to_its_cart_and_says_who_is_there() -> None:
    person, started = tell("shopify", "checkouts/create", CHECKOUT).events

    assert (started.cart_id, started.user_id, started.anonymous_id) == ("t1", "7", "visitor-1")
    assert (started.amount, started.currency, started.coupon) == (2_500, "USD", "SPRING")
    assert (person.user_id, kept(person)["email"], kept(person)["consent"]) == ("7", "ada@example.com", True)


def test_the_same_cart_again_is_no_news_and_an_emptied_one_is() -> None:
    first = tell("shopify", "carts/create", CART)
    same = tell("shopify", "carts/update", {**CART, "updated_at": "2026-06-01T11:41:00Z"}, remembered(first))
    older = tell("shopify", "carts/update", {**CART, "line_items": [], "updated_at": "2026-06-01T11:39:00Z"},
                 remembered(first))  # fmt: skip
    empty = tell("shopify", "carts/update", {**CART, "line_items": [], "updated_at": "2026-06-01T11:42:00Z"},
                 remembered(same))  # fmt: skip

    assert (types(first), types(same), types(older)) == (["cart_updated"], [], [])
    assert types(empty) == ["product_removed"]
    assert [item.product_id for item in empty.events[0].items] == ["1"]


def test_a_checkout_that_changes_tells_only_what_is_new() -> None:
    started = tell("shopify", "checkouts/create", {**CHECKOUT, "email": None, "customer": None})
    contact = tell("shopify", "checkouts/update", CHECKOUT, remembered(started))
    address = tell("shopify", "checkouts/update", {**CHECKOUT, "shipping_address": {"city": "B"}}, remembered(contact))
    same = tell("shopify", "checkouts/update", {**CHECKOUT, "shipping_address": {"city": "B"}}, remembered(address))
    more = tell("shopify", "checkouts/update", {**CHECKOUT, "line_items": [{"product_id": 9, "price": 1}],
                "updated_at": "2026-06-01T11:52:00Z"}, remembered(same))  # fmt: skip
    done = tell("shopify", "checkouts/update", {**CHECKOUT, "completed_at": "2026-06-01T11:55:00Z"}, remembered(more))

    assert [types(each) for each in (started, contact, address, same, more, done)] == [
        ["checkout_started"], ["user_identified"], ["checkout_step_completed"], [], ["cart_updated"],
        ["payment_info_entered"],
    ]  # fmt: skip


def test_an_order_is_told_once_however_many_topics_say_it() -> None:
    created = tell("shopify", "orders/create", ORDER)
    paid = tell("shopify", "orders/paid", ORDER, remembered(created))
    paid_first = tell("shopify", "orders/paid", ORDER)
    cancelled = tell("shopify", "orders/updated", {**ORDER, "cancelled_at": "2026-06-01T11:58:00Z"}, remembered(paid))
    again = tell("shopify", "orders/cancelled", {**ORDER, "cancelled_at": "2026-06-01T11:58:00Z"},
                 remembered(cancelled))  # fmt: skip

    assert [types(each) for each in (created, paid, paid_first, cancelled, again)] == [
        ["order_completed"], ["order_updated"], ["order_completed", "order_updated"],
        ["order_cancelled"], [],
    ]  # fmt: skip
    assert created.events[0].event_id == paid_first.events[0].event_id
    assert (created.events[0].cart_id, created.events[0].amount) == ("t1", 2_500)


def test_a_cart_that_comes_late_does_not_open_again_what_was_bought() -> None:
    ordered = tell("shopify", "orders/create", ORDER)

    assert types(tell("shopify", "carts/update", CART, remembered(ordered))) == []


def test_an_order_from_before_the_shop_came_to_us_is_only_changed() -> None:
    assert types(tell("shopify", "orders/paid", {**ORDER, "created_at": "2025-01-01T00:00:00Z"})) == ["order_updated"]


def test_a_refund_says_what_was_paid_back_and_for_what() -> None:
    body = {
        "id": 5, "order_id": 900, "transactions": [{"kind": "refund", "amount": "10.00", "currency": "USD"}],
        "refund_line_items": [{"quantity": 1, "subtotal": 12.5, "line_item": {"product_id": 1, "price": "12.50"}}],
    }  # fmt: skip
    told = tell("shopify", "refunds/create", body)

    assert [(event.order_id, event.amount, event.items[0].product_id) for event in told.events] == [("900", 1_000, "1")]
    assert tell("shopify", "refunds/create", body, remembered(told)).events == []
    without = tell("shopify", "refunds/create", {**body, "transactions": []})
    assert without.events[0].amount == 1_250


def test_a_payment_that_failed_is_told_and_one_that_did_not_is_not() -> None:
    body = {"order_id": 900, "amount": "25.00", "currency": "USD", "status": "failure", "error_code": "card_declined"}

    assert types(tell("shopify", "order_transactions/create", body)) == ["payment_failed"]
    assert types(tell("shopify", "order_transactions/create", {**body, "status": "success"})) == []


@pytest.mark.parametrize("topic", ["customers/redact", "shop/redact", "customers/data_request"])
def test_privacy_topics_are_handed_on(topic: str) -> None:
    body = {"customer": {"id": 1, "email": "a@b.c", "phone": "1"}, "orders_to_redact": [2, 3]}
    told = tell("shopify", topic, body)

    assert told.privacy is not None
    assert (told.privacy.kind, told.privacy.subject.user_id, told.privacy.subject.order_ids) == (topic, "1", ("2", "3"))
    assert told.events == ()


WOO: dict[str, Any] = {
    "id": 1, "created_via": "checkout", "status": "processing", "currency": "EUR", "total": "20.00",
    "date_created_gmt": "2026-06-01T11:00:00", "date_modified_gmt": "2026-06-01T11:01:00", "customer_id": 0,
    "billing": {"email": "Ada@Example.com", "first_name": "Ada"}, "discount_total": "2.00",
    "meta_data": [{"key": "_recoup_cart_id", "value": "c-1"}, {"key": "_recoup_anonymous_id", "value": "v-1"}],
    "line_items": [{"product_id": 5, "quantity": 2, "price": 10}], "coupon_lines": [{"code": "TWO"}], "refunds": [],
}  # fmt: skip


def test_a_woocommerce_order_closes_the_storefronts_cart() -> None:
    (order,) = tell("woocommerce", "order.created", WOO).events

    assert (order.cart_id, order.anonymous_id, order.user_id) == ("c-1", "v-1", None)
    assert (order.amount, order.discount, order.coupon, order.currency) == (2_000, 200, "TWO", "EUR")


def test_a_woocommerce_order_goes_its_way() -> None:
    memory = Memory()
    seen: list[list[str]] = []
    for status, extra in [
        ("checkout-draft", {}), ("checkout-draft", {}), ("pending", {}), ("pending", {}), ("failed", {}),
        ("processing", {}), ("completed", {}), ("completed", {"refunds": [{"id": 9, "total": "-5.00"}]}),
        ("cancelled", {}), ("cancelled", {}),
    ]:  # fmt: skip
        told = tell(
            "woocommerce", "order.updated", {**WOO, "created_via": "store-api", "status": status, **extra}, memory
        )
        memory = told.memory or memory
        seen.append(types(told))

    assert seen == [
        ["checkout_started"], [], ["payment_info_entered"], [], ["payment_failed"], ["order_completed"],
        ["order_updated"], ["order_updated", "order_refunded"], ["order_cancelled"], [],
    ]  # fmt: skip


@pytest.mark.parametrize("via", ["admin", "subscription", "rest-api"])
def test_an_order_nobody_checked_out_counts_but_touches_no_cart(via: str) -> None:
    unpaid = tell("woocommerce", "order.created", {**WOO, "created_via": via, "status": "pending"})
    (order,) = tell("woocommerce", "order.created", {**WOO, "created_via": via}).events
    listed = tell("woocommerce", "order.created", {**WOO, "created_via": via}, checkouts=frozenset({via}))

    assert (types(unpaid), order.type, order.cart_id) == ([], "order_completed", None)
    assert listed.events[0].cart_id == "c-1"


def test_guests_of_one_address_are_one_visitor() -> None:
    first, second = (
        tell("woocommerce", "order.created", {**WOO, "id": number, "meta_data": []}).events[0] for number in (1, 2)
    )
    elsewhere = tell("woocommerce", "order.created", {**WOO, "meta_data": []}, salt=Secret("another")).events[0]
    assert first.anonymous_id == second.anonymous_id != elsewhere.anonymous_id
    assert first.cart_id != second.cart_id


DAMAGE = {
    "no currency": lambda body: body.pop("currency"),
    "null everything of a person": lambda body: body.update(email=None, customer=None, billing=None),
    "numbers for text": lambda body: body.update(total_price=25, total=20, token=11, cart_token=12),
    "text for numbers": lambda body: body["line_items"][0].update(product_id="1", quantity="2", price="12.5"),
    "a foreign currency": lambda body: body.update(currency="jpy", total_price="2500", total="2500"),
    "a currency nobody knows": lambda body: body.update(currency="dollars"),
    "a time in seconds": lambda body: body.update(updated_at=1_780_312_200, created_at=1_780_312_200),
    "a time years ago": lambda body: body.update(updated_at="2001-01-01", created_at="2001-01-01"),
    "a time nobody can read": lambda body: body.update(updated_at="soon", created_at={}),
    "a time far ahead": lambda body: body.update(updated_at="2099-01-01T00:00:00Z", created_at="2099-01-01T00:00:00Z"),
    "no lines": lambda body: body.update(line_items=None),
    "a line for a list": lambda body: body.update(line_items=body["line_items"][0]),
    "lines that name nothing": lambda body: body.update(line_items=[{}, None, "x", {"quantity": -3}]),
    "a price that is none": lambda body: body["line_items"][0].update(price="N/A"),
    "a negative price": lambda body: body["line_items"][0].update(price="-4.00"),
    "half a piece": lambda body: body["line_items"][0].update(quantity=0.5),
    "more pieces than there are": lambda body: body["line_items"][0].update(quantity=10**30),
    "an amount that is none": lambda body: body.update(total_price="free", total="free"),
    "NUL in every name": lambda body: body["line_items"][0].update(title="a\0b", name="\0", product_id="x\0"),
    "an id of a thousand signs": lambda body: body.update(id="9" * 1_000, token="t" * 1_000, cart_token="c" * 1_000),
    "a name of ten thousand": lambda body: body["line_items"][0].update(title="n" * 10_000, name="n" * 10_000),
    "ten thousand lines": lambda body: body.update(line_items=body["line_items"] * 10_000),
    "notes that are none": lambda body: body.update(note_attributes="x", meta_data={"key": 1}, discount_codes="SPRING"),
    "fields nobody knows": lambda body: body.update(version="2031-01", brand_new={"deep": [1, {"deeper": None}]}),
}
TOPICS = [("shopify", "carts/update", CART), ("shopify", "checkouts/create", CHECKOUT),
          ("shopify", "orders/create", ORDER), ("woocommerce", "order.created", WOO)]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize(("platform", "topic", "body"), TOPICS, ids=[topic for _, topic, _ in TOPICS])
def test_no_odd_value_loses_an_event(platform: str, topic: str, body: dict[str, Any], damage) -> None:
    damaged = copy.deepcopy({**body, "currency": body.get("currency", "USD")})
    damage(damaged)
    told = tell(platform, topic, damaged)

    assert accepted(told)
    if topic != "carts/update":
        assert {"checkout_started", "order_completed"} & set(types(told))


def test_a_time_that_cannot_be_is_kept_beside_when_it_came() -> None:
    triggered = NOON - timedelta(minutes=3)
    odd = {**ORDER, "created_at": "2001-01-01T00:00:00Z"}
    (order,) = tell("shopify", "orders/create", odd, triggered_at=triggered).events

    assert (order.occurred_at, kept(order)["stated_at"]) == (triggered, "2001-01-01T00:00:00Z")


def test_amounts_are_the_shops_own_money_in_its_own_digits() -> None:
    line = {"product_id": 1, "quantity": 1, "price": "99.00",
            "price_set": {"shop_money": {"amount": "1500", "currency_code": "JPY"}}}  # fmt: skip
    (cart,) = tell("shopify", "carts/update", {**CART, "line_items": [line]}).events

    assert (cart.currency, cart.items[0].price) == ("JPY", 1_500)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
FIELDS = sorted({*CHECKOUT, *ORDER, *WOO, "order_edit", "refund_line_items", "transactions", "customer_id",
                 "email_marketing_consent", "completed_at"})  # fmt: skip


@given(
    topic=st.sampled_from(
        sorted({*SHOPIFY, *CHANGES, "customers/merge", "customers/redact", "order_transactions/create"})
    ),
    body=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6),
    memory=st.sampled_from([Memory(), Memory(cart_id="c", said=frozenset({"ordered:900"}))]),
)
def test_whatever_shopify_says_it_is_read_to_the_end(topic: str, body: dict[str, Any], memory: Memory) -> None:
    shopify.names(topic, body)
    assert accepted_or_named(tell("shopify", topic, body, memory))


@given(status=st.text(), body=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6))
def test_whatever_woocommerce_says_it_is_read_to_the_end(status: str, body: dict[str, Any]) -> None:
    assert accepted_or_named(tell("woocommerce", "order.updated", {"status": status, **body}))


def accepted_or_named(told: Mapped) -> bool:
    """Chance may come upon more money than there is; everything else passes the envelope."""
    refusals = read(body_of(told.events), Form.ARRAY, LIMITS).refusals
    return {refusal.problem.code for refusal in refusals} <= {"out_of_range"}
