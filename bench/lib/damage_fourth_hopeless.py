"""What belongs to the fourth set and nobody can mend: what was meant is gone, or two readings are as good.

A repair of any of these is wrong, or right by chance.
"""

import random
from collections.abc import Callable

from bench.lib.damage import Damage, Table, edited, money, retimed


def _titled(change: Callable[[Table, random.Random], bool | None]) -> Damage:
    """With the type in title case, so that the letter comes to the repairer and has something that it can mend."""

    def both(event: Table, chance: random.Random) -> bool | None:
        done = change(event, chance)
        event["type"] = event["type"].replace("_", " ").title() if isinstance(event["type"], str) else event["type"]
        return done

    return edited(both)


def _two_prices(event: Table, chance: random.Random) -> bool:
    """A product nobody knows for 1.234: a thousand or one and a bit."""
    if not event.get("items"):
        return False
    event.pop("amount", None)
    item = event["items"][0]
    item.update(product_id=f"new-{chance.getrandbits(40):x}", price=chance.choice([123_400, 123]))
    event["items"] = [item | {"price": "1.234"}]
    return True


def _redacted(event: Table, _: random.Random) -> bool:
    if "cart_id" not in event:
        return False
    event["cart_id"] = "[REDACTED]"
    return True


def _free(event: Table, chance: random.Random) -> bool:
    return money(lambda *_: "0.00")(event, chance)


def _id_cut(event: Table, _: random.Random) -> None:
    event["event_id"] = event["event_id"][:21]


def _letters_lost(event: Table, _: random.Random) -> bool:
    lines = [item for item in event.get("items", []) if not item.get("name", "").isascii()]
    for item in lines:
        item["name"] = "".join(letter if ord(letter) < 128 else "\ufffd" for letter in item["name"])
    return bool(lines)


def _other_currency(event: Table, chance: random.Random) -> bool:
    return money(lambda price, _: f"£{price * 0.853 / 100:.2f}")(event, chance)


def _merged(event: Table, chance: random.Random) -> None:
    event["type"] = [event["type"], chance.choice(["cart_viewed", "page_viewed", "checkout_started"])]


FOURTH_HOPELESS: dict[str, Damage] = {
    "a thousand or one and a bit": edited(_two_prices),
    "a day without its hour": retimed(lambda at: at.strftime("%Y-%m-%d")),
    "a type that says too little": edited(lambda event, _: event.update(type="product_changed")),
    "the cart's id redacted": _titled(_redacted),
    "every price nought": _titled(_free),
    "the event's id cut": edited(_id_cut),
    "letters replaced for good": _titled(_letters_lost),
    "prices in a visitor's currency": edited(_other_currency),
    "two types at once": edited(_merged),
}  # fmt: skip
