"""What every figure means (measures), and how much of the revenue our messages caused (incremental). Pure.

A measure is one aggregate over one source, written once. A person who decides, a page and a job that reports cannot
disagree, because they name the same measure.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct

from recoup.messages.events import DERIVED, CartChange, EventType
from recoup.messages.facts import Outcome


class Source(StrEnum):
    """What a measure is taken over; each is a relation of `store.py` with the store and period already applied."""

    EVENTS = "events"
    ORDERS = "orders"
    """Completed orders, each once by its order id: the newest amount counts, the first moment is when it was placed."""
    DECISIONS = "decisions"
    """Everything that happened to interventions."""
    CONVERSIONS = "conversions"
    """Orders by people about whom a decision had been taken."""


class Measure(NamedTuple):
    """One figure: what it is taken over, its aggregate in SQL, and what it means in words."""

    source: Source
    sql: str
    meaning: str


_OURS: Final = ", ".join(f"'{kind}'" for kind in sorted({*DERIVED, EventType.CLOCK}))

MEASURES: Final[Mapping[str, Measure]] = {
    "events": Measure(Source.EVENTS, f"countIf(type not in ({_OURS}))", "what the shop sent, once each; not its clock"),
    "carts": Measure(Source.EVENTS, f"countIf(cart_change = '{CartChange.OPENED}')", "carts that began to hold items"),
    "converted": Measure(
        Source.EVENTS, f"countIf(cart_change = '{CartChange.CONVERTED}')", "carts ordered before they were abandoned"
    ),
    "abandoned": Measure(
        Source.EVENTS, f"countIf(type = '{EventType.CART_ABANDONED}')", "carts left idle with items in them, unpaid"
    ),
    "recovered": Measure(
        Source.EVENTS,
        f"countIf(type = '{EventType.CART_RECOVERED}')",
        "abandoned carts ordered within the recovery window",
    ),
    "orders": Measure(Source.ORDERS, "count()", "completed orders that were not cancelled, each once by its id"),
    "revenue": Measure(Source.ORDERS, "sum(amount)", "their amounts, less what was paid back"),
    "recovered_revenue": Measure(
        Source.ORDERS, "sumIf(amount, recovered)", "what was not paid back of orders that recovered a cart"
    ),
    "contacted": Measure(
        Source.DECISIONS,
        f"uniqExactIf(intervention_id, kind = 'decided' and outcome = '{Outcome.CONTACT}')",
        "carts whose shopper it was decided to contact",
    ),
    "held_out": Measure(
        Source.DECISIONS,
        f"uniqExactIf(intervention_id, kind = 'decided' and outcome = '{Outcome.HELD_OUT}')",
        "carts whose shopper would have been contacted but belongs to the holdout",
    ),
    "delivered": Measure(
        Source.DECISIONS,
        "uniqExactIf(intervention_id, kind = 'delivered')",
        "interventions of which a message went out",
    ),
    "attributed_revenue": Measure(
        Source.CONVERSIONS,
        "sumIf(amount, attributed)",
        "what was not paid back of orders whose last touch was a message of ours",
    ),
}


def selection(source: Source) -> str:
    """The measures of a source as a SQL select list."""
    return ", ".join(f"{measure.sql} as {name}" for name, measure in MEASURES.items() if measure.source is source)


class Amount(Struct, frozen=True):
    """Money in minor units."""

    amount: int
    currency: str


class Incremental(Struct, frozen=True, kw_only=True):
    """Revenue there would not have been without us, with a 95 % interval.

    `amount`, `low` and `high` are null while an arm has nobody in it: nothing is known yet, which is not the same as 0.
    `sample_ratio_p` says how likely arms this unequal are by chance; below 0.001 the comparison is not to be trusted.
    """

    amount: int | None
    currency: str
    low: int | None
    high: int | None
    contacted_people: int
    held_out_people: int
    per_contacted_person: float | None
    per_held_out_person: float | None
    sample_ratio_p: float | None


class Overview(Struct, frozen=True, kw_only=True):
    """A shop at a glance. Rates are null where there is nothing to divide by."""

    store_id: str
    events: int
    carts: int
    converted: int
    abandoned: int
    recovered: int
    abandonment_rate: float | None
    """Abandoned carts among all carts."""
    recovery_rate: float | None
    """Recovered carts among abandoned ones."""
    orders: int
    revenue: Amount
    other_currencies: list[Amount]
    """Revenue in other currencies than the shop's own; never added to it. The figures below are in its own."""
    contacted: int
    held_out: int
    delivered: int
    recovered_revenue: Amount
    attributed_revenue: Amount
    incremental_revenue: Incremental


def rate(part: int, whole: int) -> float | None:
    """A share, or None of nothing."""
    return part / whole if whole else None


class Period(NamedTuple):
    """From the first moment to before the second, in ms."""

    since: int
    until: int


FOR_EVER: Final = Period(0, 9_999_999_999_999)


class Spenders(Struct, frozen=True):
    """How many people of an arm spent the same amount."""

    outcome: Outcome
    revenue: int
    people: int
    chance: float
    """Sum of their chances of being contacted."""


