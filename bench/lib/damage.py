"""Ways to damage a valid event, each with its truth known: the ones the repairer was built against, and others.

A damage takes the event as a table and a source of chance and gives the bytes that arrive, or None where it does not
apply. `DEVELOPED` may be looked at while the repairer is worked on; `HELD_OUT` is only ever counted. `HOPELESS` holds
what nobody can mend: there the only right thing is to leave it alone.
"""

import base64
import copy
import json
import random
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

Table = dict[str, Any]
Damage = Callable[[Table, random.Random], bytes | None]


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _at(event: Table) -> datetime:
    return datetime.fromisoformat(event["occurred_at"])


def edited(change: Callable[[Table, random.Random], bool | None]) -> Damage:
    """A damage that changes the table and leaves the notation alone; the change says False where it does not apply."""

    def damage(event: Table, chance: random.Random) -> bytes | None:
        broken = copy.deepcopy(event)
        return None if change(broken, chance) is False else _json(broken)

    return damage


def keys(name: Callable[[str], str]) -> Damage:
    """Other names for every field; properties are the shop's own."""

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name(key): renamed(inner) for key, inner in value.items()}
        return [renamed(one) for one in value] if isinstance(value, list) else value

    def damage(event: Table, _: random.Random) -> bytes | None:
        properties = event.get("properties")
        whole = renamed({key: value for key, value in event.items() if key != "properties"})
        return _json(whole | ({"properties": properties} if properties else {}))

    return damage


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(part.title() for part in rest)


def _rename(event: Table, old: str, new: str) -> bool:
    if old not in event:
        return False
    event[new] = event.pop(old)
    return True


def _synonym(event: Table, chance: random.Random) -> bool:
    names = {"cart_id": "basket_id", "user_id": "customer_id", "session_id": "visit_id", "amount": "total",
             "occurred_at": "timestamp", "items": "products", "type": "event_type", "currency": "ccy"}  # fmt: skip
    return _rename(event, *chance.choice([pair for pair in names.items() if pair[0] in event]))


def money(change: Callable[[int, str], Any]) -> Callable[[Table, random.Random], bool]:
    """Another notation for every amount, by its minor units and currency."""

    def edit(event: Table, _: random.Random) -> bool:
        currency = event.get("currency", "USD")
        for item in event.get("items", []):
            if "price" in item:
                item["price"] = change(item["price"], currency)
        if "amount" in event:
            event["amount"] = change(event["amount"], currency)
        return bool(event.get("items")) or "amount" in event

    return edit


def _major(price: int) -> str:
    return f"{price // 100}.{price % 100:02}"


def _localized(price: int, currency: str) -> str:
    whole, cents = f"{price // 100:,}".replace(",", "."), f"{price % 100:02}"
    return f"{whole},{cents} €" if currency == "EUR" else f"${price // 100:,}.{cents}"


def retimed(change: Callable[[datetime], Any]) -> Damage:
    """Another notation for the time."""
    return edited(lambda event, _: event.update(occurred_at=change(_at(event))))


def _numbers_as_text(event: Table, _: random.Random) -> bool:
    for item in event.get("items", []):
        item.update({name: str(item[name]) for name in ("price", "quantity") if name in item})
    return bool(event.get("items"))


def _type_title(event: Table, _: random.Random) -> None:
    event["type"] = event["type"].replace("_", " ").title()


_ALIASES = {"product_added": "add_to_cart", "product_removed": "remove_from_cart", "product_viewed": "view_item",
            "order_completed": "purchase", "checkout_started": "begin_checkout"}  # fmt: skip


def _type_alias(event: Table, _: random.Random) -> bool:
    if event["type"] not in _ALIASES:
        return False
    event["type"] = _ALIASES[event["type"]]
    return True


def _context_up(event: Table, _: random.Random) -> bool:
    if "context" not in event:
        return False
    event.update(event.pop("context"))
    return True


def _items_alone(event: Table, _: random.Random) -> bool:
    if len(event.get("items", [])) != 1:
        return False
    event["items"] = event["items"][0]
    return True


def _nulls(event: Table, chance: random.Random) -> None:
    name = chance.choice(["items", "context", "schema_version"])
    if name not in event:
        event[name] = None
    else:
        event["properties" if "properties" not in event else "schema_version"] = None


def _number_id(event: Table, _: random.Random) -> bool:
    name = next((name for name in ("user_id", "order_id") if str(event.get(name, "")).isdigit()), "")
    if not name:
        return False
    event[name] = int(event[name])
    return True


