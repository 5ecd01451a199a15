"""What the platform says came of it beside what is true. Pure; the truth is known because we made it up.

The true effect is the revenue of those who bought because of a message and for no other reason. The platform can only
estimate it, by comparing those it contacted with those it held out; its interval should hold the truth 19 times in 20.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from rich.table import Table

from recoup.demo.catalogue import CURRENCY
from recoup.demo.client import Overview
from recoup.demo.people import Shopper, Truth
from recoup.demo.progress import money


class Verdict(Enum):
    """How an estimate stands to the truth."""

    HOLDS = "the truth lies within the interval"
    MISSES = "the truth lies outside the interval (it does, one time in twenty)"
    OPEN = "no interval: too few shoppers were contacted or held out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The end of the story."""

    overview: Overview
    shoppers: Sequence[Shopper]
    reached: frozenset[int]
    """Numbers of those who got a message."""
    moved: Sequence[Shopper]
    """Those who bought because of one."""

    @property
    def truth(self) -> "Truths":
        carts = [shopper for shopper in self.shoppers if shopper.basket]
        bought = [shopper for shopper in carts if shopper.truth is Truth.BUYS]
        returned = [shopper for shopper in carts if shopper.truth is Truth.RETURNS]
        return Truths(
            carts=len(carts),
            bought=len(bought),
            left=len(carts) - len(bought),
            recovered=len(returned) + len(self.moved),
            revenue=revenue([*bought, *returned, *self.moved]),
            reached=len(self.reached),
            incremental=revenue(self.moved),
        )

    @property
    def verdict(self) -> Verdict:
        estimate = self.overview.incremental_revenue
        if estimate.low is None or estimate.high is None:
            return Verdict.OPEN
        return Verdict.HOLDS if estimate.low <= self.truth.incremental <= estimate.high else Verdict.MISSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Truths:
    """The figures of the overview, as they are; money in minor units."""

    carts: int
    bought: int
    left: int
    recovered: int
    revenue: int
    reached: int
    incremental: int


def revenue(shoppers: Iterable[Shopper]) -> int:
    """What they paid, in minor units."""
    return sum(shopper.value for shopper in shoppers)


def table(summary: Summary) -> Table:
    """What Recoup measured beside what is true."""
    seen, truth = summary.overview, summary.truth
    found = Table(title="What came of it", title_justify="left")
    found.add_column("")
    found.add_column("Recoup says", justify="right")
    found.add_column("the truth", justify="right")
    for name, said, true in (
        ("events", seen.events, None),
        ("carts", seen.carts, truth.carts),
        ("bought at once", seen.converted, truth.bought),
        ("abandoned", seen.abandoned, truth.left),
        ("to be contacted", seen.contacted, None),
        ("messages delivered", seen.delivered, truth.reached),
        ("held out", seen.held_out, None),
        ("recovered", seen.recovered, truth.recovered),
        ("orders", seen.orders, truth.bought + truth.recovered),
    ):
        found.add_row(name, f"{said:,}", "" if true is None else f"{true:,}")
    found.add_row("revenue", money(seen.revenue.amount, seen.revenue.currency), money(truth.revenue, CURRENCY))
    recovered = seen.recovered_revenue
    found.add_row("recovered revenue", money(recovered.amount, recovered.currency), "")
    estimate = seen.incremental_revenue
    for name, amount, true in (
        ("incremental revenue", estimate.amount, money(truth.incremental, CURRENCY)),
        ("  at least", estimate.low, ""),
        ("  at most", estimate.high, ""),
    ):
        found.add_row(name, "unknown" if amount is None else money(amount, estimate.currency), true)
    return found
