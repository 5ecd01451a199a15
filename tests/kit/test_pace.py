"""Rates and durations of the recent past."""

import pytest

from recoup.kit.pace import Pace, percentile


def test_a_stage_that_fails_is_counted_and_not_timed() -> None:
    told: list[str] = []
    pace = Pace(lambda stage, _: told.append(stage))
    with pace.stage("read"):
        pass
    with pytest.raises(ZeroDivisionError), pace.stage("commit"):
        raise ZeroDivisionError

    assert told == ["read"]
    assert pace.failures == {"commit": 1}
    assert list(pace.milliseconds(50)) == ["read", "commit"]


def test_events_are_counted_by_batches() -> None:
    pace = Pace()
    pace.count(30)
    pace.count(12)

    assert (pace.events, pace.batches) == (42, 2)
    assert pace.per_second() > 0


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [((), 50, 0.0), ((3.0,), 99, 3.0), ((1.0, 2.0, 3.0, 4.0), 50, 3.0), (tuple(map(float, range(100))), 99, 99.0)],
)
def test_a_percentile_is_one_of_the_values(values: tuple[float, ...], percent: int, expected: float) -> None:
    assert percentile(values, percent) == expected
