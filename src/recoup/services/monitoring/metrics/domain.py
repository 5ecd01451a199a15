"""What is kept of what services export, and the business' figures. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

MOST_SERIES: Final = 300
"""Metrics kept of one service; a service that exports more has lost its way."""
_LEFT_OUT: Final = ("_bucket", "_created")
_FOREIGN: Final = ("python_",)


class Point(Struct, frozen=True):
    """A metric's value at a moment."""

    at: datetime
    value: float


class Series(Struct, frozen=True, kw_only=True):
    """One metric of one service over time; label sets are summed."""

    service: str
    metric: str
    points: list[Point]


def condensed(samples: Iterable[tuple[str, float]]) -> dict[str, float]:
    """One figure a metric, over all its label sets; without histogram buckets and the interpreter's own."""
    found: dict[str, float] = {}
    for name, value in samples:
        if name.endswith(_LEFT_OUT) or name.startswith(_FOREIGN):
            continue
        if name in found or len(found) < MOST_SERIES:
            found[name] = found.get(name, 0.0) + value
    return found


class Business(Struct, frozen=True, kw_only=True):
    """A day of a store, or of all, by their own clocks. A rate is null while there is nothing to divide by."""

    cart_abandonment_rate: float | None
    """Of the carts whose fate was decided: abandoned, not bought."""
    conversion_rate: float | None
    """Of the carts that were opened: bought, recovered ones included."""
    intervention_delivery_rate: float | None
    """Of the messages that were tried: delivered."""
    revenue_recovered: dict[str, int]
    """By currency, in minor units: orders after a message of ours."""


def business(sums: Mapping[str, float]) -> Business:
    """The figures from a day's sums by metric, as the anomalies feature counts them."""
    abandoned, converted = sums.get("carts_abandoned", 0.0), sums.get("carts_converted", 0.0)
    bought = converted + sums.get("carts_recovered", 0.0)
    delivered, failed = sums.get("delivered", 0.0), sums.get("failed", 0.0)
    prefix = "revenue_recovered:"
    return Business(
        cart_abandonment_rate=_share(abandoned, abandoned + converted),
        conversion_rate=_share(bought, sums.get("carts_opened", 0.0)),
        intervention_delivery_rate=_share(delivered, delivered + failed),
        revenue_recovered={
            name.removeprefix(prefix): round(value) for name, value in sums.items() if name.startswith(prefix)
        },
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
