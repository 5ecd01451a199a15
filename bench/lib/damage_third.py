"""A third set of damages, thought of after the repairer had been mended by two halves of somebody else's."""

import base64
import json
import random
import zlib
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from bench.lib.damage import Damage, Table, edited, keys, money, retimed


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _tags(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_tags(inner)}</{name}>" for name, inner in value.items())
    return "".join(f"<item>{_tags(one)}</item>" for one in value) if isinstance(value, list) else str(value)


def _indented(value: Any, depth: int) -> str:
    margin = "  " * depth
    if isinstance(value, dict):
        return "".join(
            f"{margin}{name}:"
            + ("\n" + _indented(inner, depth + 1) if isinstance(inner, dict | list) else f" {inner}\n")
            for name, inner in value.items()
        )
    return "".join(f"{margin}- " + _indented(one, depth + 1).lstrip() for one in value)


def _visitor(event: Table, _: random.Random) -> None:
    said = {"anonymousId": event.pop("anonymous_id", None), "sessionId": event.pop("session_id")}
    event["visitor"] = said | ({"userId": event.pop("user_id")} if "user_id" in event else {})


def _unit_prices(event: Table, _: random.Random) -> bool:
    for item in event.get("items", []):
        item["unit_price"] = f"{item.pop('price') / 100:.2f}"
    if "amount" in event:
        event["order_total"] = f"{event.pop('amount') / 100:.2f}"
    return bool(event.get("items"))


def _in_lists(event: Table, _: random.Random) -> bool:
    for item in event.get("items", []):
        item["price"] = [item["price"]]
    return bool(event.get("items"))


_OTHER_NAMES: Final = {
    "items": "line_items", "amount": "total_amount", "order_id": "orderNumber", "cart_id": "cartToken",
    "session_id": "sessionKey",
}  # fmt: skip
_SPANISH: Final = {
    "cart_id": "carrito_id", "items": "productos", "currency": "moneda", "quantity": "cantidad", "price": "precio",
    "amount": "importe", "name": "nombre",
}  # fmt: skip
_SPANISH_TYPES: Final = {
    "product_added": "producto_añadido", "product_viewed": "producto_visto", "order_completed": "pedido_completado",
}  # fmt: skip


def _renamed(event: Table, _: random.Random) -> None:
    for old, new in _OTHER_NAMES.items():
        if old in event:
            event[new] = event.pop(old)


def _campaign_call(event: Table, _: random.Random) -> bytes:
    names = ("cart_id", "currency", "items", "amount", "order_id", "coupon", "session_id", "anonymous_id", "event_id")
    said = {name: event[name] for name in names if name in event} | event.get("properties", {})
    call = {"name": f"ecommerce.{event['type']}", "time": event["occurred_at"], "external_id": event.get("user_id")}
    around = {"context": event["context"]} if "context" in event else {}
    return _json({"events": [call | {"properties": said} | around]})


def _camel(event: Table, _: random.Random) -> None:
    first, *rest = event["type"].split("_")
    event["type"] = first + "".join(part.title() for part in rest)


def _spanish_type(event: Table, _: random.Random) -> bool:
    event["type"] = _SPANISH_TYPES.get(event["type"], event["type"])
    return event["type"] in _SPANISH_TYPES.values()


def _head_and_body(event: Table, _: random.Random) -> bytes:
    head = {"id": event["event_id"], "type": event["type"], "timestamp": event["occurred_at"]}
    body = {name: value for name, value in event.items() if name not in {"event_id", "type", "occurred_at"}}
    return _json({"header": head, "body": body})


def _stream_record(event: Table, _: random.Random) -> bytes:
    data = base64.b64encode(_json(event)).decode()
    carried = {"partitionKey": "1", "sequenceNumber": "495903", "data": data}
    return _json({"Records": [{"eventSource": "aws:kinesis", "kinesis": carried}]})


def _bus_event(event: Table, _: random.Random) -> bytes:
    around = {"version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": event["type"],
              "source": "shop", "account": "111122223333", "time": "2031-01-01T00:00:00Z", "region": "us-west-1",
              "resources": []}  # fmt: skip
    return _json(around | {"detail": event})


def _dashed(price: int, _: str) -> str:
    return f"{price // 100},{price % 100:02}" if price % 100 else f"{price // 100},-"


def _markup(event: Table, _: random.Random) -> bytes | None:
    return None if "properties" in event else f"<event>{_tags(event)}</event>".encode()


def _signed_numbers(event: Table, _: random.Random) -> bytes | None:
    return json.dumps(event).replace('"quantity": ', '"quantity": +').encode() if event.get("items") else None


def _seconds_and_nanos(at: datetime) -> Table:
    return {"epochSecond": int(at.timestamp()), "nano": at.microsecond * 1000}


THIRD: dict[str, Damage] = {
    "XML": _markup,
    "YAML": lambda event, _: _indented(event, 0).encode(),
    "packed by zlib": lambda event, _: zlib.compress(_json(event)),
    "UTF-32": lambda event, _: json.dumps(event).encode("utf-32"),
    "percent-encoded": lambda event, _: quote(json.dumps(event)).encode(),
    "escaped three times": lambda event, _: json.dumps(json.dumps(json.dumps(event))).encode(),
    "tabs in place of commas": lambda event, _: json.dumps(event).replace(', "', '\t"').encode(),
    "bytes as Python prints them": lambda event, _: repr(_json(event)).encode(),
    "numbers with a plus": _signed_numbers,
    "a time half an hour off": retimed(
        lambda at: (at + timedelta(hours=5, minutes=30)).strftime("%d/%m/%Y %H:%M:%S +0530")
    ),
    "ticks": retimed(lambda at: 621_355_968_000_000_000 + round(at.timestamp() * 1000) * 10_000),
    "time as old mail": retimed(lambda at: at.strftime("%A, %d-%b-%y %H:%M:%S GMT")),
    "time without its signs": retimed(lambda at: at.strftime("%Y%m%dT%H%M%S+0000")),
    "time as C prints it": retimed(lambda at: at.strftime("%a %b %d %H:%M:%S %Y")),
    "time as Java holds it": retimed(_seconds_and_nanos),
    "time in small letters": retimed(lambda at: at.strftime("%Y-%m-%d t %H:%M:%S z")),
    "the visitor in an object": edited(_visitor),
    "unit prices in major units": edited(_unit_prices),
    "prices in lists": edited(_in_lists),
    "other names for the fields": edited(_renamed),
    "a campaign tool's call": _campaign_call,
    "money with a dash": edited(money(_dashed)),
    "the code behind the money": edited(money(lambda price, code: f"{price / 100:.2f}{code}")),
    "money in pairs": edited(money(lambda price, code: [price, code])),
    "money formatted in objects": edited(
        money(lambda price, code: {"value": price / 100, "formatted": f"{price / 100:.2f} {code}"})
    ),
    "thousands apart by spaces": edited(
        money(lambda price, _: f"{price // 100:,}".replace(",", "\u00a0") + f",{price % 100:02}")
    ),
    "types in the perfect": edited(lambda event, _: event.update(type=f"has_{event['type']}")),
    "types in camel case": edited(_camel),
    "types in capitals with dots": edited(lambda event, _: event.update(type=event["type"].upper().replace("_", "."))),
    "types in objects": edited(lambda event, _: event.update(type={"name": event["type"], "version": 1})),
    "types in Spanish": edited(_spanish_type),
    "names in Spanish": keys(lambda key: _SPANISH.get(key, key)),
    "a head and a body": _head_and_body,
    "a stream's record": _stream_record,
    "a bus's event": _bus_event,
}  # fmt: skip
