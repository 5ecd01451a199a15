"""The detector on made-up days: it sees an outage and a spike, and keeps quiet otherwise."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from recoup.services.monitoring.anomalies.domain.anomaly import Anomaly, follow
from recoup.services.monitoring.anomalies.domain.detector import BUCKET, Past, Verdict, habit, judge

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = 288


def shoppers(days: int, *, seed: int, peak: float = 120) -> np.ndarray:
    """Events in 5 minutes over whole days: few at night, most in the evening, with chance."""
    hours = np.arange(days * DAY) % DAY / 12
    rate = peak * (0.15 + 0.85 * np.clip(np.sin((hours - 7) / 24 * 2 * np.pi), 0, 1))
    return np.random.default_rng(seed).poisson(rate).astype(float)


def verdicts(counts: Iterable[float], metric: str = "events") -> Iterator[Verdict]:
    """Judged bucket by bucket, as they would come in, with nothing known before."""
    values = {START + number * BUCKET: float(count) for number, count in enumerate(counts)}
    scores: dict[datetime, float] = {}
    habits: float | None = None
    for number, bucket in enumerate(values):
        if number % 12 == 0:
            habits = habit(list(scores.values())[-14 * DAY :])
        (verdict,) = judge(metric, [bucket], Past(START, values, scores, habits))
        if verdict.score is not None:
            scores[bucket] = verdict.score
        yield verdict


def found(counts: Iterable[float], metric: str = "events") -> list[Anomaly]:
    return follow("shop", metric, None, verdicts(counts, metric), START)


def at(day: int, hour: float) -> int:
    return int(day * DAY + hour * 12)


@pytest.mark.parametrize("days", [1, 7])
def test_plain_days_hold_no_anomaly(days: int) -> None:
    assert found(shoppers(days, seed=1)) == []


@pytest.mark.parametrize("before", [0, 6])
def test_an_outage_is_one_anomaly_that_begins_and_ends_with_it(before: int) -> None:
    counts = shoppers(before + 1, seed=2)
    counts[at(before, 14) : at(before, 15)] = 0

    (outage,) = found(counts)
    assert outage.started_at == START + timedelta(days=before, hours=14)
    assert outage.ended_at == START + timedelta(days=before, hours=15)
    assert outage.seen == 0
    assert outage.expected_low is not None
    assert outage.expected_low > 20


@pytest.mark.parametrize("before", [0, 6])
def test_a_spike_is_found_with_what_was_expected_instead(before: int) -> None:
    counts = shoppers(before + 1, seed=3)
    counts[at(before, 11) : at(before, 11.25)] *= 4

    (spike,) = found(counts)
    assert spike.started_at == START + timedelta(days=before, hours=11)
    assert spike.score is not None
    assert spike.score > 7
    assert spike.expected_high is not None
    assert spike.seen is not None
    assert spike.seen > spike.expected_high
    assert "expected" in spike.reasons[0]


def test_what_is_usual_at_night_is_unusual_at_noon_once_days_are_known() -> None:
    counts = shoppers(7, seed=4)
    counts[at(6, 12) : at(6, 13)] = counts[at(6, 2) : at(6, 3)]

    assert [anomaly.started_at for anomaly in found(counts)] == [START + timedelta(days=6, hours=12)]


def test_a_quiet_shop_has_no_news() -> None:
    assert found(shoppers(7, seed=5, peak=0.5)) == []


def test_a_series_that_is_often_wild_is_judged_by_its_own_habits() -> None:
    counts = shoppers(7, seed=6)
    counts[::40] *= 3

    wild = found(counts[: at(7, 0)])
    assert [anomaly for anomaly in wild if anomaly.started_at >= START + timedelta(days=3)] == []
