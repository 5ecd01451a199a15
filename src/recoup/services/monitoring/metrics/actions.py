"""Gathering every service's metrics: in parallel, a slow one does not hold up the others."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from recoup.kit.clock import Clock, stopwatch
from recoup.kit.errors import Unavailable
from recoup.kit.metrics import Counter, Gauge, parse
from recoup.kit.peers import Peers
from recoup.kit.telemetry import logger
from recoup.services.monitoring.metrics.domain import Business, condensed
from recoup.services.monitoring.metrics.store import Store
from recoup.services.monitoring.status.domain import ProcessUse, from_metrics

log = logger(__name__)

FAILED = Counter("metrics_gather_failures_total", "Services that did not give their metrics", ["process"])
ABANDONMENT = Gauge("cart_abandonment_rate", "Share of decided carts that were abandoned, last day, all stores")
CONVERSION = Gauge("conversion_rate", "Share of opened carts that were bought, last day, all stores")
DELIVERY = Gauge("intervention_delivery_rate", "Share of tried messages that were delivered, last day, all stores")
RECOVERED = Gauge(
    "revenue_recovered", "Orders after a message of ours, minor units, last day, all stores", ["currency"]
)


@dataclass(slots=True)
class Gatherer:
    """Holds the last two gatherings; the newest is what services say of themselves now."""

    store: Store
    peers: Peers
    clock: Clock
    patience: timedelta
    latest: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    _before: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    _seconds: float = 0.0
    _at: float = 0.0

    async def gather(self) -> None:
        """Asks every service once."""
        names = list(self.peers.addresses)
        found = await asyncio.gather(*(self._ask(name) for name in names))
        now = stopwatch()
        self._before, self._seconds, self._at = self.latest, now - self._at, now
        self.latest = {name: metrics for name, metrics in zip(names, found, strict=True) if metrics is not None}

    async def keep(self) -> None:
        """Writes what was gathered last into the history."""
        await self.store.keep(self.clock.now(), self.latest)

    def uses(self) -> list[ProcessUse]:
        """What each service uses, by what it exports; nulls for one that did not answer."""
        return [
            from_metrics(name, self.latest.get(name, {}), self._before.get(name), self._seconds)
            for name in self.peers.addresses
        ]

    async def _ask(self, name: str) -> dict[str, float] | None:
        try:
            answer = await self.peers.probe(name, "/metrics", patience=self.patience)
            # Some thousand lines take milliseconds of Python, which requests need not wait for.
            return await asyncio.to_thread(_read, answer.body)
        except (Unavailable, ValueError) as error:
            FAILED.labels(name).inc()
            log.info("no metrics", process=name, why=str(error))
            return None


def _read(body: bytes) -> dict[str, float]:
    return condensed((sample.name, sample.value) for sample in parse(body.decode()))


def export(figures: Business) -> None:
    """Sets the business gauges; a rate without a base is not a number."""
    nothing = float("nan")
    ABANDONMENT.set(nothing if figures.cart_abandonment_rate is None else figures.cart_abandonment_rate)
    CONVERSION.set(nothing if figures.conversion_rate is None else figures.conversion_rate)
    DELIVERY.set(nothing if figures.intervention_delivery_rate is None else figures.intervention_delivery_rate)
    for currency, amount in figures.revenue_recovered.items():
        RECOVERED.labels(currency).set(amount)
