"""Prometheus' metric types for features that declare their own, and its text read back. Chooses no names."""

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Counter", "Gauge", "Histogram", "Sample", "parse"]


class Sample(NamedTuple):
    """One value of one time series; `kind` is counter, gauge, histogram, summary or unknown."""

    name: str
    kind: str
    labels: dict[str, str]
    value: float


def parse(text: str) -> Iterator[Sample]:
    """The samples of a Prometheus text, in its order; raises ValueError for anything else."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield Sample(sample.name, family.type, sample.labels, sample.value)
