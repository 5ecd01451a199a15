"""Ways in which shops' values and names come damaged, thought of by somebody who did not write the repairer.

Each kind falls to one of two halves by its name alone: the first may be looked at, the second is only counted.
"""

import base64
import json
import random
import re
import uuid
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bench.lib.damage import Damage, Table, edited, keys, money, retimed

_SIGNS = {"EUR": "€", "USD": "$"}
_NUMBERS = {"EUR": 978, "USD": 840}
_FULL = {"EUR": "EUR - Euro", "USD": "US Dollar (USD)"}


def _grouped(price: int, thousands: str, point: str) -> str:
    return f"{price // 100:,}".replace(",", thousands) + f"{point}{price % 100:02}"


def _cents_named(event: Table, _: random.Random) -> bool:
    for item in event.get("items", []):
        item["price_cents"] = item.pop("price")
    if "amount" in event:
        event["total_cents"] = event.pop("amount")
    return bool(event.get("items"))


def _currency_named(event: Table, _: random.Random) -> bool:
    code = event.get("currency", "USD").lower()
    for item in event.get("items", []):
        item[f"price_{code}"] = item.pop("price") / 100
    if "amount" in event:
        event[f"total_{code}"] = event.pop("amount") / 100
    return bool(event.get("items"))


def _micros(event: Table, _: random.Random) -> bool:
    for item in event.get("items", []):
        item["priceMicros"] = item.pop("price") * 10_000
    if "amount" in event:
        event["valueMicros"] = event.pop("amount") * 10_000
    return bool(event.get("items"))


def _coded_money(price: int, currency: str) -> Table:
    text = f"{price // 100}.{price % 100:02}".rstrip("0")
    return {"amount": text + "0" if text.endswith(".") else text, "currencyCode": currency}


