"""A fourth set of damages, written before its author had read the repairer: as a shop's own bugs would make them.

`FOURTH` can be mended by whoever knows the shop; some of it are several damages at once. What cannot be mended is in
`damage_fourth_hopeless`.
"""

import base64
import binascii
import gzip
import html
import json
import quopri
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from bench.lib.damage import Damage, Table, edited, keys, money, retimed

_BERLIN: Final = ZoneInfo("Europe/Berlin")
_DIGITS: Final = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _zone(event: Table) -> ZoneInfo:
    """Of the shop whose event it is; the recorded one keeps UTC."""
    if "context" not in event:
        return ZoneInfo("UTC")
    return _BERLIN if _currency(event) == "EUR" else ZoneInfo("America/New_York")


def _currency(event: Table) -> str:
    """The made-up shops give their pages no currency; theirs is told by what they sell."""
    names = {item.get("product_id", "") for item in event.get("items", [])}
    return event.get("currency") or ("EUR" if names & {"becher", "kännchen", "decke", "lampe", "stift"} else "USD")


def _major(price: int) -> str:
    return f"{price // 100}.{price % 100:02}"


def _renamed(names: Mapping[str, str]) -> Callable[[str], str]:
    return lambda key: names.get(key, key)


def _rename(event: Table, names: Mapping[str, str]) -> None:
    for old, new in names.items():
        if old in event:
            event[new] = event.pop(old)


def _decimal(event: Table, chance: random.Random) -> bool:
    return money(lambda price, _: _major(price))(event, chance)


def _shopify(event: Table, chance: random.Random) -> bool | None:
    if not event.get("items"):
        return False
    _decimal(event, chance)
    names = {"items": "line_items", "amount": "total_price", "cart_id": "cart_token", "user_id": "customer_id",
             "occurred_at": "created_at", "order_id": "order_number"}  # fmt: skip
    _rename(event, names)
    for item in event["line_items"]:
        _rename(item, {"name": "title"})
    return None


def _magento(event: Table, _: random.Random) -> bool | None:
    if not event.get("items"):
        return False
    money(lambda price, _: f"{_major(price)}00")(event, random.Random(0))
    _rename(
        event,
        {"cart_id": "quote_id", "user_id": "customer_id", "amount": "grand_total", "currency": "quote_currency_code"},
    )
    for item in event["items"]:
        _rename(item, {"quantity": "qty", "product_id": "sku"})
    event["occurred_at"] = datetime.fromisoformat(event["occurred_at"]).strftime("%Y-%m-%d %H:%M:%S")
    return None


_ABBREVIATED: Final = {
    "event_id": "evt_id", "type": "evt", "occurred_at": "ts", "cart_id": "crt_id", "user_id": "usr_id",
    "session_id": "sess_id", "anonymous_id": "anon_id", "items": "itms", "quantity": "qty", "price": "prc",
    "amount": "amt", "currency": "curr", "order_id": "ord_id", "product_id": "prod_id", "name": "nm", "coupon": "cpn",
    "context": "ctx",
}  # fmt: skip
_DUTCH: Final = {
    "cart_id": "winkelwagen_id", "items": "producten", "quantity": "aantal", "price": "prijs", "amount": "totaalbedrag",
    "currency": "valuta", "order_id": "bestelnummer", "name": "naam", "occurred_at": "tijdstip", "user_id": "klant_id",
}  # fmt: skip
_MISSPELT: Final = {
    "occurred_at": "occured_at", "quantity": "quantitiy", "currency": "currancy", "amount": "ammount",
    "session_id": "sesion_id", "anonymous_id": "anonymus_id", "items": "itmes", "price": "prize",
}  # fmt: skip


def _undefined(event: Table, _: random.Random) -> None:
    for name in ("user_id", "order_id", "coupon", "amount", "discount", "currency"):
        event.setdefault(name, "undefined")
    event["schema_version"] = "undefined"


def _arabic(event: Table, _: random.Random) -> bool:
    for item in event.get("items", []):
        item["quantity"] = str(item.get("quantity", 1)).translate(_DIGITS)
        item["price"] = str(item["price"]).translate(_DIGITS)
    return bool(event.get("items"))


def _array_like(event: Table, _: random.Random) -> bool:
    lines = event.get("items", [])
    event["items"] = {str(n): item for n, item in enumerate(lines)} | {"length": len(lines)}
    return bool(lines)


def _pieces_true(event: Table, _: random.Random) -> bool:
    lines = [item for item in event.get("items", []) if item.get("quantity", 1) == 1]
    for item in lines:
        item["quantity"] = True
    return bool(lines)


def _total_alone(event: Table, _: random.Random) -> bool:
    if "amount" not in event or not event.get("items") or event["amount"] % 100 == 0:
        return False
    event["amount"] = event["amount"] / 100
    return True


