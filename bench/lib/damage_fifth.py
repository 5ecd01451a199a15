"""A fifth set of damages, written after all mending: what is met with for the first time. Nothing is mended by it.

`FIFTH_TRAPS` looks mendable and is better left alone: a clock shifted by its zone, an id within another system's, and
ids exchanged.
"""

import json
import random
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from bench.lib.damage import Damage, Table, edited, keys, money, retimed

_PORTUGUESE: Final = {
    "cart_id": "id_carrinho", "items": "itens", "quantity": "quantidade", "price": "preco_unitario",
    "amount": "valor_total", "currency": "moeda", "order_id": "numero_pedido", "name": "nome", "user_id": "id_cliente",
}  # fmt: skip
_MONTHS: Final = ("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
                  "novembre", "décembre")  # fmt: skip


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _at(event: Table) -> datetime:
    return datetime.fromisoformat(event["occurred_at"])


def _imported(event: Table, _: random.Random) -> bytes:
    """As an analytics service's import wants it."""
    rest = {
        name: value for name, value in event.items() if name not in {"event_id", "type", "occurred_at", "properties"}
    }
    said = {"time": int(_at(event).timestamp()), "$insert_id": event["event_id"], "token": "a81fe1", **rest}
    return _json({"event": event["type"].replace("_", " ").title(), "properties": said | event.get("properties", {})})


def _described(event: Table, _: random.Random) -> bytes:
    inner = {"schema": "iglu:com.shop/cart_event/jsonschema/1-0-0", "data": event}
    return _json({"schema": "iglu:com.shop/unstruct_event/jsonschema/1-0-0", "data": inner})


def _french(at: datetime) -> str:
    here = at.astimezone(ZoneInfo("Europe/Paris"))
    hours = int((here.utcoffset() or timedelta(0)).total_seconds() // 3600)
    return f"{here.day} {_MONTHS[here.month - 1]} {here.year} à {here:%H:%M:%S} UTC+{hours}"


def _by_unit(event: Table, _: random.Random) -> bool:
    for item in event.get("items", []):
        item["price_data"] = {"unit_amount": item.pop("price")}
    if "amount" in event:
        event["amount_total"] = event.pop("amount")
    return bool(event.get("items"))


def _handler(event: Table, _: random.Random) -> None:
    event["type"] = "on" + "".join(part.title() for part in event["type"].split("_"))


def _escaped_letters(event: Table, _: random.Random) -> bool:
    lines = [item for item in event.get("items", []) if not item.get("name", "").isascii()]
    for item in lines:
        item["name"] = item["name"].encode("ascii", "backslashreplace").decode().replace("\\x", "\\u00")
    event["type"] = event["type"].replace("_", " ").title()
    return bool(lines)


def _tuples(event: Table, _: random.Random) -> bool:
    names = ("product_id", "quantity", "price", "name")
    event["items"] = [
        [item.get(name, 1) for name in names] for item in event.get("items", []) if len(item) <= len(names)
    ]
    return bool(event["items"])


def _per_piece(event: Table, chance: random.Random) -> bool:
    if "currency" not in event or not event.get("items"):
        return False
    code, event["currency"] = event["currency"], None
    return money(lambda price, _: f"{price // 100:,}".replace(",", ".") + f",{price % 100:02} {code}/Stk.")(
        event, chance
    )


def _gross(price: int, currency: str) -> Table:
    return {"gross": {"amount": f"{price // 100}.{price % 100:02}", "currencyCode": currency}}


def _multipart(event: Table, _: random.Random) -> bytes:
    head = b'--b7f1\r\nContent-Disposition: form-data; name="event"\r\nContent-Type: application/json\r\n\r\n'
    return head + _json(event) + b"\r\n--b7f1--\r\n"


def _shifted(event: Table, _: random.Random) -> bool:
    zone = ZoneInfo("Europe/Berlin" if event.get("currency") == "EUR" else "America/New_York")
    at = _at(event)
    event["occurred_at"] = int((at + (at.astimezone(zone).utcoffset() or timedelta(0))).timestamp())
    return True


def _global_id(event: Table, _: random.Random) -> bool:
    if "user_id" not in event:
        return False
    event["user_id"] = f"gid://shop/Customer/{event['user_id']}"
    event["type"] = event["type"].upper()
    return True


def _exchanged(event: Table, _: random.Random) -> bool:
    if "cart_id" not in event or event["cart_id"] == event.get("session_id"):
        return False
    event["cart_id"], event["session_id"] = event["session_id"], event["cart_id"]
    event["type"] = event["type"].upper()
    return True


def _row_in_hex(event: Table, _: random.Random) -> bytes:
    row: dict[str, Any] = {"id": 88123, "payload": "\\x" + _json(event).hex(), "tries": 3}
    return _json(row)


FIFTH: dict[str, Damage] = {
    "names in Portuguese": keys(lambda key: _PORTUGUESE.get(key, key)),
    "an analytics service's import": _imported,
    "a self-describing event": _described,
    "a database row with its bytes": _row_in_hex,
    "time as a French console shows it": retimed(_french),
    "unit amounts as a payment service names them": edited(_by_unit),
    "a type as its handler is named": edited(_handler),
    "letters by their numbers, type in title case": edited(_escaped_letters),
    "a mark of what was cut behind it": lambda event, _: _json(event) + b"...[truncated 312 bytes]",
    "items as tuples": edited(_tuples),
    "prices per piece, currency null": edited(_per_piece),
    "money gross in objects": edited(money(_gross)),
    "a part of a form with files": _multipart,
}  # fmt: skip


FIFTH_TRAPS: dict[str, Damage] = {
    "a clock shifted by its zone": edited(_shifted),
    "another system's id of the user": edited(_global_id),
    "ids exchanged": edited(_exchanged),
}
