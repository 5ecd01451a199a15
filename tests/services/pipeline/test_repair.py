"""The repairer: what it reads, where it puts values, how it makes them fit, and when it leaves an event alone."""

import base64
import gzip
import json
import quopri
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.collect.domain.limits import SHOP_TYPES, limits_of
from recoup.services.pipeline.deadletters.domain.checks import check
from recoup.services.pipeline.deadletters.domain.letters import Proposal
from recoup.services.pipeline.deadletters.domain.repair.profile import Profile, packed, unpacked
from recoup.services.pipeline.deadletters.domain.repair.reading import mended_text, readings
from recoup.services.pipeline.deadletters.domain.repair.search import propose
from recoup.services.pipeline.deadletters.domain.repair.times import moments
from recoup.services.pipeline.deadletters.domain.repair.values import World
from recoup.services.pipeline.settings import Settings

AT = datetime(2026, 6, 14, 12, 0, 5, tzinfo=UTC)
PRICES = {"mug": 1_800, "pen": 295, "lamp": 8_900, "desk": 145_000}
SURE = StoreSettings().repair_threshold


def added(number: int = 3, product: str = "lamp", **fields: Any) -> dict[str, Any]:
    return {
        "event_id": f"6f1f0c1e-8a54-4a8e-9d0e-{number:012}",
        "type": "product_added",
        "occurred_at": AT.isoformat(),
        "cart_id": f"cart-{number}",
        "anonymous_id": f"v-{number}",
        "items": [{"product_id": product, "quantity": 2, "price": PRICES[product], "name": f"The {product}"}],
        "currency": "EUR",
        **fields,
    }


def ordered(number: int = 3, product: str = "lamp", **fields: Any) -> dict[str, Any]:
    more = {"type": "order_completed", "order_id": f"o{7_000 + number}", "amount": 2 * PRICES[product]}
    return {**added(number, product), **more, **fields}


def profile() -> Profile:
    learned = Profile()
    late = timedelta(seconds=2)
    for number in range(400):
        for event in (added(number, sorted(PRICES)[number % 4]), ordered(number, sorted(PRICES)[number % 4])):
            at = AT + timedelta(minutes=number)
            learned.learn([{**event, "schema_version": 1, "occurred_at": at, "received_at": at + late}])
    return learned


LEARNED = profile()


def repaired(event: Any, *, zone: str = "UTC", learned: Profile = LEARNED) -> Proposal | None:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    now = AT + timedelta(seconds=2)
    held_to = limits_of("shop", StoreSettings(), Settings(), now)
    world = World(learned, SHOP_TYPES, "shop", "EUR", zone, now, "letter")
    return next(iter(propose(body, world, lambda text: check(text, held_to))), None)


def applied(event: Any, **how: Any) -> dict[str, Any] | None:
    """The event that would be sent by itself."""
    found = repaired(event, **how)
    return json.loads(found.body) if found is not None and found.valid and found.confidence >= SURE else None


def same(left: Any, right: Any) -> bool:
    times = [datetime.fromisoformat(one["occurred_at"]) for one in (left, right)]
    return times[0] == times[1] and {**left, "occurred_at": 0} == {**right, "occurred_at": 0}


def without(name: str, event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != name}


