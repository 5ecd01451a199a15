"""Enriched events on their way through stores' rules: looked at by store first, in full only where a store has some."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recoup.kit.clock import Clock
from recoup.kit.errors import Unavailable
from recoup.kit.ids import derived_id
from recoup.kit.log import arrow
from recoup.kit.log.port import Log, Outgoing, Record
from recoup.kit.metrics import Counter
from recoup.kit.runner import decoded
from recoup.kit.service import Batch
from recoup.kit.telemetry import logger
from recoup.messages.events import EventType
from recoup.messages.topics import EVENTS_ENRICHED, ROUTING_GROUP
from recoup.services.pipeline.routing.actions import RuleBook
from recoup.services.pipeline.routing.domain.columns import Rows
from recoup.services.pipeline.routing.domain.payload import bodies, documents, routed
from recoup.services.pipeline.routing.domain.rules import (
    Copy,
    Destination,
    DestinationKind,
    Form,
    Routes,
    copies,
    topic_name,
)
from recoup.services.pipeline.routing.store.deliveries import DeliveryStore, NewDelivery
from recoup.services.pipeline.settings import Settings

log = logger(__name__)
ROUTED: Final = Counter("routed_events_total", "Events copied by stores' rules", ["kind"])
DROPPED: Final = Counter("routed_events_dropped_total", "Events that found a destination's queue full")
_RECORDS_AT_ONCE: Final = 16
"""So that copying much never takes much memory, and others of this process get their turn in between."""


class _Part(NamedTuple):
    """Rows of one record that go to one destination."""

    record: Record
    destination: Destination
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class Handlers:
    """The reader of cart-events-enriched."""

    book: RuleBook
    deliveries: DeliveryStore
    log: Log
    clock: Clock
    settings: Settings
    news: Callable[[], None]

    async def wanted(self) -> None:
        """Returns once some store has a rule, or had one: a group that is registered has to read on."""
        while True:
            try:
                if await self.book.routes() or ROUTING_GROUP in await self.log.holds_for(EVENTS_ENRICHED.name):
                    return
            except Unavailable as failure:
                log.warning("rules are not known", why=failure.detail)
            await asyncio.sleep(self.settings.routing_refresh_seconds)

    async def on_enriched(self, batch: Batch) -> None:
        """Copies what rules say; the same batch again copies to topics again, and queues nothing twice."""
        routes = await self.book.routes()
        if not routes:
            return
        records = _with_rows_of(batch, routes)
        for start in range(0, len(records), _RECORDS_AT_ONCE):
            await self._copy(records[start : start + _RECORDS_AT_ONCE], routes)

    async def _copy(self, records: Sequence[Record], routes: Mapping[str, Routes]) -> None:
        parts = await asyncio.to_thread(_parts, records, routes)
        for destination, mine in _by_destination(parts):
            if destination.kind is DestinationKind.TOPIC:
                await self._to_topic(destination, mine)
            else:
                await self._to_webhook(destination, mine)

    async def _to_topic(self, destination: Destination, parts: Sequence[_Part]) -> None:
        outgoing = [Outgoing(part.record.partition, arrow.encode(part.rows)) for part in parts]
        await self.log.append(topic_name(destination.store_id, destination.name), outgoing)
        ROUTED.labels(destination.kind).inc(_count(parts))

    async def _to_webhook(self, destination: Destination, parts: Sequence[_Part]) -> None:
        most = self.settings.routing_queue
        if await self.deliveries.waiting(destination.id) >= most:
            DROPPED.inc(_count(parts))
            reason = f"{most} deliveries wait already: further events are not queued"
            return await self.deliveries.drop(destination.id, _count(parts), reason)
        made = await asyncio.to_thread(_deliveries, destination, parts, self.settings.routing_batch_events)
        await self.deliveries.put(made, self.clock.now())
        ROUTED.labels(destination.kind).inc(_count(parts))
        self.news()
        return None


def _with_rows_of(batch: Batch, routes: Mapping[str, Routes]) -> list[Record]:
    """The records that hold a row of a store with rules, found by the store's column alone."""
    meant = pc.is_in(batch.table.column("store_id"), value_set=pa.array(sorted(routes), pa.string()))
    wanted = np.flatnonzero(meant.to_numpy())
    owners = batch.spread(range(len(batch.records)))
    return [batch.records[at] for at in np.unique(owners[wanted]).tolist()]


def _parts(records: Sequence[Record], routes: Mapping[str, Routes]) -> list[_Part]:
    """Of each record, what goes where. A record at a time: what a delivery holds must not depend on how we read."""
    found: list[_Part] = []
    for record in records:
        table = decoded([record], EVENTS_ENRICHED.schema).table
        table = table.filter(pc.not_equal(table.column("type"), EventType.CLOCK.value))
        for store_id in pc.unique(table.column("store_id")).to_pylist():
            if store_id in routes:
                own = table.filter(pc.equal(table.column("store_id"), store_id))
                found += [_part(record, own, copy) for copy in copies(routes[store_id], Rows(own))]
    return found


def _part(record: Record, rows: pa.Table, copy: Copy) -> _Part:
    return _Part(record, copy.destination, routed(rows.take(pa.array(copy.places)), copy.rules))


def _by_destination(parts: Sequence[_Part]) -> list[tuple[Destination, list[_Part]]]:
    found: dict[UUID, tuple[Destination, list[_Part]]] = {}
    for part in parts:
        found.setdefault(part.destination.id, (part.destination, []))[1].append(part)
    return list(found.values())


def _count(parts: Sequence[_Part]) -> int:
    return sum(part.rows.num_rows for part in parts)


def _deliveries(destination: Destination, parts: Sequence[_Part], most: int) -> list[NewDelivery]:
    """Bodies under ids that follow from the destination and the log's place of what is in them."""
    found: list[NewDelivery] = []
    for part in parts:
        at = pc.max(part.rows.column("enriched_at")).as_py()
        place = (str(destination.id), str(part.record.partition), str(part.record.offset))
        found += [
            NewDelivery(
                id=derived_id("routed", *place, name), store_id=destination.store_id, destination_id=destination.id,
                body=body, events=count,
            )
            for name, body, count in bodies(documents(part.rows), destination.form or Form.BATCH, at, most)
        ]  # fmt: skip
    return found
