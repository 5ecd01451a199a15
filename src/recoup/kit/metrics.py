"""Prometheus metrics, declared where they are counted. Every one has help text, a unit in its name and bounded labels."""

from prometheus_client import Counter, Gauge, Histogram

__all__ = ["Counter", "Gauge", "Histogram"]