def item(**fields: Any) -> list[dict[str, Any]]:
    return [{**added()["items"][0], **fields}]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(added(items=item(price="89.00", quantity="2")), id="decimal text"),
        pytest.param(added(items=item(price=89.0)), id="a number with a point"),
        pytest.param(added(items=item(price="89,00 €")), id="as people write it"),
        pytest.param(added(items=item(price={"value": "89.00", "currency": "EUR"})), id="an object"),
        pytest.param(added(items=item()[0]), id="one item"),
        pytest.param(added(items={"0": item()[0]}), id="items by number"),
        pytest.param(added(items=json.dumps(item())), id="items in text"),
        pytest.param({**without("items", added()), "cart": {"lines": item()}}, id="items in an object"),
        pytest.param(added(occurred_at=int(AT.timestamp())), id="seconds"),
        pytest.param(added(occurred_at="Sun, 14 Jun 2026 12:00:05 GMT"), id="mail"),
        pytest.param(added(occurred_at="14.06.2026 12:00:05"), id="day first"),
        pytest.param(added(occurred_at={"$date": round(AT.timestamp() * 1000)}), id="a database's time"),
        pytest.param(added(type="Product Added"), id="another case"),
        pytest.param(added(type="add_to_cart"), id="a vendor's name"),
        pytest.param({**without("cart_id", added()), "basketId": "cart-3"}, id="another name"),
        pytest.param({**without("cart_id", added()), "cart": {"id": "cart-3"}}, id="an object of its own"),
        pytest.param({"meta": {"v": 1}, "payload": added()}, id="an envelope"),
        pytest.param(json.dumps(json.dumps(added())).encode(), id="escaped twice"),
        pytest.param(repr(added()).encode(), id="another language"),
        pytest.param(json.dumps(added()).encode("utf-16"), id="another encoding"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps([added()]).encode(), id="marked and in a list"),
        pytest.param(added(currency="€"), id="a sign"),
        pytest.param({f"evt_{name}": value for name, value in added().items()}, id="a prefix"),
        pytest.param({f"{name}__c": value for name, value in added().items()}, id="an ending"),
        pytest.param(added(currency=978), id="a number of ISO 4217"),
        pytest.param(added(items=item(price="EUR 89.00")), id="behind its code"),
        pytest.param(added(items=item(price=[8_900])), id="a price in a list"),
        pytest.param(repr(json.dumps(added()).encode()).encode(), id="bytes of Python"),
        pytest.param(
            {
                "version": "0",
                "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
                "account": "111122223333",
                "time": "2031-01-01T00:00:00Z",
                "source": "shop",
                "detail": added(),
            },
            id="an envelope with an account of its own",
        ),
        pytest.param(added(items=item(price="89€00")), id="the sign in place of the point"),
        pytest.param(added(items=item(price={"units": "89", "nanos": 0, "currencyCode": "EUR"})), id="units and nanos"),
        pytest.param(added(occurred_at=46187.5000578704), id="a table's days"),
        pytest.param(added(occurred_at="Sun Jun 14 2026 14:00:05 GMT+0200 (Central Summer)"), id="a browser's time"),
        pytest.param(added(occurred_at="14. Juni 2026 12:00:05 UTC"), id="a month in German"),
        pytest.param(added(occurred_at="2026-06-14T08:00:05-04:00[America/New_York]"), id="a zone in brackets"),
        pytest.param(added(type='"product_added"', cart_id='"cart-3"'), id="quotes around texts"),
        pytest.param(added(type="in_den_warenkorb"), id="a type in German"),
        pytest.param(
            {**without("currency", added()), "devise": "EUR", "type": "x:product_added"}, id="a name in French"
        ),
        pytest.param({"columns": list(added()), "rows": [list(added().values())]}, id="columns and a row"),
        pytest.param((json.dumps(added()) + "\n" + json.dumps(added())).encode(), id="twice"),
        pytest.param(('"' + json.dumps(added()).replace('"', '""') + '"').encode(), id="a cell of a table"),
        pytest.param(
            {
                "specversion": "1.0",
                "id": added()["event_id"],
                "type": "com.shop.product_added",
                "time": AT.isoformat(),
                "data": {name: added()[name] for name in ("cart_id", "anonymous_id", "items", "currency")},
            },
            id="a cloud event",
        ),
        pytest.param(
            {**without("cart_id", without("currency", added())), "context": {"cart_id": "cart-3", "currency": "EUR"}},
            id="ids in the context",
        ),
        pytest.param(added(occurred_at="2026-06-14 14:00:05 CEST"), id="a zone cut short"),
        pytest.param(added(occurred_at=[2026, 6, 14, 12, 0, 5]), id="time in parts"),
        pytest.param(added(occurred_at={"_seconds": 1_781_438_405, "_nanoseconds": 0}), id="seconds and nanos"),
        pytest.param(added(occurred_at={"date": "2026-06-14 12:00:05", "timezone": "UTC"}), id="date and zone"),
        pytest.param({**without("occurred_at", added()), "date": "2026-06-14", "time": "12:00:05"}, id="date apart"),
        pytest.param(added(type="\u200bproduct_added", cart_id="cart-3\u200b"), id="letters of no width"),
        pytest.param(added(event_id="bx8MHopUSo6dDgAAAAAAAw=="), id="an id in base64"),
        pytest.param(added(amount="(not set)"), id="nothing in words"),
        pytest.param(added(items=item(quantity="2 unidades")), id="a quantity in words"),
        pytest.param(added(type="Shop\\Events\\ProductAddedEvent"), id="a class"),
        pytest.param(added(type="AddProduct"), id="the verb first"),
        pytest.param(added(items={"edges": [{"node": item()[0]}]}), id="edges and nodes"),
        pytest.param(added(items=[list(item()[0]), list(item()[0].values())]), id="rows under a header"),
        pytest.param(added(items=[json.dumps(item()[0])]), id="items as texts"),
        pytest.param(
            {
                "event": {name: {"S": value} for name, value in added(items="x").items()}
                | {
                    "items": {
                        "L": [
                            {
                                "M": {
                                    "product_id": {"S": "lamp"},
                                    "quantity": {"N": "2"},
                                    "price": {"N": "8900"},
                                    "name": {"S": "The lamp"},
                                }
                            }
                        ]
                    }
                }
            },
            id="types' letters",
        ),
        pytest.param(
            {"message": {"data": base64.b64encode(json.dumps(added()).encode()).decode()}}, id="base64 inside"
        ),
        pytest.param(gzip.compress(json.dumps(added()).encode()), id="packed"),
        pytest.param(json.dumps(added()).encode().hex().encode(), id="in hexadecimal"),
        pytest.param(json.dumps(added()).encode() + b"\0" * 9, id="filled up"),
        pytest.param(b'42["product_added",' + json.dumps(without("type", added())).encode() + b"]", id="a socket's"),
        pytest.param(json.dumps({"event": added(), "sdk": {"name": "shop-js"}}).encode()[:-9], id="an envelope cut"),
        pytest.param(quopri.encodestring(json.dumps(added()).encode()), id="quoted-printable"),
        pytest.param(
            b"e30xxxxx." + base64.urlsafe_b64encode(json.dumps(added()).encode()).rstrip(b"=") + b".c2lnbmVk",
            id="in a signed token",
        ),
        pytest.param(added(coupon="undefined", type="prodcut_added"), id="letters exchanged, a word for nothing"),
        pytest.param(added(occurred_at=AT.isoformat().replace("+", " ")), id="a plus lost"),
        pytest.param(added(occurred_at=int(AT.strftime("%Y%m%d%H%M%S"))), id="a row of digits"),
        pytest.param(added(currency={"isoCode": "EUR", "symbol": "€"}), id="a currency with its sign"),
        pytest.param(added(items=item(price="<b>&euro;89.00</b>")), id="a price in markup"),
        pytest.param(added(items=[{"seller": "own", "lines": item()}]), id="lines by seller"),
        pytest.param(json.dumps(added()).encode()[1:], id="the first bracket lost"),
        pytest.param(repr(added()).replace(repr(AT.isoformat()), repr(AT)).encode(), id="an object's constructor"),
        pytest.param(
            json.dumps(added()).replace('":', '"=>').replace("[", "array(").replace("]", ")").encode(), id="PHP"
        ),
    ],
)
def test_damage_is_undone_when_the_store_is_known(broken: Any) -> None:
    found = applied(broken)

    assert found is not None
    assert same(found, added())


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(without("type", added(items="?")), id="no type"),
        pytest.param({**without("cart_id", added()), "q7": "f00ba7"}, id="the cart's id is something else"),
        pytest.param(json.dumps(added()).encode()[:-40], id="cut in the middle"),
        pytest.param(added(items=[{"product_id": "new", "name": "A new one", "price": "12"}]), id="cents or not"),
        pytest.param(
            added(items=[{"product_id": "new", "name": "New", "quantity": 2, "total": 3_600}]), id="whose price"
        ),
        pytest.param(added(occurred_at="14.06.26 12:00"), id="no seconds"),
        pytest.param(added(amount="call us"), id="no number"),
        pytest.param(b"%PDF-1.7 not an event", id="something else"),
        pytest.param(added(type="PRODUCT_ADDED", cart_id="undefined"), id="a cart in words"),
        pytest.param(added(type="PRODUCT_ADDED", cart_id="{{cart.id}}"), id="a place nobody filled"),
        pytest.param(added(items=item(price="89,00 $")), id="another currency than the event says"),
        pytest.param(without("currency", added(items=item(price="kr 89"))), id="a crown of one country of three"),
        pytest.param(added(items=item(quantity="1-3")), id="from one to another"),
        pytest.param(added(type="Product Added", cart_id="[REDACTED]"), id="an id that looks like none of its role"),
        pytest.param(added(type="Product Added", cart_id="v-3", anonymous_id="cart-3"), id="ids exchanged"),
        pytest.param(added(type="Product Added", items=item(price="0.00")), id="a product for nothing"),
        pytest.param(
            added(type="Product Added", items=[{"product_id": "new", "name": "New", "price": "0.00"}]),
            id="an unknown product for nothing",
        ),
        pytest.param(added(type="Product Added", items=item(name="The lam?")), id="a name that lost a letter"),
        pytest.param(added(type="Product Added", items=item(quantity=2_000)), id="more than anybody buys"),
        pytest.param(added(type="Product Added", cart_id="cart-=\n3"), id="signs that only damage leaves"),
        pytest.param(added(event_id=added()["event_id"][:21]), id="the event's id cut"),
        pytest.param(ordered(type="Order Completed", amount=999), id="a sum that is not that of its lines"),
        pytest.param(added(items=[{"product_id": "new", "name": "New", "price": "1.234"}]), id="a thousand or one"),
        pytest.param(added(occurred_at="14.06.2026 09:00:05"), id="a time far from its arrival"),
        pytest.param(added(type="product_add_failed"), id="a type that says the contrary"),
    ],
)
def test_what_cannot_be_known_is_left_to_a_person(broken: Any) -> None:
    assert applied(broken) is None


