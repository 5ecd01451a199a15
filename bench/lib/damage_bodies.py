"""Ways in which whole bodies come damaged: written by other languages, put into envelopes, laid out otherwise.

Thought of by somebody who did not write the repairer; halved by name as the values' kinds are.
"""

import base64
import copy
import gzip
import json
import random
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus
from zlib import crc32

from bench.lib.damage import Damage, Table, edited, notated

Rows = list[Table]


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _lines(change: Callable[[Rows], Any]) -> Damage:
    """Another layout for the items."""

    def edit(event: Table, _: random.Random) -> bool:
        if not event.get("items"):
            return False
        event["items"] = change(event["items"])
        return True

    return edited(edit)


def _without(event: Table, *names: str) -> Table:
    return {name: copy.deepcopy(value) for name, value in event.items() if name not in names}


def _cloud_event(event: Table, _: random.Random) -> bytes:
    rest = _without(event, "event_id", "type", "occurred_at")
    return _json({"specversion": "1.0", "id": event["event_id"], "source": "/shops/7/storefront",
                  "type": f"com.shop.{event['type']}", "time": event["occurred_at"],
                  "datacontenttype": "application/json", "data": rest})  # fmt: skip


def _notification(event: Table, _: random.Random) -> bytes:
    return _json({"Type": "Notification", "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
                  "TopicArn": "arn:aws:sns:eu-west-1:123456789012:shop", "Message": json.dumps(event),
                  "Timestamp": "2031-01-01T00:00:00.000Z", "SignatureVersion": "1"})  # fmt: skip


def _pushed(event: Table, _: random.Random) -> bytes:
    data = base64.b64encode(json.dumps(event).encode()).decode()
    return _json({"message": {"data": data, "messageId": "136969346945", "attributes": {"origin": "shop"}},
                  "subscription": "projects/shop/subscriptions/events"})  # fmt: skip


def _change_record(event: Table, _: random.Random) -> bytes:
    return _json({"schema": {"type": "struct", "name": "shop.Envelope"},
                  "payload": {"before": None, "after": event, "op": "c", "ts_ms": 1_900_000_000_000}})  # fmt: skip


def _mutation(event: Table, _: random.Random) -> bytes:
    query = "mutation Track($input: EventInput!) { track(input: $input) { id } }"
    return _json({"operationName": "Track", "query": query, "variables": {"input": event}})


def _resource(event: Table, _: random.Random) -> bytes:
    return _json({"data": {"type": "events", "id": "42", "attributes": event}, "jsonapi": {"version": "1.1"}})


_TAGS = {"product_added": "add_to_cart", "product_removed": "remove_from_cart", "product_viewed": "view_item",
         "order_completed": "purchase", "checkout_started": "begin_checkout", "cart_viewed": "view_cart"}  # fmt: skip


def _tag_items(event: Table) -> Rows:
    found: Rows = []
    for item in event["items"]:
        one = {"item_id": item["product_id"], "price": item["price"] / 100, "quantity": item.get("quantity", 1)}
        if "name" in item:
            one["item_name"] = item["name"]
        for name in ("category", "brand"):
            if name in item:
                one[f"item_{name}"] = item[name]
        found.append(one)
    return found


def _data_layer(event: Table, _: random.Random) -> bytes | None:
    if event["type"] not in _TAGS or not event.get("items"):
        return None
    commerce: Table = {"items": _tag_items(event)}
    for name, new in (("currency", "currency"), ("order_id", "transaction_id"), ("coupon", "coupon")):
        if name in event:
            commerce[new] = event[name]
    if "amount" in event:
        commerce["value"] = event["amount"] / 100
    rest = _without(event, "type", "items", "currency", "order_id", "coupon", "amount")
    return _json({"event": _TAGS[event["type"]], "ecommerce": commerce, **rest, "gtm.uniqueEventId": 14})


def _measured(event: Table, _: random.Random) -> bytes | None:
    if event["type"] not in _TAGS or not event.get("items"):
        return None
    at = datetime.fromisoformat(event["occurred_at"])
    inside = {
        name: event[name] for name in ("currency", "session_id", "cart_id", "event_id", "coupon") if name in event
    }
    inside |= {"items": _tag_items(event)}
    if "amount" in event:
        inside["value"] = event["amount"] / 100
    if "order_id" in event:
        inside["transaction_id"] = event["order_id"]
    outside = {"client_id": event.get("anonymous_id"), "timestamp_micros": str(round(at.timestamp() * 1e6))}
    if "user_id" in event:
        outside["user_id"] = event["user_id"]
    for name in ("context", "properties", "anonymous_id"):
        if name in event and name != "anonymous_id":
            outside[name] = event[name]
    return _json({**outside, "events": [{"name": _TAGS[event["type"]], "params": inside}]})


