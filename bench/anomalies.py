"""How well the anomaly detector finds what people labelled: precision and recall on the Numenta benchmark's series.

Needs the shared data folder, by RECOUP_SHARED. Not NAB's own score: a labelled window counts as found when an anomaly
overlaps it; an anomaly that overlaps none is a false alarm, unless it lies in the series' first 15 % (at most 750
points), which NAB gives every detector to learn from. The baseline in the same run is the plain rule the detector
starts from: a modified z-score over 3.5 against the two hours before.

The detector is made for counts of events in 5 minutes. Most of these series are no counts but loads and temperatures,
so each is first put on such a scale: divided by a hundredth of the median of its first 15 %.
"""

import gzip
import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from recoup.services.monitoring.anomalies.domain.anomaly import follow
from recoup.services.monitoring.anomalies.domain.detector import (
    BUCKET,
    USUAL_SCORE,
    Past,
    Verdict,
    expect,
    habit,
    judge,
)

SHARED = Path(os.environ.get("RECOUP_SHARED", "/nowhere")) / "data/nab"
START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = 288
Span = tuple[datetime, datetime]


def main() -> None:
    """Prints a line a folder of series, and the whole."""
    if not SHARED.exists():
        print("skipped: needs the shared data folder, by RECOUP_SHARED")
        return
    windows = json.loads((SHARED / "labels/combined_windows.json").read_text())
    sums = {"detector": [0, 0, 0, 0], "baseline": [0, 0, 0, 0]}
    days = 0.0
    for file in sorted(SHARED.glob("data/*/*.csv.gz")):
        times, values = series(file)
        labelled = [(moment(begin), moment(end)) for begin, end in windows[f"{file.parent.name}/{file.stem}"]]
        learned = times[min(len(times) * 15 // 100, 750)]
        days += (times[-1] - times[0]) / timedelta(days=1)
        for name, found in (("detector", detected(values)), ("baseline", naive(values))):
            spans = [(times[begin], times[end]) for begin, end in found]
            sums[name] = [
                total + count for total, count in zip(sums[name], counted(spans, labelled, learned), strict=True)
            ]
    for name, (hit, windows_, right, alarms) in sums.items():
        precision = right / alarms if alarms else float("nan")
        print(
            f"{name}: recall {hit}/{windows_} windows = {hit / windows_:.2f}, precision {right}/{alarms} alarms = "
            f"{precision:.2f}, false alarms a day and series {(alarms - right) / days:.2f}"
        )


def series(file: Path) -> tuple[list[datetime], list[float]]:
    with gzip.open(file, "rt") as text:
        rows = [line.strip().split(",") for line in text][1:]
    return [moment(at) for at, _ in rows], [float(value) for _, value in rows]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def detected(values: Sequence[float]) -> list[tuple[int, int]]:
    """Indices where anomalies begin and end; points are taken for consecutive buckets of 5 minutes."""
    anomalies = follow("nab", "value", None, verdicts(scaled(values)), START)
    last = len(values) - 1
    return [
        (int((one.started_at - START) / BUCKET), min(last, int((one.last_seen_at - START) / BUCKET)))
        for one in anomalies
    ]


def scaled(values: Sequence[float]) -> list[float]:
    unit = abs(median(values[: max(1, len(values) * 15 // 100)])) / 100 or 1.0
    return [max(0.0, value / unit) for value in values]


def verdicts(values: Sequence[float]) -> Iterator[Verdict]:
    known = {START + number * BUCKET: value for number, value in enumerate(values)}
    scores: dict[datetime, float] = {}
    habits: float | None = None
    for number, bucket in enumerate(known):
        if number % 12 == 0:
            habits = habit(list(scores.values())[-14 * DAY :])
        (verdict,) = judge("value", [bucket], Past(START, known, scores, habits))
        if verdict.score is not None:
            scores[bucket] = verdict.score
        yield verdict


def naive(values: Sequence[float]) -> list[tuple[int, int]]:
    """The rule without seasons, habits and persistence; neighbours within an hour are one alarm."""
    known = {START + number * BUCKET: value for number, value in enumerate(scaled(values))}
    found: list[tuple[int, int]] = []
    for number, bucket in enumerate(known):
        expected = expect("value", bucket, Past(bucket - 24 * BUCKET, known, {}, None)) if number >= 24 else None
        if expected is None or abs(expected.score(known[bucket])) <= USUAL_SCORE:
            continue
        if found and number - found[-1][1] <= 12:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def counted(spans: Sequence[Span], labelled: Sequence[Span], learned: datetime) -> tuple[int, int, int, int]:
    """Windows found, windows, right alarms, alarms."""
    hit = sum(any(overlap(span, window) for span in spans) for window in labelled)
    right = [span for span in spans if any(overlap(span, window) for window in labelled)]
    wrong = [span for span in spans if span not in right and span[0] >= learned]
    return hit, len(labelled), len(right), len(right) + len(wrong)


def overlap(one: Span, other: Span) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


if __name__ == "__main__":
    main()