def _script_number(price: int, _: str) -> str:
    return f"{price / 100:g}" if price < 10**7 else str(price / 100)


def _local(layout: str) -> Damage:
    def change(event: Table, _: random.Random) -> None:
        at = datetime.fromisoformat(event["occurred_at"]).astimezone(_zone(event))
        event["occurred_at"] = at.strftime(layout)

    return edited(change)


def _net(at: datetime) -> str:
    return f"/Date({round(at.timestamp() * 1000)}+0200)/"


def _moment(at: datetime) -> Table:
    text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "_isAMomentObject": True,
        "_i": text,
        "_isUTC": True,
        "_offset": 0,
        "_locale": {},
        "_d": text,
        "_isValid": True,
    }


def _lost_plus(event: Table, _: random.Random) -> None:
    event["occurred_at"] = event["occurred_at"].replace("+", " ")


_TOPICS: Final = {
    "page_viewed": "page.view", "product_viewed": "catalog.product.view", "product_added": "cart.item_added",
    "product_removed": "cart.item_removed", "cart_viewed": "cart.view", "checkout_started": "checkout.begin",
    "order_completed": "order.placed", "coupon_entered": "cart.coupon_entered",
}  # fmt: skip
_ITALIAN: Final = {
    "page_viewed": "pagina_visualizzata", "product_viewed": "prodotto_visualizzato",
    "product_added": "prodotto_aggiunto",
    "product_removed": "prodotto_rimosso", "cart_viewed": "carrello_visualizzato",
    "checkout_started": "checkout_iniziato",
    "order_completed": "ordine_completato", "coupon_entered": "coupon_inserito",
}  # fmt: skip


def _exchanged(event: Table, chance: random.Random) -> bool:
    word = event["type"]
    places = [n for n in range(1, len(word) - 2) if word[n] != word[n + 1] and "_" not in word[n : n + 2]]
    n = chance.choice(places)
    event["type"] = word[:n] + word[n + 1] + word[n] + word[n + 2 :]
    return True


def _currency_object(event: Table, _: random.Random) -> bool:
    if "currency" not in event:
        return False
    event["currency"] = {"isoCode": event["currency"], "symbol": "€" if event["currency"] == "EUR" else "$"}
    return True


def _currency_by_line(event: Table, chance: random.Random) -> bool:
    if "currency" not in event or not event.get("items"):
        return False
    currency = event.pop("currency")
    _decimal(event, chance)
    for item in event["items"]:
        item["currency"] = currency
    return True


def _no_currency(event: Table, chance: random.Random) -> bool:
    if "currency" not in event or not event.get("items"):
        return False
    event["currency"] = ""
    return _decimal(event, chance)


def _wrapper_cut(event: Table, _: random.Random) -> bytes:
    return _json({"event": event, "sdk": {"name": "shop-js", "version": "3.1.9", "host": "edge-4"}})[:-17]


def _begins_again(event: Table, _: random.Random) -> bytes:
    whole = _json(event)
    return whole + whole[:40].decode("utf-8", "ignore").encode()


def _in_batch(event: Table, _: random.Random) -> bytes:
    later = datetime.fromisoformat(event["occurred_at"]) + timedelta(seconds=2)
    return _json({"writeKey": "wk_shop", "sentAt": later.isoformat(), "batch": [event]})


def _by_seller(event: Table, _: random.Random) -> bool:
    event["items"] = [{"seller": "own", "lines": event.get("items", [])}]
    return bool(event["items"][0]["lines"])


def _dotted(value: Any, path: str = "") -> Table:
    if isinstance(value, dict):
        pairs = [_dotted(inner, f"{path}.{key}" if path else key) for key, inner in value.items()]
    elif isinstance(value, list):
        pairs = [_dotted(inner, f"{path}.{n}") for n, inner in enumerate(value)]
    else:
        return {path: value}
    return {key: inner for one in pairs for key, inner in one.items()}


def _socket(event: Table, _: random.Random) -> bytes:
    return b"42" + _json([event["type"], {key: value for key, value in event.items() if key != "type"}])


def _values_quoted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _values_quoted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_values_quoted(inner) for inner in value]
    return quote(value, safe="") if isinstance(value, str) else value


def _token(event: Table, _: random.Random) -> bytes:
    parts = [_json({"alg": "HS256", "typ": "JWT"}), _json(event), random.Random(3).randbytes(32)]
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


def _log_group(event: Table, _: random.Random) -> bytes:
    return _json({"awslogs": {"data": base64.b64encode(gzip.compress(_json(event))).decode()}})


def _java_date(event: Table, _: random.Random) -> None:
    at = datetime.fromisoformat(event["occurred_at"]).astimezone(_zone(event))
    event["occurred_at"] = at.strftime("%a %b %d %H:%M:%S %Z %Y")


