"""Every feature, once: what it is, where it comes from and how it is computed. Serving and training both use this list.

A value that is not known is None, never zero. What a prediction was computed from is logged with it, so a training set
holds exactly what was known at the moment of the decision.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One feature. `revision` grows when the meaning of `compute` changes, and with it the definition's digest."""

    name: str
    group: str
    meaning: str
    type: Type
    kind: Kind
    source: str
    compute: Callable[[Observed], float | None]
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
        text = "\x1f".join(map(str, (
            self.name, self.type, self.kind, self.source, self.depends, self.low, self.high, self.categories, self.revision,
        )))  # fmt: skip
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _of_cart(read: Callable[[Visit], float]) -> Callable[[Observed], float | None]:
    """A value of the cart's record; missing while it says so or there is no record."""

    def compute(seen: Observed) -> float | None:
        if seen.cart is None:
            return None
        value = read(seen.cart)
        return None if value == UNKNOWN else value

    return compute


def _of_both(read: Callable[[Visit], float], join: Callable[[float, float], float] = lambda a, b: a + b):  # noqa: ANN202 - as above
    """A value of the whole visit: what happened with the cart's id and, in the same session, without it."""

    def compute(seen: Observed) -> float | None:
        parts = [read(part) for part in (seen.cart, seen.session) if part is not None]
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else join(parts[0], parts[1])

    return compute


def _since_activity(seen: Observed) -> float | None:
    last = max((part.last_at for part in (seen.cart, seen.session) if part is not None), default=0)
    return max(0, seen.now - last) / 1000 if last else None


def _since_abandonment(seen: Observed) -> float | None:
    if seen.cart is None or not seen.cart.abandoned_at:
        return None
    return max(0, seen.now - seen.cart.abandoned_at) / 1000


def _known_or(name: str) -> Callable[[Observed], float | None]:
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


_CART, _SESSION, _CONTEXT, _HISTORY = "real-time", "session", "contextual", "behavioural"
_N, _C, _F, _K = Type.NUMBER, Type.COUNT, Type.FLAG, Type.CATEGORY
_ENRICHED = "cart-events-enriched"


def _define(
    group: str, name: str, type_: Type, meaning: str, source: str, compute: Callable[[Observed], float | None],
    **more: object,
) -> Definition:  # fmt: skip
    kind = Kind.DERIVED if more.get("depends") else Kind.REAL_TIME
    return Definition(
        group=group, name=name, type=type_, meaning=meaning, source=f"{_ENRICHED}: {source}", compute=compute, kind=kind,
        **more,  # pyright: ignore[reportArgumentType] - the remaining fields, by name
    )  # fmt: skip


DEFINITIONS: Final = (
    _define(_CART, "seconds_since_activity", _N, "since the shopper last did anything", "occurred_at", _since_activity),
    _define(
        _CART, "seconds_since_abandonment", _N, "since the cart was noticed as abandoned", "cart_abandoned", _since_abandonment,
    ),
    _define(_CART, "cart_value", _N, "what the cart is worth, in minor units", "cart_value", _of_cart(lambda c: c.cart_value)),
    _define(
        _CART, "item_count", _C, "pieces in the cart", "item_count", _of_cart(lambda c: c.item_count), high=1e9,
    ),
    _define(
        _CART, "average_item_price", _N, "average price of a piece, in minor units", "average_item_price",
        _of_cart(lambda c: c.average_item_price),
    ),
    _define(
        _CART, "customer_segment", _K, f"new, returning, or vip from {VIP_ORDERS} earlier orders on", "order_completed",
        _segment, categories=SEGMENTS, high=2, depends=("orders_before",),
    ),
    _define(_SESSION, "pages", _C, "pages and products looked at", "type", _of_both(lambda v: v.pages), high=1e6),
    _define(_SESSION, "products_seen", _C, "products looked at", "type", _of_both(lambda v: v.products_seen), high=1e6),
    _define(_SESSION, "searches", _C, "searches", "type", _of_both(lambda v: v.searches), high=1e6),
    _define(
        _SESSION, "dwell_seconds", _N, "time spent, without pauses of more than ten minutes", "occurred_at",
        _of_both(lambda v: v.dwell_ms / 1000), high=1e9,
    ),
    _define(
        _SESSION, "cart_edits", _C, "products added, removed or changed", "type", _of_both(lambda v: v.cart_edits), high=1e6,
    ),
    _define(_SESSION, "removals", _C, "products removed", "type", _of_both(lambda v: v.removals), high=1e6),
    _define(_SESSION, "cart_views", _C, "looks at the cart", "type", _of_both(lambda v: v.cart_views), high=1e6),
    _define(
        _SESSION, "checkout_depth", _C, "0 nothing, 1 cart looked at, 2 checkout started, 3 a step completed, 4 payment entered",
        "type", _of_both(lambda v: v.checkout_depth, max), high=4,
    ),
    _define(
        _SESSION, "coupon_attempts", _C, "coupons tried", "type",
        _of_both(lambda v: max(v.coupon_attempts, v.coupon_answers)), high=1e6,
    ),
    _define(
        _SESSION, "payment_failures", _C, "payments that failed", "type", _of_both(lambda v: v.payment_failures), high=1e6,
    ),
    _define(
        _SESSION, "exit_intents", _C, "moves to leave the page", "type", _of_both(lambda v: v.exit_intents), high=1e6,
    ),
    _define(
        _SESSION, "returns_to_cart", _C, "returns to this cart after more than ten minutes away", "occurred_at",
        _of_cart(lambda c: c.returns), high=1e6,
    ),
    _define(_CONTEXT, "local_hour", _C, "hour of the last activity, in the shop's zone", "local_hour", _known_or("hour"), high=23),
    _define(
        _CONTEXT, "local_weekday", _C, "weekday of the last activity, 1 is Monday", "local_weekday", _known_or("weekday"),
        low=1, high=7,
    ),
    _define(_CONTEXT, "is_weekend", _F, "the last activity was on a weekend", "is_weekend", _known_or("weekend"), high=1),
    _define(
        _CONTEXT, "device", _K, "what the shopper holds", "device_class", _known_or("device"), categories=DEVICES,
        high=len(DEVICES) - 1,
    ),
    _define(
        _CONTEXT, "traffic_source", _K, "where the visit came from", "traffic_source", _known_or("source"),
        categories=SOURCES, high=len(SOURCES) - 1,
    ),
    _define(_HISTORY, "orders_before", _C, "earlier orders of this person", "order_completed", _orders_before, high=1e6),
    _define(
        _HISTORY, "average_order_value", _N, "average of the earlier orders, in minor units", "amount", _average_order,
    ),
    _define(_HISTORY, "days_since_last_order", _N, "days since the last order", "occurred_at", _days_since_order, high=1e5),
    _define(
        _HISTORY, "price_sensitivity", _N, "share of the earlier orders that used a coupon or discount", "coupon, discount",
        _price_sensitivity, high=1,
    ),
    _define(
        _HISTORY, "value_to_usual", _N, "the cart's value over the average of the earlier orders", "cart_value, amount",
        _value_to_usual, depends=("cart_value", "average_order_value"),
    ),
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
    """All features in order, None where not given; raises Invalid naming each unknown, non-finite or impossible value."""
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