def test_every_doubt_is_told_with_the_proposal() -> None:
    found = repaired(added(type="Product Added", cart_id="[REDACTED]"))

    assert found is not None
    assert found.valid
    assert [change.field for change in found.changes if change.what == "doubt"] == ["cart_id"]


def test_without_anything_learned_no_habit_of_the_store_speaks_against_a_repair() -> None:
    found = repaired(added(type="Product Added", cart_id="a9-new-kind-of-cart"), learned=Profile())

    assert found is not None
    assert not [change for change in found.changes if change.what == "doubt"]


def test_a_line_total_is_told_from_a_price_by_what_the_product_costs() -> None:
    line = {"product_id": "lamp", "quantity": 2, "name": "The lamp", "total": 17_800}

    found = repaired(added(items=[line]))

    assert found is not None
    assert json.loads(found.body)["items"][0]["price"] == 8_900


def test_whole_numbers_among_decimals_are_counted_alike() -> None:
    broken = ordered(items=item(price=89), amount=178.0)

    found = applied(broken)

    assert found is not None
    assert same(found, ordered())


def test_a_day_and_month_that_could_be_exchanged_are_settled_by_when_the_event_arrived() -> None:
    learned = Profile(delays=LEARNED.delays, present=LEARNED.present, types=LEARNED.types, fields=LEARNED.fields)
    now = datetime(2026, 5, 6, 10, 0, 7, tzinfo=UTC)
    world = World(learned, SHOP_TYPES, "shop", "EUR", "UTC", now, "letter")
    held_to = limits_of("shop", StoreSettings(oldest_event_days=3_650), Settings(), now)

    for text in ("05/06/2026 10:00:05", "06.05.2026 10:00:05"):
        best = propose(json.dumps(added(occurred_at=text)).encode(), world, lambda body: check(body, held_to))[0]
        assert json.loads(best.body)["occurred_at"] == "2026-05-06T10:00:05+00:00"
        assert best.confidence >= SURE


