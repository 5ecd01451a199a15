"""Who visits the demo shop and what is true of each. Pure: chance comes in as a seeded generator.

What the platform can't know is decided here before anybody acts: who buys at once, who would come back unasked, whom a
message moves, and who never buys. Figures are made up, of an order that shops report; they are no claim about any shop.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

import numpy as np
from msgspec.structs import replace

from recoup.demo.catalogue import PRODUCTS
from recoup.messages.events import Item

T = TypeVar("T")
Chance = np.random.Generator


class Truth(StrEnum):
    """What a shopper would do, whatever we think of it."""

    BROWSES = "browses"
    """Puts nothing into a cart."""
    BUYS = "buys"
    """Pays during the visit."""
    RETURNS = "returns"
    """Leaves a cart and comes back to pay within two days, asked or not."""
    PERSUADABLE = "persuadable"
    """Leaves a cart and comes back only if a message arrives, and then not always."""
    GONE = "gone"
    """Leaves a cart for good."""


class Contact(StrEnum):
    """How far the shop knows somebody."""

    ANONYMOUS = "anonymous"
    WITHOUT_CONSENT = "without_consent"
    REACHABLE = "reachable"


TRUTHS: Final = {
    Truth.BROWSES: 0.42,
    Truth.BUYS: 0.16,
    Truth.RETURNS: 0.08,
    Truth.PERSUADABLE: 0.13,
    Truth.GONE: 0.21,
}
CONTACTS: Final = {Contact.ANONYMOUS: 0.25, Contact.WITHOUT_CONSENT: 0.10, Contact.REACHABLE: 0.65}
CLICKS: Final = {Truth.RETURNS: 0.45, Truth.PERSUADABLE: 0.80, Truth.GONE: 0.06}
"""The share of those who got a message that open it and follow its link. A persuadable one who does will buy."""
OPENS_ONLY: Final = 0.25
"""The share of the others that at least open it."""
BY_HOUR: Final = dict(enumerate((2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 13, 13, 14, 13, 12, 12, 13, 15, 18, 20, 19, 15, 9, 4)))
"""How many visits begin in each hour of the day, in proportion."""
SOURCES: Final = (("", ""), ("google", "organic"), ("google", "cpc"), ("instagram", "social"), ("newsletter", "email"))
DEVICES: Final = {"mobile": 0.58, "desktop": 0.34, "tablet": 0.08}


CHECKOUT: Final = {
    Truth.BROWSES: 0.0,
    Truth.BUYS: 1.0,
    Truth.RETURNS: 0.65,
    Truth.PERSUADABLE: 0.50,
    Truth.GONE: 0.25,
}
"""The share that gets as far as the checkout during the visit."""
TRIES_COUPON: Final = 0.12
LINES: Final = {1: 0.6, 2: 0.3, 3: 0.1}
"""How many different things are in a basket."""
PIECES: Final = {1: 0.85, 2: 0.15}
"""How many of one thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shopper:
    """One visitor, with the dice already rolled."""

    number: int
    truth: Truth
    contact: Contact
    arrives_at: datetime
    basket: tuple[Item, ...]
    looks_at: tuple[Item, ...]
    """Products viewed beside those of the basket."""
    device: str
    source: tuple[str, str]
    reaches_checkout: bool
    tries_coupon: bool
    returns_after: timedelta
    """From the end of the visit to coming back unasked."""
    responds_after: timedelta
    """From a message to following it."""
    opens: bool
    clicks: bool

    @property
    def anonymous_id(self) -> str:
        return f"visitor-{self.number}"

    @property
    def cart_id(self) -> str:
        return f"cart-{self.number}"

    @property
    def user_id(self) -> str | None:
        return None if self.contact is Contact.ANONYMOUS else f"shopper-{self.number}"

    @property
    def email(self) -> str:
        return f"shopper-{self.number}@example.com"

    @property
    def value(self) -> int:
        """What the basket costs, in minor units."""
        return sum(item.price * item.quantity for item in self.basket)


def draw(chance: Chance, count: int, start: datetime, days: int) -> list[Shopper]:
    """So many shoppers, arriving over so many days, each by the hours people shop at."""
    return [_shopper(chance, number, _arrival(chance, start, days)) for number in range(1, count + 1)]


def _shopper(chance: Chance, number: int, arrives_at: datetime) -> Shopper:
    truth = _pick(chance, TRUTHS)
    basket = () if truth is Truth.BROWSES else _basket(chance)
    clicks = chance.random() < CLICKS.get(truth, 0.0)
    return Shopper(
        number=number,
        truth=truth,
        contact=_pick(chance, CONTACTS),
        arrives_at=arrives_at,
        basket=basket,
        looks_at=_products(chance, int(chance.integers(1, 5 if truth is Truth.GONE else 7))),
        device=_pick(chance, DEVICES),
        source=SOURCES[int(chance.integers(len(SOURCES)))],
        reaches_checkout=chance.random() < CHECKOUT[truth],
        tries_coupon=chance.random() < TRIES_COUPON,
        returns_after=timedelta(hours=float(chance.uniform(2, 40))),
        responds_after=timedelta(hours=float(chance.gamma(2.0, 2.0)) + 0.25),
        opens=clicks or chance.random() < OPENS_ONLY,
        clicks=clicks,
    )


def _arrival(chance: Chance, start: datetime, days: int) -> datetime:
    hour = _pick(chance, BY_HOUR)
    day = int(chance.integers(days))
    return start + timedelta(days=day, hours=hour, seconds=int(chance.integers(3600)))


def _basket(chance: Chance) -> tuple[Item, ...]:
    return tuple(replace(item, quantity=_pick(chance, PIECES)) for item in _products(chance, _pick(chance, LINES)))


def _products(chance: Chance, count: int) -> tuple[Item, ...]:
    pull = np.array([product.pull for product in PRODUCTS])
    chosen = chance.choice(len(PRODUCTS), size=count, replace=False, p=pull / pull.sum())
    return tuple(PRODUCTS[index].item() for index in chosen.tolist())


def _pick(chance: Chance, weights: Mapping[T, float]) -> T:
    """One of them, as often as its weight says."""
    shares = np.array(list(weights.values()), dtype=np.float64)
    return list(weights)[int(chance.choice(len(shares), p=shares / shares.sum()))]
