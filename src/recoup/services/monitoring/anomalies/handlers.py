"""Rows and messages arrived: count them, each once, and say at once what is a risk."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from recoup.kit.clock import Clock
from recoup.kit.metrics import Counter
from recoup.kit.service import Batch, Publish
from recoup.messages.facts import ConversionRecorded, InterventionEvent, RiskSignal
from recoup.messages.topics import EVENTS_ENRICHED, RISK_SIGNALS
from recoup.services.monitoring.anomalies.domain import counts, risks
from recoup.services.monitoring.anomalies.domain.detector import floor
from recoup.services.monitoring.anomalies.store import Store

SIGNALS = Counter("risk_signals_total", "Risks that were noticed", ["kind"])
_COUNTED_KINDS = frozenset({"delivered", "failed"})


@dataclass(slots=True)
class Handlers:
    """The limits are in units of a currency, and pieces a minute."""

    store: Store
    publish: Publish
    clock: Clock
    cart_value_limit: int
    adds_a_minute_limit: int
    _pace: risks.Pace = field(default_factory=risks.Pace)

    async def on_enriched(self, batch: Batch) -> None:
        """Counts the rows that were not counted before."""
        known = await self.store.read_until(EVENTS_ENRICHED.name)
        fresh = [record.offset > known.get(record.partition, -1) for record in batch.records]
        if not any(fresh):
            return
        partitions = batch.spread([record.partition for record in batch.records])
        rows = counts.rows(batch.table, partitions, batch.spread(fresh))
        additions = counts.added(rows)
        signals = self._signals(counts.big_carts(rows, self.cart_value_limit), additions)
        # Announced before it is written down: a crash between the two repeats the signal under the same id.
        noticed = await self._announce(signals)
        await self.store.count(
            EVENTS_ENRICHED.name,
            {
                record.partition: (known.get(record.partition), record.offset)
                for record, is_fresh in zip(batch.records, fresh, strict=True)
                if is_fresh
            },
            counts.counted(rows),
            counts.clocks(rows),
            [risks.as_anomaly(signal, self.clock.now()) for signal in noticed],
        )
        self._pace.remember(additions)

    async def on_interventions(self, events: Sequence[InterventionEvent]) -> None:
        """Counts what was delivered and what could not be."""
        await self.store.count_facts(
            {
                event.id: (event.store_id, event.kind, floor(event.occurred_at), 1.0)
                for event in events
                if event.kind in _COUNTED_KINDS
            },
            self.clock.now(),
        )

    async def on_conversions(self, conversions: Sequence[ConversionRecorded]) -> None:
        """Counts what messages of ours brought back."""
        await self.store.count_facts(
            {
                order.id: (order.store_id, f"revenue_recovered:{order.currency}", _at(order), float(order.amount))
                for order in conversions
                if order.attributed
            },
            self.clock.now(),
        )

    def _signals(self, carts: Sequence[counts.BigCart], additions: Sequence[counts.Adding]) -> list[RiskSignal]:
        hasty = self._pace.over(additions, self.adds_a_minute_limit)
        return [
            *(risks.of_big_cart(cart, self.cart_value_limit) for cart in carts),
            *(risks.of_rapid_adds(adding, self.adds_a_minute_limit) for adding in hasty),
        ]

    async def _announce(self, signals: Sequence[RiskSignal]) -> list[RiskSignal]:
        """Publishes those nobody heard of yet, and returns them."""
        if not signals:
            return []
        ids = {risks.as_anomaly(signal, self.clock.now()).id: signal for signal in signals}
        unknown = await self.store.unknown(list(ids))
        new = [signal for id_, signal in ids.items() if id_ in unknown]
        await self.publish(RISK_SIGNALS, new)
        for signal in new:
            SIGNALS.labels(signal.kind).inc()
        return new


def _at(order: ConversionRecorded) -> datetime:
    return floor(order.occurred_at)
