"""Every feature, once: what it is, where it comes from and how it is computed. Serving and training both use this list.

A value that is not known is None, never zero. What a prediction was computed from is logged with it, so a training set
holds exactly what was known at the moment of the decision.
"""

import hashlib
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import reduce
from typing import Final

from msgspec import Struct

from recoup.kit.errors import Invalid, Problem
from recoup.services.ai.features.domain.advance import DEVICES, SOURCES
from recoup.services.ai.features.domain.state import UNKNOWN, Visit

Features = dict[str, float | None]
VIP_ORDERS: Final = 5
"""From so many earlier orders on, a customer is a vip."""
SEGMENTS: Final = ("new", "returning", "vip")
DAY_MS: Final = 86_400_000


class Type(StrEnum):
    """What values are like; categories are the places of their names in `categories`."""

    NUMBER = "number"
    COUNT = "count"
    FLAG = "flag"
    CATEGORY = "category"


class Kind(StrEnum):
    """When a value is made: with each event, or from others when it is asked for."""

    REAL_TIME = "real-time"
    DERIVED = "derived"


class PastOrder(Struct, frozen=True, kw_only=True):
    """An earlier order of a shopper."""

    at: int
    amount: int
    with_coupon: bool


class Observed(Struct, frozen=True, kw_only=True):
    """What is known at `now`; nothing in it is younger."""

    now: int
    cart: Visit | None = None
    session: Visit | None = None
    """The same session's rows that bear no cart id."""
    orders: Sequence[PastOrder] | None = None
    """Oldest first; None where nobody knows who the shopper is."""


Computation = Callable[[Observed], float | None]
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One feature. `revision` grows when the meaning of `compute` changes, and with it the definition's digest."""

    name: str
    group: str
    meaning: str
    type: Type
    kind: Kind
    source: str
    compute: Computation
    depends: tuple[str, ...] = ()
    freshness: timedelta = timedelta(seconds=2)
    """How long after an event its effect shows at the latest, in ordinary running."""
    low: float = 0
    high: float = 1e15
    categories: tuple[str, ...] = ()
    revision: int = 1

    @property
    def digest(self) -> str:
        """The same for the same definition, for ever."""
        bounds, parts = (self.low, self.high), (self.depends, self.categories)
        text = "\x1f".join(map(str, (self.name, self.type, self.kind, self.source, *bounds, *parts, self.revision)))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _of_cart(field: str) -> Computation:
    """A value of the cart's record; missing while it says so or there is no record."""

    def compute(seen: Observed) -> float | None:
        value: int = UNKNOWN if seen.cart is None else getattr(seen.cart, field)
        return None if value == UNKNOWN else value

    return compute


def _of_both(read: Callable[[Visit], float], join: Callable[[float, float], float] = operator.add) -> Computation:
    """A value of the whole visit: what happened with the cart's id and, in the same session, without it."""

    def compute(seen: Observed) -> float | None:
        parts = [read(part) for part in (seen.cart, seen.session) if part is not None]
        return reduce(join, parts) if parts else None

    return compute


def _summed(field: str) -> Computation:
    return _of_both(operator.attrgetter(field))


def _since_activity(seen: Observed) -> float | None:
    last = max((part.last_at for part in (seen.cart, seen.session) if part is not None), default=0)
    return max(0, seen.now - last) / 1000 if last else None


def _since_abandonment(seen: Observed) -> float | None:
    if seen.cart is None or not seen.cart.abandoned_at:
        return None
    return max(0, seen.now - seen.cart.abandoned_at) / 1000


def _known(name: str) -> Computation:
    """What the cart's rows say, or else the session's: device, traffic source, local time."""

    def compute(seen: Observed) -> float | None:
        for part in (seen.cart, seen.session):
            value: int = UNKNOWN if part is None else getattr(part, name)
            if value != UNKNOWN:
                return value
        return None

    return compute


def _segment(seen: Observed) -> float | None:
    if seen.orders is None:
        return None
    return 2 if len(seen.orders) >= VIP_ORDERS else min(1, len(seen.orders))


def _average_order(seen: Observed) -> float | None:
    return sum(order.amount for order in seen.orders) / len(seen.orders) if seen.orders else None