def _enum(event: Table, _: random.Random) -> None:
    event["type"] = f"EventType.{event['type'].upper()}"


def _named(names: Mapping[str, str]) -> Callable[[Table, random.Random], None]:
    return lambda event, _: event.update(type=names.get(event["type"], event["type"]))


def _misnamed_message(event: Table, chance: random.Random) -> bytes:
    broken = json.loads(_json(event))
    _decimal(broken, chance)
    _enum(broken, chance)
    broken["occurred_at"] = round(datetime.fromisoformat(broken["occurred_at"]).timestamp() * 1000)
    return _json({"detail": {"track": broken}})


def _price_markup(price: int, currency: str) -> str:
    sign = "&euro;" if currency == "EUR" else "&#36;"
    return f'<span class="amount"><bdi>{sign}{price // 100:,}.{price % 100:02}</bdi></span>'


def _with_tax(price: int, currency: str) -> str:
    if currency == "EUR":
        return f"{price // 100:,}".replace(",", ".") + f",{price % 100:02} € inkl. MwSt."
    return f"${price // 100:,}.{price % 100:02} incl. tax"


def _dutch_whole(event: Table, chance: random.Random) -> bytes | None:
    if not event.get("items"):
        return None
    broken = json.loads(_json(event))
    money(lambda price, _: f"{price // 100},{price % 100:02}")(broken, chance)
    return keys(_renamed(_DUTCH))(broken, chance)


def _abbreviated(event: Table, chance: random.Random) -> bytes | None:
    broken = json.loads(_json(event))
    broken["occurred_at"] = int(datetime.fromisoformat(broken["occurred_at"]).timestamp())
    return keys(_renamed(_ABBREVIATED))(broken, chance)


def _numbered(event: Table, _: random.Random) -> bytes:
    return _json({f"{n:02}_{key}": value for n, (key, value) in enumerate(event.items(), 1)})


FOURTH: dict[str, Damage] = {
    "a shop system's order": edited(_shopify),
    "another shop system's quote": edited(_magento),
    "abbreviated names, time in seconds": _abbreviated,
    "names in Dutch, money with a comma": _dutch_whole,
    "names as people misspell them": keys(_renamed(_MISSPELT)),
    "names without their first letter": keys(lambda key: key[1:]),
    "names with their position": _numbered,
    "undefined for what is not there": edited(_undefined),
    "digits of another script": edited(_arabic),
    "items as a list's object with its length": edited(_array_like),
    "one piece as true": edited(_pieces_true),
    "the total alone in major units": edited(_total_alone),
    "money as a script prints it": edited(money(_script_number)),
    "money in a page's markup": edited(money(_price_markup)),
    "money with a remark on tax": edited(money(_with_tax)),
    "time as a German page shows it": _local("%d.%m.%Y, %H:%M:%S"),
    "time as a Japanese page shows it": _local("%Y/%m/%d %H:%M:%S"),
    "time as Java prints it": edited(_java_date),
    "time as .NET writes it": retimed(_net),
    "time in one row of digits": retimed(lambda at: int(at.strftime("%Y%m%d%H%M%S"))),
    "time as a library's object": retimed(_moment),
    "time in seconds with a fraction, as text": retimed(lambda at: f"{at.timestamp():.3f}"),
    "a plus lost to a form": edited(_lost_plus),
    "types as topics": edited(_named(_TOPICS)),
    "types in Italian": edited(_named(_ITALIAN)),
    "two letters of the type exchanged": edited(_exchanged),
    "a type as an enumeration prints it": edited(_enum),
    "currency as an object": edited(_currency_object),
    "currency by line, money as text": edited(_currency_by_line),
    "currency empty, money as text": edited(_no_currency),
    "a wrapper cut at its end": _wrapper_cut,
    "beginning again after its end": _begins_again,
    "filled up with zeros": lambda event, _: _json(event) + b"\0" * 37,
    "a batch of one with its key": _in_batch,
    "items by seller": edited(_by_seller),
    "every path dotted": lambda event, _: _json(_dotted(event)) if event.get("items") else None,
    "a socket's message": _socket,
    "values percent-encoded": lambda event, _: _json(_values_quoted(event)),
    "in a signed token": _token,
    "packed in a log's envelope": _log_group,
    "escaped for pages twice": lambda event, _: html.escape(html.escape(json.dumps(event))).encode(),
    "quoted-printable": lambda event, _: quopri.encodestring(_json(event)),
    "in hexadecimal": lambda event, _: binascii.hexlify(_json(event)),
    "wrapped, an enumeration's type, milliseconds and decimal text": _misnamed_message,
}  # fmt: skip