def _dynamic(value: Any) -> Table:
    if isinstance(value, dict):
        return {"M": {key: _dynamic(inner) for key, inner in value.items()}}
    if isinstance(value, list):
        return {"L": [_dynamic(inner) for inner in value]}
    return {"N": str(value)} if isinstance(value, int | float) else {"S": value}


def _unions(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unions(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return {"array": [_unions(inner) for inner in value]}
    return {"long": value} if isinstance(value, int) else {"string": value}


def _extended(event: Table, _: random.Random) -> bytes:
    def written(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: written(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [written(inner) for inner in value]
        return {"$numberInt": str(value)} if isinstance(value, int) else value

    found = written(_without(event, "properties")) | {"occurred_at": {"$date": event["occurred_at"]}}
    kept = {"properties": event["properties"]} if "properties" in event else {}
    return _json({"_id": {"$oid": "507f1f77bcf86cd799439011"}, **found, **kept})


def _key_values(event: Table, _: random.Random) -> bytes:
    return _json([{"key": name, "value": value} for name, value in event.items()])


def _header_and_row(event: Table, _: random.Random) -> bytes:
    return _json({"columns": list(event), "rows": [list(event.values())]})


def _form(event: Table, _: random.Random) -> bytes:
    def pairs(value: Any, name: str) -> list[str]:
        if isinstance(value, dict):
            return [pair for key, inner in value.items() for pair in pairs(inner, f"{name}[{key}]" if name else key)]
        if isinstance(value, list):
            return [pair for number, inner in enumerate(value) for pair in pairs(inner, f"{name}[{number}]")]
        return [f"{quote_plus(name)}={quote_plus(str(value))}"]

    return "&".join(pairs(_without(event, "properties"), "")).encode() if "properties" not in event else b""


def _applies(damage: Damage) -> Damage:
    return lambda event, chance: damage(event, chance) or None


def _python_objects(event: Table, _: random.Random) -> bytes:
    at = datetime.fromisoformat(event["occurred_at"])
    stamp = (f"datetime.datetime({at.year}, {at.month}, {at.day}, {at.hour}, {at.minute}, {at.second}, "
             f"{at.microsecond}, tzinfo=datetime.timezone.utc)")  # fmt: skip
    text = repr(event).replace(repr(event["occurred_at"]), stamp)
    return text.replace(repr(event["event_id"]), f"UUID({event['event_id']!r})").encode()


def _ruby(event: Table, chance: random.Random) -> bytes:
    mark = ":{}" if chance.random() < 0.5 else '"{}"'
    written = notated({**event, "discount": None}, lambda key, inner: f"{mark.format(key)}=>{inner}")
    return written.replace("null", "nil").encode()


def _php(event: Table, _: random.Random) -> bytes:
    def written(value: Any) -> str:
        if isinstance(value, dict):
            return "array (\n" + "".join(f"  '{key}' => {written(inner)},\n" for key, inner in value.items()) + ")"
        if isinstance(value, list):
            return "array (\n" + "".join(f"  {n} => {written(inner)},\n" for n, inner in enumerate(value)) + ")"
        return f"'{value}'" if isinstance(value, str) else str(value)

    return written(event).encode()


def _encoded_twice(event: Table, _: random.Random) -> bytes | None:
    text = json.dumps({**event, "schema_version": "1"}, ensure_ascii=False)
    if text.isascii():
        return None
    for _round in range(2):
        text = text.encode().decode("cp1252", "replace")
    return text.encode() if "\ufffd" not in text else None


def _twice(event: Table, _: random.Random) -> bytes:
    return _json(event) + b"\n" + _json(event)


def _chunked(event: Table, _: random.Random) -> bytes:
    body = _json(event)
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def _escaped_csv(event: Table, _: random.Random) -> bytes:
    return ('"' + json.dumps(event).replace('"', '""') + '"').encode()


def _in_context(event: Table, _: random.Random) -> None:
    moved = [name for name in ("session_id", "anonymous_id", "user_id", "currency") if name in event]
    event["context"] = {**event.get("context", {}), **{name: event.pop(name) for name in moved}}
    event["schema_version"] = 1


def _order_object(event: Table, _: random.Random) -> bool:
    if "order_id" not in event or "amount" not in event:
        return False
    amount = event.pop("amount")
    lines: Rows = [{**item, "price": f"{item['price'] // 100}.{item['price'] % 100:02}"} for item in event.pop("items")]
    event["order"] = {"id": event.pop("order_id"), "total_price": f"{amount // 100}.{amount % 100:02}",
                      "currency": event.pop("currency"), "line_items": lines}  # fmt: skip
    return True


def _product_apart(lines: Rows) -> Rows:
    return [{"quantity": line.get("quantity", 1), "product": {"id" if name == "product_id" else name: value
             for name, value in line.items() if name != "quantity"}} for line in lines]  # fmt: skip


def _newlines(event: Table, _: random.Random) -> bytes:
    return json.dumps(event, indent=2, ensure_ascii=False).replace(",\n", "\n").encode()


BODIES: dict[str, Damage] = {
    "a cloud event": _cloud_event,
    "a notification with the event as text": _notification,
    "pushed by a queue in base64": _pushed,
    "a database's record of change": _change_record,
    "a GraphQL mutation": _mutation,
    "a resource with attributes": _resource,
    "a tag manager's data layer": _data_layer,
    "a measurement protocol's call": _measured,
    "values under their types' letters": lambda event, _: _json(_dynamic(event)["M"]),
    "values under their types' names": lambda event, _: _json(_unions(event)),
    "a document store's extended notation": _extended,
    "a list of names and values": _key_values,
    "columns and a row": _header_and_row,
    "a form": _applies(_form),
    "Python's objects": _python_objects,
    "Ruby's notation": _ruby,
    "PHP's notation": _php,
    "in the wrong encoding twice": _encoded_twice,
    "UTF-16 without its mark": lambda event, _: json.dumps(event, ensure_ascii=False).encode("utf-16-be"),
    "packed": lambda event, _: gzip.compress(_json(event), mtime=0),
    "packed and in base64": lambda event, _: base64.b64encode(gzip.compress(_json(event), mtime=0)),
    "twice in one body": _twice,
    "with a transfer's chunk sizes": _chunked,
    "a cell of a CSV file": _escaped_csv,
    "a line of a log": lambda event, _: b"2031-01-01T00:00:00Z INFO [web-1] event=" + _json(event) + b" sent=false",
    "a script's call": lambda event, _: b"callback(" + _json(event) + b");",
    "a script's assignment": lambda event, _: b"var event = " + _json(event) + b";",
    "the first bracket lost": lambda event, _: _json(event)[1:],
    "lines without commas": _newlines,
    "a mark before it and nothing after": lambda event, _: b"\xef\xbb\xbf" + _json(event) + b"\x00\x00\x1a",
    "Latin-1": lambda event, _: None if _json(event).isascii() else _json(event).decode().encode("latin-1", "replace"),
    "items one deeper": _lines(lambda lines: {"item": lines if len(lines) > 1 else lines[0]}),
    "items as edges and nodes": _lines(lambda lines: {"edges": [{"node": line} for line in lines]}),
    "items as rows under a header": _lines(lambda lines: [list(lines[0]), *(list(line.values()) for line in lines)]),
    "each item in an object": _lines(lambda lines: [{"item": line} for line in lines]),
    "products apart from their lines": _lines(_product_apart),
    "items as texts": _lines(lambda lines: [json.dumps(line) for line in lines]),
    "items in a list in a list": _lines(lambda lines: [lines]),
    "ids in the context": edited(_in_context),
    "the order in an object": edited(_order_object),
}  # fmt: skip


def _two_events(event: Table, chance: random.Random) -> bytes:
    other = {**event, "event_id": f"{event['event_id'][:-6]}{chance.randrange(16**6):06x}", "cart_id": "another"}
    return _json(event) + b"\n" + _json(other)


def _elided(event: Table, _: random.Random) -> bytes | None:
    if not event.get("items"):
        return None
    return _json(_without(event, "items"))[:-1] + b', "items": [...]}'


def _cut_number(event: Table, _: random.Random) -> bytes | None:
    if "amount" not in event:
        return None
    text = json.dumps({**_without(event, "amount"), "amount": event["amount"]})
    return text[:-2].encode()


BODIES_HOPELESS: dict[str, Damage] = {
    "two events in one body": _two_events,
    "shortened by whoever wrote the log": _elided,
    "cut inside of the amount": _cut_number,
    "each key gone": lambda event, _: _json(list(event.values())),
}


def halves(kinds: dict[str, Damage]) -> tuple[dict[str, Damage], dict[str, Damage]]:
    """The kinds that may be looked at, and those only counted: by their names' checksums, so that nobody chooses."""
    seen = {name: damage for name, damage in kinds.items() if crc32(name.encode()) % 2 == 0}
    return seen, {name: damage for name, damage in kinds.items() if name not in seen}