def _days_since_order(seen: Observed) -> float | None:
    return (seen.now - seen.orders[-1].at) / DAY_MS if seen.orders else None


def _price_sensitivity(seen: Observed) -> float | None:
    return sum(order.with_coupon for order in seen.orders) / len(seen.orders) if seen.orders else None


def _orders_before(seen: Observed) -> float | None:
    return None if seen.orders is None else len(seen.orders)


def _value_to_usual(seen: Observed) -> float | None:
    usual = _average_order(seen)
    if not usual or seen.cart is None or seen.cart.cart_value == UNKNOWN:
        return None
    return seen.cart.cart_value / usual


_CART, _VISIT, _CONTEXT, _PAST = "real-time", "session", "contextual", "behavioural"
_MANY: Final = 1e6


def _number(  # noqa: PLR0913 - a definition has so many parts
    group: str, name: str, meaning: str, source: str, compute: Computation, *, high: float = 1e15, depends: Names = ()
) -> Definition:
    return _defined(group, name, meaning, source, compute, Type.NUMBER, high=high, depends=depends)


def _count(  # noqa: PLR0913 - as above
    group: str, name: str, meaning: str, source: str, compute: Computation, *, low: float = 0, high: float = _MANY
) -> Definition:
    return _defined(group, name, meaning, source, compute, Type.COUNT, low=low, high=high)


def _category(  # noqa: PLR0913 - as above
    group: str, name: str, meaning: str, source: str, compute: Computation, *, names: Names, depends: Names = ()
) -> Definition:
    top = len(names) - 1
    return _defined(group, name, meaning, source, compute, Type.CATEGORY, high=top, categories=names, depends=depends)


def _defined(  # noqa: PLR0913 - the one place where a definition's parts meet
    group: str, name: str, meaning: str, source: str, compute: Computation, type_: Type, *, low: float = 0,
    high: float, categories: Names = (), depends: Names = (),
) -> Definition:  # fmt: skip
    return Definition(
        name=name, group=group, meaning=meaning, type=type_, kind=Kind.DERIVED if depends else Kind.REAL_TIME,
        source=f"cart-events-enriched: {source}", compute=compute, depends=depends, low=low, high=high,
        categories=categories,
    )  # fmt: skip


_USUAL: Final = "average_order_value"
_DEPTHS: Final = "0 none, 1 cart looked at, 2 checkout started, 3 a step completed, 4 payment entered"
_PIECE: Final = "average price of a piece, in minor units"
_SENSITIVE: Final = "share of the earlier orders that used a coupon or discount"
_RATIO: Final = "the cart's value over the average of the earlier orders"
_TRIED: Final = _of_both(lambda visit: max(visit.coupon_attempts, visit.coupon_answers))
_DWELL: Final = _of_both(lambda visit: visit.dwell_ms / 1000)

