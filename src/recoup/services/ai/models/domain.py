"""What a model is to those who use it, the prior for the time before there are outcomes, and a model's life. Pure."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

Vector = Mapping[str, float | None]


class Contribution(Struct, frozen=True):
    """What one feature did to a score, in log-odds: above zero it raised the chance."""

    feature: str
    value: float | None
    weight: float


class Scored(Struct, frozen=True):
    """A model's answer for one cart."""

    probability: float
    confidence: float
    contributions: Sequence[Contribution]
    """Largest first; together with the model's base they add up to the score."""


class Scorer(Protocol):
    """A model that can be asked. Pure for the caller: same values, same answer."""

    @property
    def version(self) -> str: ...

    def probabilities(self, vectors: Sequence[Vector]) -> list[float]: ...

    def explain(self, vectors: Sequence[Vector]) -> list[Scored]: ...


class Status(StrEnum):
    """Where a model is in its life. There is at most one live model a store; without one the prior serves."""

    CANDIDATE = "candidate"
    LIVE = "live"
    RETIRED = "retired"
    REFUSED = "refused"


class Metrics(Struct, frozen=True, kw_only=True):
    """How well a model ranks and how honest its probabilities are, on rows it never saw."""

    rows: int
    positives: int
    auc: float
    average_precision: float
    log_loss: float
    calibration_error: float


class Model(Struct, frozen=True, kw_only=True):
    """A trained model as the registry knows it."""

    version: str
    store_id: str
    status: Status
    created_at: datetime
    artifact_digest: str
    training_digest: str
    features_digest: str
    features: list[str]
    metrics: Metrics
    champion: Metrics | None = None
    """The model then live, on the same rows."""
    champion_version: str = ""
    verdict: str = ""
    """Why it was promoted or refused, in one sentence."""


class Term(Struct, frozen=True):
    """One term of the prior: `weight` times how far `scale(value)` lies from the ordinary cart's `usual`."""

    feature: str
    weight: float
    usual: float
    why: str
    logarithmic: bool = False
    cap: float = math.inf

    def weigh(self, value: float | None) -> float:
        """A missing value says nothing: it counts as usual."""
        if value is None:
            return 0.0
        scaled = math.log1p(value) if self.logarithmic else value
        return self.weight * (min(scaled, self.cap) - self.usual)


BASE_RATE: Final = 0.35
"""What an ordinary abandoned cart is given: a decision, not a finding.

Published studies of carts agree that some 70 of 100 are not paid during the visit (their averages lie between 67 and
70); in the three recorded hours of a real shop that we replay 53 of 118 are not. How many of those left would be paid
later without a message nobody publishes, as every shop that counts also writes. So the prior cannot know the rate. It
can choose which mistake a new store makes: below the default threshold of 0.3 almost nobody is contacted and nothing
is ever learned; above it ordinary carts are, within the caps, against a holdout, at the price of a message. Hence a
round number that keeps an ordinary cart above the threshold and one left in a hurry below it. The confidence says that
it is no measurement, and a trained model replaces it."""
PRIOR_CONFIDENCE: Final = 0.2
TERMS: Final = (
    Term("checkout_depth", 0.30, 0.0, "each step towards paying is a step most lookers never take"),
    Term("orders_before", 0.50, 0.0, "people who bought here before do so again", logarithmic=True, cap=2.5),
    Term("cart_edits", 0.15, 1.0, "whoever arranges a cart means it", cap=5.0),
    Term("dwell_seconds", 0.10, 2.0, "time spent is interest", logarithmic=True, cap=8.0),
    Term("returns_to_cart", 0.35, 0.0, "coming back once makes coming back again likely", cap=3.0),
    Term("removals", -0.20, 0.0, "taking things out is second thoughts", cap=3.0),
    Term("payment_failures", 0.30, 0.0, "a failed payment stopped someone who wanted to pay", cap=2.0),
    Term("coupon_attempts", 0.15, 0.0, "looking for a coupon is wanting to buy, for less", cap=3.0),
    Term("exit_intents", -0.25, 0.0, "moving to leave is a weak no", cap=2.0),
    Term("value_to_usual", -0.30, 1.0, "a cart far above what one usually spends is harder to decide on", cap=5.0),
    Term("days_since_last_order", -0.15, 3.4, "the longer ago, the weaker the habit", logarithmic=True, cap=6.0),
)  # fmt: skip
"""The prior's coefficients are set by hand, in log-odds, small enough that no single one decides.

What is usual is the least a cart can be, as shops that send only cart events show no more: one thing added, a few
seconds in the shop, no step of the checkout."""


class Prior:
    """A hand-set logistic model for stores without enough outcomes; says so by its confidence."""

    version: str = "prior-1"

    def probabilities(self, vectors: Sequence[Vector]) -> list[float]:
        return [scored.probability for scored in self.explain(vectors)]

    def explain(self, vectors: Sequence[Vector]) -> list[Scored]:
        return [self._score(vector) for vector in vectors]

    def _score(self, vector: Vector) -> Scored:
        found = [
            Contribution(term.feature, vector.get(term.feature), term.weigh(vector.get(term.feature))) for term in TERMS
        ]
        known = sum(vector.get(term.feature) is not None for term in TERMS) / len(TERMS)
        return Scored(
            sigmoid(logit(BASE_RATE) + sum(one.weight for one in found)), PRIOR_CONFIDENCE * known, by_size(found)
        )


def by_size(found: Sequence[Contribution]) -> list[Contribution]:
    """Largest effect first."""
    return sorted(found, key=lambda one: -abs(one.weight))


def sigmoid(log_odds: float) -> float:
    return 1 / (1 + math.exp(-max(-40.0, min(40.0, log_odds))))


def logit(probability: float) -> float:
    bounded = min(max(probability, 1e-9), 1 - 1e-9)
    return math.log(bounded / (1 - bounded))
