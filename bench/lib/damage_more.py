"""More ways to damage an event: those found while the repairer was worked on, so none of them is new to it."""

import copy
import html
import json
import random
from datetime import datetime

from bench.lib.damage import Damage, Table, edited, keys, money, retimed


def _spaced(event: Table, _: random.Random) -> None:
    event.update({name: f"{event[name]} \n" for name in ("event_id", "type", "cart_id") if name in event})


def _parallel(event: Table, _: random.Random) -> bool:
    items = event.get("items", [])
    if not items or len({tuple(item) for item in items}) > 1:
        return False
    event["items"] = {name: [item[name] for item in items] for name in items[0]}
    return True


def _under_its_type(event: Table, _: random.Random) -> bytes:
    return json.dumps({event["type"]: {name: value for name, value in event.items() if name != "type"}}).encode()


def _ids_in_objects(event: Table, _: random.Random) -> None:
    for name in ("user_id", "cart_id", "session_id", "order_id"):
        if name in event:
            event[name.removesuffix("_id")] = {"id": event.pop(name)}


def _cart_in_object(event: Table, _: random.Random) -> bool:
    if "cart_id" not in event or "items" not in event:
        return False
    event["cart"] = {"id": event.pop("cart_id"), "lines": event.pop("items")}
    if "amount" in event:
        event["cart"]["total"] = event.pop("amount")
    return True


def _properties_up(event: Table, _: random.Random) -> bool:
    if "properties" not in event:
        return False
    event.update(event.pop("properties"))
    return True


def _places(event: Table, _: random.Random) -> bool:
    if "context" not in event:
        return False
    context = event.pop("context")
    event |= {"device": {"type": context["device_type"]}, "page": {"url": context["page_url"]}}
    event["locale"] = context["locale"]
    return True


def _line_totals(event: Table, _: random.Random) -> bool:
    for item in event.get("items", []):
        item["total"] = item.pop("price") * item.get("quantity", 1)
    return bool(event.get("items"))


def _more_of_items(event: Table, _: random.Random) -> bool:
    for number, item in enumerate(event.get("items", [])):
        item.update(position=number, image_url="https://shop.example/picture.jpg")
    return bool(event.get("items"))


def _renamed(names: dict[str, str]) -> Damage:
    def change(event: Table, _: random.Random) -> None:
        for old, new in names.items():
            if old in event:
                event[new] = event.pop(old)

    return edited(change)


def _track_call(event: Table, _: random.Random) -> bytes:
    event = copy.deepcopy(event)
    inside = {
        name: event.pop(name)
        for name in ("cart_id", "currency", "amount", "order_id", "coupon", "items")
        if name in event
    }
    if "items" in inside:
        inside["products"] = inside.pop("items")
    outside = {"type": "track", "event": event.pop("type").replace("_", " ").title()}
    names = {"event_id": "messageId", "occurred_at": "timestamp", "anonymous_id": "anonymousId", "user_id": "userId"}
    outside |= {new: event.pop(old) for old, new in names.items() if old in event}
    return json.dumps({**outside, "properties": {**event.pop("properties", {}), **inside}, **event}).encode()


def _script_number(price: int) -> float:
    return price // 100 if price % 100 == 0 else price / 100


EXPLORED: dict[str, Damage] = {
    "space around the ids": edited(_spaced),
    "money with its currency": edited(money(lambda price, code: f"{price // 100:,}.{price % 100:02} {code}")),
    "money as a script counts it": edited(money(lambda price, _: _script_number(price))),
    "minor units with a point": edited(money(lambda price, _: f"{price}.0")),
    "HTML entities": lambda event, _: html.escape(json.dumps(event, ensure_ascii=False)).encode(),
    "a list for each field of the items": edited(_parallel),
    "under the name of its type": _under_its_type,
    "ids in objects": edited(_ids_in_objects),
    "the cart in an object": edited(_cart_in_object),
    "properties on the level of the event": edited(_properties_up),
    "the context in other objects": edited(_places),
    "prices of lines": edited(_line_totals),
    "more fields in the items": edited(_more_of_items),
    "long names": _renamed({"cart_id": "shoppingCartIdentifier", "session_id": "browserSessionToken",
                            "user_id": "loggedInCustomerNumber", "occurred_at": "clientEventTime"}),
    "names in German": _renamed({"cart_id": "warenkorb_id", "user_id": "kundennummer", "items": "positionen"}),
    "a call of a tracking library": _track_call,
    "names in capitals": keys(str.upper),
    "names with a prefix": keys(lambda name: f"evt_{name}"),
    "time in an object": retimed(lambda at: {"$date": round(at.timestamp() * 1000)}),
    "time in short": retimed(lambda at: at.strftime("%Y%m%dT%H%M%SZ")),
}  # fmt: skip


def _minutes(at: datetime) -> str:
    return at.strftime("%d.%m.%y %H:%M")


HOPELESS_TOO: dict[str, Damage] = {
    "time without its seconds": retimed(_minutes),
    "money below nothing": edited(money(lambda price, _: -price)),
}