def test_a_repair_gives_a_reason_for_every_change() -> None:
    found = repaired(added(items=item(price="89.00"), type="Product Added"))

    assert found is not None
    assert {change.field for change in found.changes} == {"type", "items.0.price"}
    assert all(change.reason for change in found.changes)


def test_a_sound_event_is_not_touched() -> None:
    assert repaired(added()) is None


def test_without_anything_learned_nothing_is_guessed_about_money() -> None:
    assert applied(added(items=item(price="89")), learned=Profile()) is None


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("TasseÂ", "TasseÂ"),
        ("SchÃ¶ne Tasse", "Schöne Tasse"),
        ("cafÃƒÂ©", "café"),
        ("Ünïcödé", "Ünïcödé"),
    ],
)
def test_text_read_in_the_wrong_encoding_is_put_right(wrong: str, right: str) -> None:
    assert mended_text(wrong) == right


def test_a_time_without_an_offset_may_be_utc_or_the_shops() -> None:
    found = {meant.at.hour for meant in moments("2026-06-14 12:00:05", "Europe/Berlin")}

    assert found == {12, 10}


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_can_be_looked_at(body: bytes) -> None:
    assert all(0 <= reading.sureness <= 1 for reading in readings(body))
    found = repaired(body)
    assert found is None or 0 <= found.confidence <= 1


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_any_value_in_any_field_can_be_looked_at(value: Any) -> None:
    body = json.dumps(dict.fromkeys(added(), value))
    found = repaired(body.encode("utf-8", "surrogatepass"))
    assert found is None or not found.valid or found.confidence < SURE


def test_a_profile_is_kept_as_bytes_and_stays_small() -> None:
    body = packed(LEARNED)

    assert unpacked(body).stats("items.price").count == LEARNED.stats("items.price").count
    assert len(body) < 100_000