RESAMPLES: Final = 2_000
SUSPICIOUS: Final = 0.001
"""Arms whose sizes are less likely than this are not to be compared."""
_CHUNK: Final = 250


def incremental(groups: Sequence[Spenders], currency: str) -> Incremental:
    """Intention to treat: everybody decided about counts in the arm of their first decision, reached or not.

    With T people to be contacted and C held out, whose revenues after the first decision are x and y, the estimate is
    T · (mean(x) - mean(y)): the mean effect on a person, times the people it was tried on. The interval is the 2.5th to
    97.5th percentile of that figure over 2,000 bootstrap resamples of both arms (Efron & Tibshirani, An Introduction to
    the Bootstrap, 1993, chapters 13 and 16). A resample draws how often each distinct revenue comes up, from a
    multinomial: the same distribution as drawing people one by one, and a hundred times cheaper. Chance is seeded with
    a digest of the data, so that the same data give the same interval.
    """
    contact = _arm(groups, Outcome.CONTACT)
    held_out = _arm(groups, Outcome.HELD_OUT)
    known = contact.people > 0 and held_out.people > 0
    low, high = _interval(contact, held_out) if known else (0.0, 0.0)
    return Incremental(
        amount=round(contact.people * (contact.mean - held_out.mean)) if known else None,
        currency=currency,
        low=round(low) if known else None,
        high=round(high) if known else None,
        contacted_people=contact.people,
        held_out_people=held_out.people,
        per_contacted_person=contact.mean if contact.people else None,
        per_held_out_person=held_out.mean if held_out.people else None,
        sample_ratio_p=sample_ratio_p(contact.people, held_out.people, math.fsum(group.chance for group in groups)),
    )


class _Arm(NamedTuple):
    values: np.ndarray[tuple[int], np.dtype[np.float64]]
    counts: np.ndarray[tuple[int], np.dtype[np.int64]]

    @property
    def people(self) -> int:
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        return float(self.values @ self.counts) / self.people if self.people else 0.0


def _arm(groups: Iterable[Spenders], outcome: Outcome) -> _Arm:
    """An arm's distinct revenues, ascending, and how many people have each."""
    found: dict[int, int] = {}
    for group in groups:
        if group.outcome is outcome:
            found[group.revenue] = found.get(group.revenue, 0) + group.people
    values = sorted(found)
    return _Arm(np.array(values, np.float64), np.array([found[value] for value in values], np.int64))


def _interval(contact: _Arm, held_out: _Arm) -> tuple[float, float]:
    arms = [[*map(list, zip(arm.values.tolist(), arm.counts.tolist(), strict=True))] for arm in (contact, held_out)]
    chance = np.random.default_rng(int.from_bytes(blake2b(msgspec.json.encode(arms), digest_size=16).digest()))
    effects = contact.people * (_means(contact, chance) - _means(held_out, chance))
    low, high = np.percentile(effects, [2.5, 97.5])
    return float(low), float(high)


def _means(arm: _Arm, chance: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The arm's mean in every resample; in chunks, so that memory does not grow with the number of orders."""
    shares = arm.counts / arm.people
    chunks = [chance.multinomial(arm.people, shares, _CHUNK) @ arm.values for _ in range(RESAMPLES // _CHUNK)]
    return np.concatenate(chunks) / arm.people


def sample_ratio_p(contacted: int, held_out: int, expected: float) -> float | None:
    """Chi-square test (one degree of freedom) of the arms' sizes against the chances people were assigned with.

    `expected` is how many should have been contacted. None where one arm had no chance of anybody.
    """
    people = contacted + held_out
    if not 0 < expected < people:
        return None
    statistic = (contacted - expected) ** 2 * (1 / expected + 1 / (people - expected))
    return math.erfc(math.sqrt(statistic / 2))


class FunnelDay(Struct, frozen=True):
    """Sessions of a day in which each step happened, whatever came before it."""

    day: str
    viewed: int
    added: int
    checkout: int
    ordered: int


class Funnel(Struct, frozen=True):
    """From looking to buying, by session."""

    total: FunnelDay
    conversion_rate: float | None
    """Sessions with an order among sessions that looked at anything."""
    days: list[FunnelDay]


class RevenueDay(Struct, frozen=True):
    day: str
    orders: int
    amount: int


class RevenueChannel(Struct, frozen=True):
    channel: str
    """Where the visitor of the order came from."""
    orders: int
    amount: int


class Revenue(Struct, frozen=True, kw_only=True):
    """Orders in the shop's own currency, by day and by channel; the others beside it."""

    total: Amount
    orders: int
    other_currencies: list[Amount]
    days: list[RevenueDay]
    channels: list[RevenueChannel]


class Live(Struct, frozen=True, kw_only=True):
    """The last minutes on the store's clock."""

    as_of: datetime | None
    """The store's time: ours, or the newest of its events where the store runs on event time."""
    events_per_minute: list[int]
    """Of the last 15 minutes, oldest first."""
    open_carts: int
    value_at_risk: Amount
    """In carts abandoned within the recovery window and not ordered."""
    abandoned_waiting: int