def _units_and_nanos(price: int, currency: str) -> Table:
    return {"currencyCode": currency, "units": str(price // 100), "nanos": price % 100 * 10_000_000}


def _currency(names: dict[str, Any]) -> Damage:
    def change(event: Table, _: random.Random) -> bool:
        if event.get("currency") not in names:
            return False
        event["currency"] = names[event["currency"]]
        return True

    return edited(change)


def _excel(at: datetime) -> float:
    return round((at - datetime(1899, 12, 30, tzinfo=UTC)).total_seconds() / 86_400, 9)


def _date_apart(event: Table, _: random.Random) -> None:
    at = datetime.fromisoformat(event.pop("occurred_at"))
    event |= {"date": at.strftime("%Y-%m-%d"), "time": at.strftime("%H:%M:%S")}


def _foreign_month(at: datetime) -> str:
    names = "Jan. Feb. März Apr. Mai Juni Juli Aug. Sept. Okt. Nov. Dez."
    return f"{at.day}. {names.split()[at.month - 1]} {at:%Y %H:%M:%S} UTC"


def _browser(at: datetime) -> str:
    here = at.astimezone(ZoneInfo("Europe/Berlin"))
    return here.strftime("%a %b %d %Y %H:%M:%S GMT%z (Central European Summer Time)")


def _abbreviated(at: datetime) -> str:
    return at.astimezone(ZoneInfo("Europe/Berlin")).strftime("%Y-%m-%d %H:%M:%S %Z")


def _american(at: datetime) -> str:
    return f"{at.month}/{at.day}/{at.year}, {(at.hour + 11) % 12 + 1}:{at:%M:%S %p} UTC"


def _nulls_in_words(event: Table, chance: random.Random) -> None:
    word = chance.choice(["null", "None", "N/A", "undefined", "(not set)", "NULL", "-"])
    for name in ("discount", "sent_at", "amount", "currency", "schema_version"):
        if name not in event:
            event[name] = word


def _false_for_nothing(event: Table, _: random.Random) -> bool:
    gone = [name for name in ("user_id", "order_id", "coupon", "cart_id") if name not in event]
    event.update(dict.fromkeys(gone, False))
    return bool(gone)


def _leading_zeros(event: Table, _: random.Random) -> bytes | None:
    if not event.get("items"):
        return None
    return re.sub(r'("quantity": )(?=[1-9])', r"\g<1>0", json.dumps(event)).encode()


def _quantities(event: Table, chance: random.Random) -> bool:
    form = chance.choice(["Qty: {}", "{} Stk", "{} ea", "{} pièces", "{} 个", "{} unidades", "{},00"])
    for item in event.get("items", []):
        item["quantity"] = form.format(item.get("quantity", 1))
    return bool(event.get("items"))


def _invisible(event: Table, _: random.Random) -> None:
    for name in ("event_id", "type", "cart_id", "session_id"):
        if name in event:
            event[name] = f"\u200b{event[name]}\ufeff"


def _hard_spaces(event: Table, _: random.Random) -> None:
    for name in ("type", "cart_id", "user_id", "occurred_at", "currency"):
        if name in event:
            event[name] = f"\u00a0{event[name]}\u2003"


def _quoted_twice(event: Table, _: random.Random) -> None:
    event.update({name: f'"{value}"' for name, value in event.items() if isinstance(value, str)})


def _data_frame(event: Table, _: random.Random) -> bytes | None:
    if not event.get("items"):
        return None
    broken = {**event, "items": [{**item, "quantity": f"{item.get('quantity', 1)}.0"} for item in event["items"]]}
    for name in ("user_id", "order_id"):
        if str(event.get(name, "")).isdigit():
            broken[name] = f"{event[name]}.0"
        elif name not in event:
            broken[name] = float("nan")
    return json.dumps(broken).encode()


def _short_id(event: Table, _: random.Random) -> None:
    event["event_id"] = base64.b64encode(uuid.UUID(event["event_id"]).bytes).decode()


def _in_lists(event: Table, _: random.Random) -> None:
    for name in ("type", "cart_id", "session_id", "currency", "occurred_at"):
        if name in event:
            event[name] = [event[name]]


def _typed(names: dict[str, str]) -> Damage:
    def change(event: Table, _: random.Random) -> bool:
        if event["type"] not in names:
            return False
        event["type"] = names[event["type"]]
        return True

    return edited(change)


_VERBS = {"viewed": "View", "added": "Add", "removed": "Remove", "started": "Start", "completed": "Complete",
          "entered": "Enter"}  # fmt: skip


def _verb_first(kind: str) -> str:
    noun, verb = kind.rsplit("_", 1)
    return _VERBS[verb] + noun.title().replace("_", "")


_TYPES = ("page_viewed", "product_viewed", "product_added", "product_removed", "cart_viewed", "checkout_started",
          "order_completed", "coupon_entered")  # fmt: skip


def _french(name: str) -> str:
    french = {"cart_id": "id_panier", "session_id": "id_session", "items": "articles", "amount": "montant",
              "currency": "devise", "quantity": "quantite", "price": "prix", "name": "nom"}  # fmt: skip
    return french.get(name, name)


def _thousands_of_cents(price: int, _: str) -> str:
    return f"{price:,}"


VALUES: dict[str, Damage] = {
    "money with a comma and dots": edited(money(lambda price, _: _grouped(price, ".", ","))),
    "money with apostrophes behind its code": edited(
        money(lambda price, code: f"{code} {_grouped(price, chr(39), '.')}")
    ),
    "money with an error of rounding": edited(money(lambda price, _: price / 100 * (1 + 3e-16) + 1e-14)),
    "the sign in place of the point": edited(
        money(lambda price, code: f"{price // 100}{_SIGNS[code]}{price % 100:02}")
    ),
    "money to six places": edited(money(lambda price, _: f"{price / 100:.6f}")),
    "money in scientific notation": edited(money(lambda price, _: f"{price / 100:e}")),
    "money as units and nanos": edited(money(_units_and_nanos)),
    "money with its code inside": edited(money(_coded_money)),
    "money in micros, by name": edited(_micros),
    "cents by name": edited(_cents_named),
    "the currency in the names of money": edited(_currency_named),
    "cents with thousands apart": edited(money(_thousands_of_cents)),
    "the currency's number": _currency(_NUMBERS),
    "the currency with its name": _currency(_FULL),
    "the currency in other letters": _currency({"EUR": "Eur ", "USD": " Usd"}),
    "nanoseconds in text": retimed(lambda at: str(round(at.timestamp() * 1000) * 1_000_000)),
    "microseconds": retimed(lambda at: round(at.timestamp() * 1_000_000)),
    "seconds with a comma": retimed(lambda at: f"{at.timestamp():.3f}".replace(".", ",")),
    "a table's count of days": retimed(_excel),
    "a browser's own notation": retimed(_browser),
    "a zone cut short": retimed(_abbreviated),
    "an American clock without zeros": retimed(_american),
    "a month in German": retimed(_foreign_month),
    "time in parts": retimed(lambda at: [at.year, at.month, at.day, at.hour, at.minute, at.second]),
    "time as seconds and nanos": retimed(lambda at: {"_seconds": int(at.timestamp()), "_nanoseconds": 0}),
    "date and time apart": edited(_date_apart),
    "the zone's name in brackets": retimed(
        lambda at: at.astimezone(ZoneInfo("America/New_York")).isoformat() + "[America/New_York]"
    ),
    "a time with a space before its offset": retimed(lambda at: at.strftime("%Y-%m-%d %H:%M:%S,%f +0000")),
    "nothing in words": edited(_nulls_in_words),
    "false for nothing": edited(_false_for_nothing),
    "zeros before numbers": _leading_zeros,
    "quantities in several languages": edited(_quantities),
    "letters of no width": edited(_invisible),
    "spaces that are no spaces": edited(_hard_spaces),
    "quotes around texts": edited(_quoted_twice),
    "what a data frame writes": _data_frame,
    "the event's id in base64": edited(_short_id),
    "the event's id with its scheme": edited(lambda event, _: event.update(event_id=f"urn:uuid:{event['event_id']}")),
    "single values in lists": edited(_in_lists),
    "names with spaces": keys(lambda name: name.replace("_", " ").title()),
    "names with a mark of their type": keys(lambda name: f"{name}__c"),
    "names under a company's name": keys(lambda name: f"acme_{name}"),
    "names without separators": keys(lambda name: name.replace("_", "")),
    "names in French": keys(_french),
    "types with the verb first": _typed({kind: _verb_first(kind) for kind in _TYPES}),
    "types with a version": edited(lambda event, _: event.update(type=f"{event['type']}.v2")),
    "types by their class": edited(
        lambda event, _: event.update(type="Shop\\Events\\" + event["type"].title().replace("_", "") + "Event")
    ),
    "types in the present": _typed({"product_added": "product add", "product_removed": "product remove",
                                    "product_viewed": "product view", "page_viewed": "page view",
                                    "order_completed": "order complete", "checkout_started": "checkout start"}),
    "types by a network's names": _typed({"product_added": "AddToCart", "product_viewed": "ViewContent",
                                          "checkout_started": "InitiateCheckout", "order_completed": "Purchase",
                                          "page_viewed": "PageView"}),
    "types by a platform's names": _typed({"product_added": "product_added_to_cart",
                                           "order_completed": "checkout_completed",
                                           "product_removed": "product_removed_from_cart"}),
    "types in German": _typed({"product_added": "in_den_warenkorb", "order_completed": "bestellung_abgeschlossen",
                               "product_viewed": "produkt_angesehen", "cart_viewed": "warenkorb_angesehen"}),
}  # fmt: skip


def _with_title(change: dict[str, Any]) -> Damage:
    """Together with something that makes the whole invalid: a type in capitals, which is easily mended."""

    def edit(event: Table, _: random.Random) -> bool:
        event["type"] = event["type"].upper()
        known = {name: value for name, value in change.items() if name in event}
        event.update(known)
        return bool(known)

    return edited(edit)


def _priced(text: Any) -> Damage:
    def edit(event: Table, chance: random.Random) -> bool:
        event.pop("amount", None)
        for item in event.get("items", []):
            item |= {"product_id": f"new-{chance.randrange(10**6)}", "price": text}
        return bool(event.get("items"))

    return edited(edit)


def _two_carts(event: Table, chance: random.Random) -> bool:
    if "cart_id" not in event:
        return False
    other = f"cart-{chance.randrange(5_000)}-{chance.randrange(99)}"
    event |= {"basket_id": event.pop("cart_id"), "cartToken": other}
    return True


VALUES_HOPELESS: dict[str, Damage] = {
    "a placeholder nobody filled": _with_title({"cart_id": "{{cart.id}}"}),
    "a cart without an id, in words": _with_title({"cart_id": "undefined"}),
    "an object's name as an id": _with_title({"cart_id": "[object Object]"}),
    "true as a cart": _with_title({"cart_id": True}),
    "a range of prices": _priced("12.50 - 18.00"),
    "a crown of one country of three": _priced("kr 125"),
    "two ids of carts": edited(_two_carts),
    "another thing that happened": edited(lambda event, _: event.update(type="wishlist_shared")),
    "a day without a time": retimed(lambda at: at.strftime("%Y-%m-%d")),
    "a time without a day": retimed(lambda at: at.strftime("%H:%M:%S")),
    "a quantity from one to another": edited(
        lambda event, _: [item.update(quantity="1-3") for item in event.get("items", [])] != []
    ),
}
