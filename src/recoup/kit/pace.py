"""How fast something goes and how long its parts take, over the recent past. Knows nothing of what that is."""

from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from recoup.kit.clock import stopwatch

_RECENT: Final = 200
_WINDOW_SECONDS: Final = 10


def _unobserved(stage: str, seconds: float) -> None:
    """Where no metric is kept."""


@dataclass(slots=True)
class Pace:
    """Counts, rates and the latest durations by stage; `observe` is told of each duration, too."""

    observe: Callable[[str, float], None] = _unobserved
    events: int = 0
    batches: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """By stage, since the start."""
    _stages: dict[str, deque[float]] = field(default_factory=dict)
    _window: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def count(self, events: int) -> None:
        """A batch of so many is done."""
        self.events += events
        self.batches += 1
        self._window.append((stopwatch(), events))

    def note(self, stage: str, seconds: float) -> None:
        """A stage took so long."""
        times = self._stages.get(stage)
        if times is None:
            times = self._stages[stage] = deque(maxlen=_RECENT)
        times.append(seconds * 1000)
        self.observe(stage, seconds)

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Times what is done inside, or counts that it failed."""
        started, done = stopwatch(), False
        try:
            yield
            done = True
        finally:
            if done:
                self.note(name, stopwatch() - started)
            else:
                self.failures[name] += 1

    def per_second(self) -> float:
        """Events a second, over the last ten seconds."""
        recent = [(at, count) for at, count in self._window if stopwatch() - at < _WINDOW_SECONDS]
        span = max(1.0, stopwatch() - recent[0][0]) if recent else 1.0
        return sum(count for _, count in recent) / span

    def milliseconds(self, percent: int) -> Mapping[str, float]:
        """What so many percent of the latest durations did not exceed, by stage; stages that only failed are 0."""
        names = dict.fromkeys([*self._stages, *self.failures])
        return {name: percentile(self._stages.get(name, ()), percent) for name in names}


def percentile(values: "deque[float] | tuple[float, ...]", percent: int) -> float:
    """The least value that so many percent of the values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0
