"""Judges a store's figures bucket by bucket: how far from what was to be expected, and when that is worth a word.

The score is the modified z-score of Iglewicz and Hoaglin (How to Detect and Handle Outliers, 1993): distance from the
median in units of 1.4826 times the median absolute deviation, unusual beyond 3.5. Three things are added:

- Counts are compared on Anscombe's scale, 2√(x + ⅜), where the chance in a count has deviation 1 whatever its size;
  nothing is expected more exactly than that, so three orders instead of one are no event.
- Once four days are known, a bucket is compared with the same time of day (and its neighbours) on up to fourteen days
  before; until then with the two hours before it, which know nothing of mornings: twice the usual score is asked for.
- A series that is often wild is judged by its own habits: the score must also exceed what 99.9 % of its scores of the
  last fortnight did.

One bucket alone is only an anomaly when its score is twice the needed one; otherwise two in a row, on the same side.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import sqrt
from statistics import median
from typing import Final

from msgspec import Struct

BUCKET: Final = timedelta(minutes=5)
USUAL_SCORE: Final = 3.5
HABIT: Final = 0.999
DAYS_COMPARED: Final = 14
_DAY: Final = timedelta(days=1)
_RECENT: Final = 24  # buckets
_FEWEST: Final = 12  # references that can be compared with
_FEWEST_DAYS: Final = 4
_HABITS_FROM: Final = 288  # scores: a day of them
_TO_DEVIATION: Final = 1.4826
_COUNT_DEVIATION: Final = 1.0
_MONEY_DEVIATION: Final = 1.5  # the chance in the number of orders and in their sizes


class Expectation(Struct, frozen=True):
    """What a figure was to be: on its scale, and where it comes from."""

    middle: float
    deviation: float
    unit: float
    usual: float
    """The least score that counts as unusual; more is asked where the comparison is coarse."""
    basis: str

    def score(self, value: float) -> float:
        return (_scaled(value / self.unit) - self.middle) / self.deviation

    def bounds(self, needed: float) -> tuple[float, float]:
        """The figures that would not have been unusual."""
        low, high = self.middle - needed * self.deviation, self.middle + needed * self.deviation
        return _unscaled(low) * self.unit, _unscaled(high) * self.unit


class Verdict(Struct, frozen=True, kw_only=True):
    """One bucket of one figure, judged. `score` is None where nothing is known to compare with."""

    bucket: datetime
    since: datetime
    """Where it began to be unusual: this bucket or the one before."""
    seen: float
    score: float | None
    low: float
    high: float
    unusual: bool
    reason: str


class Past(Struct, frozen=True):
    """What is known of one figure: values and scores by bucket; a bucket since `first` that is missing counts zero."""

    first: datetime
    values: Mapping[datetime, float]
    scores: Mapping[datetime, float]
    habit: float | None
    """The score that 99.9 % of the last fortnight's stayed under; None before there is a day of them."""


def floor(moment: datetime) -> datetime:
    """The bucket a moment falls into."""
    seconds = BUCKET.total_seconds()
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, moment.tzinfo)


def needed_past(buckets: Sequence[datetime]) -> set[datetime]:
    """Every bucket that judging these looks at."""
    found: set[datetime] = set()
    for bucket in buckets:
        found.add(bucket)
        found.update(_recent(bucket))
        for days in range(1, DAYS_COMPARED + 1):
            found.update(_around(bucket - days * _DAY))
    return found


def habit(scores: Sequence[float]) -> float | None:
    """The score nearly all of these stay under; None for less than a day of them."""
    if len(scores) < _HABITS_FROM:
        return None
    return sorted(abs(score) for score in scores)[int(HABIT * (len(scores) - 1))]


def judge(metric: str, buckets: Sequence[datetime], past: Past) -> Iterator[Verdict]:
    """Verdicts on consecutive buckets, oldest first."""
    scores = dict(past.scores)
    known = Past(past.first, past.values, scores, past.habit)
    for bucket in buckets:
        seen = past.values.get(bucket, 0.0)
        expected = expect(metric, bucket, known)
        if expected is None:
            yield Verdict(bucket=bucket, since=bucket, seen=seen, score=None, low=0, high=0, unusual=False, reason="")
            continue
        scores[bucket] = score = expected.score(seen)
        needed = max(expected.usual, past.habit or 0.0)
        before = scores.get(bucket - BUCKET, 0.0)
        repeated = abs(score) > needed and abs(before) > needed and (score > 0) == (before > 0)
        low, high = expected.bounds(needed)
        yield Verdict(
            bucket=bucket,
            since=bucket - BUCKET if repeated else bucket,
            seen=seen,
            score=score,
            low=low,
            high=high,
            unusual=repeated or abs(score) > 2 * needed,
            reason=f"{expected.basis}; the score {score:.1f} is beyond ±{needed:.1f}",
        )


def expect(metric: str, bucket: datetime, past: Past) -> Expectation | None:
    """What a bucket was to hold, from the same time on days before or else from the hours before."""
    days = [bucket - number * _DAY for number in range(1, DAYS_COMPARED + 1) if bucket - number * _DAY >= past.first]
    if len(days) >= _FEWEST_DAYS:
        references = [past.values.get(near, 0.0) for day in days for near in _around(day) if near >= past.first]
        return _expectation(metric, references, USUAL_SCORE, f"compared with the same time on {len(days)} days")
    recent = [near for near in _recent(bucket) if near >= past.first]
    calm = [near for near in recent if abs(past.scores.get(near, 0.0)) <= USUAL_SCORE]
    chosen = calm if len(calm) >= _FEWEST else recent
    if len(chosen) < _FEWEST:
        return None
    references = [past.values.get(near, 0.0) for near in chosen]
    return _expectation(metric, references, 2 * USUAL_SCORE, "compared with the two hours before")


def _expectation(metric: str, references: Sequence[float], usual: float, basis: str) -> Expectation:
    is_money = metric == "revenue"
    sizes = [value for value in references if value > 0] if is_money else []
    unit = median(sizes) if sizes else 1.0
    scaled = [_scaled(value / unit) for value in references]
    middle = median(scaled)
    spread = _TO_DEVIATION * median(abs(value - middle) for value in scaled)
    deviation = max(spread, _MONEY_DEVIATION if is_money else _COUNT_DEVIATION)
    return Expectation(middle, deviation, unit, usual, basis)


def _recent(bucket: datetime) -> list[datetime]:
    return [bucket - number * BUCKET for number in range(1, _RECENT + 1)]


def _around(bucket: datetime) -> tuple[datetime, datetime, datetime]:
    return bucket - BUCKET, bucket, bucket + BUCKET


def _scaled(value: float) -> float:
    return 2 * sqrt(max(value, 0.0) + 0.375)


def _unscaled(value: float) -> float:
    return max(0.0, (max(value, 0.0) / 2) ** 2 - 0.375)