DEVELOPED: dict[str, Damage] = {
    "names in camel case": keys(_camel),
    "a field under another name": edited(_synonym),
    "numbers as text": edited(_numbers_as_text),
    "money as decimal text": edited(money(lambda price, _: _major(price))),
    "money as a decimal number": edited(money(lambda price, _: price / 100)),
    "time in seconds": retimed(lambda at: at.timestamp()),
    "time in milliseconds": retimed(lambda at: round(at.timestamp() * 1000)),
    "time without an offset": retimed(lambda at: at.strftime("%Y-%m-%d %H:%M:%S.%f")),
    "type in title case": edited(_type_title),
    "type by a vendor's name": edited(_type_alias),
    "wrapped in an object": lambda event, chance: _json({chance.choice(["event", "data", "payload"]): event}),
    "context on the level of the event": edited(_context_up),
    "one item instead of a list": edited(_items_alone),
    "closing brackets lost": lambda event, _: _json(event).rstrip(b"}]"),
    "escaped into a text": lambda event, _: _json(json.dumps(event)),
    "null where nothing belongs": edited(_nulls),
    "a number as an id": edited(_number_id),
    "a field too many": edited(lambda event, chance: event.update({f"x_{chance.randint(10, 99)}": True})),
    "a comma too many": lambda event, _: _json(event)[:-1] + b",}",
    "Python's notation": lambda event, _: repr(event).encode(),
}


def _pascal(key: str) -> str:
    return {"product_id": "ProductID", "user_id": "UserID"}.get(key, "".join(part.title() for part in key.split("_")))


def _short(key: str) -> str:
    short = {"user_id": "usr_id", "session_id": "sess_id", "quantity": "qty", "currency": "curr", "occurred_at": "ts",
             "product_id": "prod_id", "anonymous_id": "anon_id", "amount": "amt", "category": "cat"}  # fmt: skip
    return short.get(key, key)


def _typo(event: Table, chance: random.Random) -> None:
    name = chance.choice([key for key in event if key not in {"properties", "context"} and len(key) > 4])
    place = chance.randrange(1, len(name) - 1)
    swapped = name[:place] + name[place + 1] + name[place] + name[place + 2 :]
    _rename(event, name, swapped if swapped != name else name[:place] + name[place + 1 :])


def _money_objects(event: Table, _: random.Random) -> bool:
    currency = event.get("currency")
    if not event.get("items") or not currency:
        return False
    for item in event["items"]:
        item["price"] = {"amount": _major(item["price"]), "currency": currency}
    if "amount" in event:
        event["amount"] = {"amount": _major(event["amount"]), "currency": currency}
    return True


def _items_by_number(event: Table, _: random.Random) -> bool:
    event["items"] = {str(number): item for number, item in enumerate(event.get("items", []))}
    return bool(event["items"])


def _items_by_product(event: Table, _: random.Random) -> bool:
    items = event.get("items", [])
    if not items or len({item["product_id"] for item in items}) < len(items):
        return False
    event["items"] = {item.pop("product_id"): item for item in items}
    return True


def _items_flat(event: Table, _: random.Random) -> bool:
    items = event.pop("items", [])
    for number, item in enumerate(items):
        event.update({f"items[{number}].{name}": value for name, value in item.items()})
    return bool(items)


def _items_in_text(event: Table, _: random.Random) -> bool:
    event["items"] = json.dumps(event.get("items", []))
    return event["items"] != "[]"


