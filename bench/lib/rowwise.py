"""The stream's steps as one would write them first: a function a step, one event at a time, a message in and one out.

Knows the standard library only, so that any Python can run it. Two entries: `Shop.take` for a loop over everything, and
`Key` for a framework that hands out each key's events with the state they left behind.

    python bench/lib/rowwise.py FILE         prints what a plain loop over the file's lines took, as JSON
"""

import json
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

Table = dict[str, Any]
ZONE = ZoneInfo("UTC")
OUR_CURRENCY = "EUR"
NEEDS_ITEMS = frozenset({"product_added", "product_removed"})
NEEDS_ORDER = frozenset({"order_completed", "order_updated", "order_refunded", "order_cancelled"})


@dataclass
class Cart:
    """A cart as far as its events tell."""

    lines: dict[str, tuple[int, int]] = field(default_factory=dict)
    number: int = 0
    last_at: str = ""
    is_open: bool = False

    def fold(self, event: Table) -> None:
        self.last_at = max(self.last_at, event["occurred_at"])
        kind = event["type"]
        if kind == "product_added":
            if not self.is_open:
                self.lines, self.number, self.is_open = {}, self.number + 1, True
            for item in event["items"]:
                before, _ = self.lines.get(item["product_id"], (0, 0))
                self.lines[item["product_id"]] = (before + item.get("quantity", 1), item.get("price", 0))
        if kind == "order_completed":
            self.is_open = False

    @property
    def value(self) -> int:
        return sum(quantity * price for quantity, price in self.lines.values())


@dataclass
class Tally:
    """What became of the events; the same for everyone who does the same work."""

    kept: int = 0
    duplicates: int = 0
    invalid: int = 0


def is_valid(event: Table) -> bool:
    if event["type"] in NEEDS_ITEMS:
        return bool(event.get("items"))
    if event["type"] in NEEDS_ORDER:
        return bool(event.get("order_id"))
    return True


def enrich(event: Table) -> None:
    items = event.get("items", ())
    event["cart_value"] = sum(item.get("quantity", 1) * item.get("price", 0) for item in items)
    event["item_count"] = sum(item.get("quantity", 1) for item in items)
    if event["type"] == "order_completed":
        event.setdefault("amount", event["cart_value"])
    event.setdefault("currency", OUR_CURRENCY)
    local = datetime.fromisoformat(event["occurred_at"]).astimezone(ZONE)
    event["local_hour"], event["local_weekday"] = local.hour, local.isoweekday()
    event["is_weekend"] = event["local_weekday"] >= 6
    context = event.get("context", {})
    event["device_class"] = context.get("device_type") or (
        "mobile" if "Mobi" in context.get("user_agent", "") else "other"
    )
    event["traffic_medium"] = medium(context)


def medium(context: Table) -> str:
    if "utm_medium" in context:
        return context["utm_medium"]
    referrer = urlsplit(context.get("referrer", "")).hostname
    if referrer is None:
        return "direct"
    return "internal" if referrer == urlsplit(context.get("page_url", "")).hostname else "referral"


def show(event: Table, cart: Cart) -> None:
    if cart.number:
        event |= {"cart_number": cart.number, "cart_value": cart.value, "item_count": len(cart.lines)}


@dataclass
class Shop:
    """Everything a plain loop remembers."""

    seen: set[str] = field(default_factory=set)
    carts: dict[str, Cart] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def take(self, message: bytes) -> bytes | None:
        event = json.loads(message)
        if event["event_id"] in self.seen:
            self.tally.duplicates += 1
            return None
        if not is_valid(event):
            self.tally.invalid += 1
            return None
        self.seen.add(event["event_id"])
        self.tally.kept += 1
        enrich(event)
        cart = self.carts.setdefault(event["cart_id"], Cart())
        cart.fold(event)
        show(event, cart)
        return json.dumps(event).encode()


@dataclass
class Key:
    """The state of one key."""

    seen: set[str] = field(default_factory=set)
    cart: Cart = field(default_factory=Cart)

    def take(self, event: Table, tally: Tally) -> list[Table]:
        if event["event_id"] in self.seen:
            tally.duplicates += 1
            return []
        self.seen.add(event["event_id"])
        tally.kept += 1
        enrich(event)
        self.cart.fold(event)
        show(event, self.cart)
        return [event]


def report(tally: Tally, seconds: float, cpu: float) -> None:
    print(json.dumps({**vars(tally), "seconds": seconds, "cpu": cpu}))


def main() -> None:
    messages = Path(sys.argv[1]).read_bytes().splitlines()
    shop, started, cpu = Shop(), time.perf_counter(), time.process_time()
    for message in messages:
        shop.take(message)
    report(shop.tally, time.perf_counter() - started, time.process_time() - cpu)


if __name__ == "__main__":
    main()