DEFINITIONS: Final = (
    _number(_CART, "seconds_since_activity", "since the shopper last did anything", "occurred_at", _since_activity),
    _number(_CART, "seconds_since_abandonment", "since the cart was abandoned", "cart_abandoned", _since_abandonment),
    _number(_CART, "cart_value", "what the cart is worth, in minor units", "cart_value", _of_cart("cart_value")),
    _count(_CART, "item_count", "pieces in the cart", "item_count", _of_cart("item_count"), high=1e9),
    _number(_CART, "average_item_price", _PIECE, "average_item_price", _of_cart("average_item_price")),
    _category(
        _CART, "customer_segment", f"by earlier orders; vip from {VIP_ORDERS} on", "order_completed", _segment,
        names=SEGMENTS, depends=("orders_before",),
    ),
    _count(_VISIT, "pages", "pages and products looked at", "type", _summed("pages")),
    _count(_VISIT, "products_seen", "products looked at", "type", _summed("products_seen")),
    _count(_VISIT, "searches", "searches", "type", _summed("searches")),
    _number(_VISIT, "dwell_seconds", "time spent, without pauses over ten minutes", "occurred_at", _DWELL, high=1e9),
    _count(_VISIT, "cart_edits", "products added, removed or changed", "type", _summed("cart_edits")),
    _count(_VISIT, "removals", "products removed", "type", _summed("removals")),
    _count(_VISIT, "cart_views", "looks at the cart", "type", _summed("cart_views")),
    _count(_VISIT, "checkout_depth", _DEPTHS, "type", _of_both(lambda visit: visit.checkout_depth, max), high=4),
    _count(_VISIT, "coupon_attempts", "coupons tried", "type", _TRIED),
    _count(_VISIT, "payment_failures", "payments that failed", "type", _summed("payment_failures")),
    _count(_VISIT, "exit_intents", "moves to leave the page", "type", _summed("exit_intents")),
    _count(_VISIT, "returns_to_cart", "returns after more than ten minutes away", "occurred_at", _of_cart("returns")),
    _count(_CONTEXT, "local_hour", "hour of the last activity, shop's zone", "local_hour", _known("hour"), high=23),
    _count(
        _CONTEXT, "local_weekday", "weekday of the last activity, 1 is Monday", "local_weekday", _known("weekday"),
        low=1, high=7,
    ),
    _defined(
        _CONTEXT, "is_weekend", "the last activity was on a weekend", "is_weekend", _known("weekend"), Type.FLAG, high=1
    ),
    _category(_CONTEXT, "device", "what the shopper holds", "device_class", _known("device"), names=DEVICES),
    _category(_CONTEXT, "traffic_source", "what led to the visit", "traffic_source", _known("source"), names=SOURCES),
    _count(_PAST, "orders_before", "earlier orders of this person", "order_completed", _orders_before),
    _number(_PAST, _USUAL, "average of the earlier orders, in minor units", "amount", _average_order),
    _number(_PAST, "days_since_last_order", "days since the last order", "occurred_at", _days_since_order, high=1e5),
    _number(_PAST, "price_sensitivity", _SENSITIVE, "coupon, discount", _price_sensitivity, high=1),
    _number(_PAST, "value_to_usual", _RATIO, "cart_value, amount", _value_to_usual, depends=("cart_value", _USUAL)),
)  # fmt: skip
NAMES: Final = tuple(definition.name for definition in DEFINITIONS)
BY_NAME: Final = {definition.name: definition for definition in DEFINITIONS}
DIGEST: Final = hashlib.sha256("".join(definition.digest for definition in DEFINITIONS).encode()).hexdigest()[:16]
"""Names the whole list; logged with every model."""


def compute(seen: Observed) -> Features:
    """Every feature's value at `seen.now`."""
    known = _nothing_younger(seen)
    return {definition.name: definition.compute(known) for definition in DEFINITIONS}


def _nothing_younger(seen: Observed) -> Observed:
    """Leaves out what is younger than the decision: a session that went on, orders that came later."""
    session = seen.session if seen.session is not None and 0 < seen.session.last_at <= seen.now else None
    orders = None if seen.orders is None else [order for order in seen.orders if order.at <= seen.now]
    return Observed(now=seen.now, cart=seen.cart, session=session, orders=orders)


def validated(values: Mapping[str, float | None]) -> Features:
    """All features in order, None where not given; raises Invalid naming each unknown or impossible value."""
    problems = [problem for name, value in values.items() if (problem := _fault(name, value)) is not None]
    if problems:
        raise Invalid(f"{len(problems)} of the features cannot be right", code="features_invalid", problems=problems)
    return {name: values.get(name) for name in NAMES}


def _fault(name: str, value: float | None) -> Problem | None:
    place = f"features.{name}"
    if name not in BY_NAME:
        return Problem(code="feature_unknown", field=place, detail=f"there is no feature {name!r}")
    if value is None:
        return None
    if not math.isfinite(value):
        return Problem(
            code="feature_not_finite", field=place, detail=f"{value} is no number; leave out what is not known"
        )
    definition = BY_NAME[name]
    if not definition.low <= value <= definition.high:
        allowed = f"from {definition.low:g} to {definition.high:g}"
        return Problem(code="feature_out_of_range", field=place, detail=f"{value:g} is not {allowed}")
    if definition.type is not Type.NUMBER and value != int(value):
        return Problem(code="feature_not_whole", field=place, detail=f"{value:g} is not a whole number")
    return None