def notated(value: Any, pair: Callable[[str, str], str], opened: str = "{", closed: str = "}") -> str:
    """A document in the notation of another language, which writes a name and its value in its own way."""
    if isinstance(value, dict):
        pairs = ", ".join(pair(key, notated(inner, pair, opened, closed)) for key, inner in value.items())
        return opened + pairs + closed
    if isinstance(value, list):
        return "[" + ", ".join(notated(inner, pair, opened, closed) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _script(event: Table, _: random.Random) -> bytes:
    written = notated(event, lambda key, inner: f"{key}: {inner}", "{ ", " }")
    return f"/* sent by the shop */ {written}".encode()


def _quantity(event: Table, chance: random.Random) -> bool:
    form = chance.choice(["{}x", "{} pcs", "{}.0", " {} "])
    for item in event.get("items", []):
        item["quantity"] = form.format(item.get("quantity", 1))
    return bool(event.get("items"))


def _currency(event: Table, chance: random.Random) -> bool:
    signs = {"EUR": ["eur", "€", "Euro"], "USD": ["usd", "$", "US$"], "GBP": ["gbp", "£"]}
    if event.get("currency") not in signs:
        return False
    event["currency"] = chance.choice(signs[event["currency"]])
    return True


def _in_properties(event: Table, chance: random.Random) -> bool:
    moved = [
        name for name in ("cart_id", "user_id", "items", "currency", "amount", "order_id", "type") if name in event
    ]
    names = {*chance.sample(moved, min(2, len(moved))), "occurred_at"}
    event["properties"] = {**event.get("properties", {}), **{name: event.pop(name) for name in names}}
    return True


def _float_id(event: Table, _: random.Random) -> bool:
    name = next((name for name in ("user_id", "order_id") if str(event.get(name, "")).isdigit()), "")
    if not name:
        return False
    event[name] = float(event[name])
    return True


def _two(event: Table, chance: random.Random) -> bytes | None:
    broken = copy.deepcopy(event)
    _synonym(broken, chance)
    money(lambda price, _: _major(price))(broken, chance)
    broken["schema_version"] = "1"
    return _json({"message": broken})


def _quotes(event: Table, _: random.Random) -> bytes:
    return _json(event).decode().replace('"', "\u201c", 1).replace('"', "\u201d").encode()


def _garbled(event: Table, _: random.Random) -> bytes | None:
    if not any(ord(letter) > 127 for letter in json.dumps(event, ensure_ascii=False)):
        return None
    event = copy.deepcopy(event)
    event["schema_version"] = "1"
    return _json(event).decode().encode().decode("cp1252", "replace").encode()


HELD_OUT: dict[str, Damage] = {
    "names in Pascal case": keys(_pascal),
    "names in kebab case": keys(lambda key: key.replace("_", "-")),
    "names cut short": keys(_short),
    "a typing error in a name": edited(_typo),
    "money as people write it": edited(money(_localized)),
    "money as an object": edited(_money_objects),
    "time as in mail": retimed(lambda at: format_datetime(at.replace(microsecond=0), usegmt=True)),
    "time as in America": retimed(lambda at: at.strftime("%m/%d/%Y %I:%M:%S %p UTC")),
    "time as in Germany": retimed(lambda at: at.strftime("%d.%m.%Y %H:%M:%S +0000")),
    "time in microseconds as text": retimed(lambda at: str(round(at.timestamp() * 1_000_000))),
    "type behind a prefix": edited(lambda event, _: event.update(type=f"ecommerce.{event['type']}")),
    "type in capitals": edited(lambda event, _: event.update(type=event["type"].upper().replace("_", "-"))),
    "wrapped twice": lambda event, _: _json({"meta": {"v": 2}, "payload": {"body": event}, "source": "queue-7"}),
    "items by number": edited(_items_by_number),
    "items by product": edited(_items_by_product),
    "items flattened": edited(_items_flat),
    "items folded into text": edited(_items_in_text),
    "percent-encoded as a form": lambda event, _: b"data=" + quote(json.dumps(event)).encode(),
    "UTF-16": lambda event, _: json.dumps(event, ensure_ascii=False).encode("utf-16"),
    "a script's notation": _script,
    "alone in a list": lambda event, _: _json([event]),
    "an id in braces": edited(lambda event, _: event.update(event_id="{" + event["event_id"].upper() + "}")),
    "quantity with its unit": edited(_quantity),
    "currency by sign or name": edited(_currency),
    "fields among the properties": edited(_in_properties),
    "an id with a decimal point": edited(_float_id),
    "three damages at once": _two,
    "base64": lambda event, _: base64.b64encode(_json(event)),
    "curly quotes": _quotes,
    "read in the wrong encoding": _garbled,
}


def _halved(event: Table, chance: random.Random) -> bytes:
    text = json.dumps(event)
    return text[: chance.randrange(len(text) // 4, len(text) - 4)].encode()


def _dropped(event: Table, chance: random.Random) -> bytes:
    broken = {name: value for name, value in event.items() if name != chance.choice(["type", "occurred_at"])}
    broken["items"] = "?"
    return _json(broken)


def _strange_cart(event: Table, chance: random.Random) -> bytes | None:
    if "cart_id" not in event:
        return None
    broken = {**event, "q7": f"{chance.randrange(16**12):012x}"}
    del broken["cart_id"]
    return _json(broken)


def _vague_price(event: Table, chance: random.Random) -> bytes | None:
    if not event.get("items"):
        return None
    broken = copy.deepcopy(event)
    broken.pop("amount", None)
    broken["items"] = [{**item, "product_id": f"new-{chance.random()}", "price": "call us"} for item in broken["items"]]
    return _json(broken)


HOPELESS: dict[str, Damage] = {
    "cut in the middle": _halved,
    "time or type missing": _dropped,
    "the cart's id exchanged for something else": _strange_cart,
    "a price without a number": _vague_price,
}
