"""Reads the enriched topic back into Valkey, before the stream goes on.

Each part is written by a commit of the stream's own reader, which another that takes over fences; a mark stands from
the first to the last, so that nobody goes on from half a state.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa

from recoup.kit.clock import Clock, milliseconds
from recoup.kit.log import arrow
from recoup.kit.log.port import Effects, Fenced, Log, Reader, Record
from recoup.kit.metrics import Counter
from recoup.kit.telemetry import logger
from recoup.messages.stores import StoreDirectory
from recoup.messages.topics import EVENTS_ENRICHED
from recoup.services.pipeline.carts.store import write_down
from recoup.services.pipeline.rebuild.domain import COLUMNS, Memory, ids_since
from recoup.services.pipeline.rebuild.store import RebuildBook, begin, finish
from recoup.services.pipeline.sessions.store import SessionStore
from recoup.services.pipeline.settings import Settings
from recoup.services.pipeline.stream.actions import settings_of, work_on
from recoup.services.pipeline.stream.domain.work import Work
from recoup.services.pipeline.stream.store import Identities, SeenEvents, set_clocks

log = logger(__name__)
T = TypeVar("T")

REBUILT: Final = Counter("pipeline_rebuilt_partitions_total", "Partitions whose lost state was read back from the log")
_DAY_MS: Final = 86_400_000
# An id counts for an hour at least, a session for as long after its last event; what is a little older does no harm.
_IDS_MS: Final = 4_200_000
_SESSIONS_MS: Final = 7_200_000
# Carts, links or sessions that one commit writes.
_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """What the stream needs to find its state again."""

    log: Log
    book: RebuildBook
    identities: Identities
    sessions: SessionStore
    stores: StoreDirectory
    clock: Clock
    settings: Settings

    async def rebuild(self, reader: Reader) -> bool:
        """Whether the state of any partition of this reader's was gone; raises Fenced if partitions move meanwhile."""
        lost = reader.bereft() | await self.book.unfinished(reader.owned())
        if not lost:
            return False
        log.warning("state is gone and is read back from the log", partitions=sorted(lost))
        owned = reader.owned()
        await reader.commit({}, None, lambda pipe: begin(pipe, lost))
        memory = Memory()
        now = milliseconds(self.clock.now())
        async for work in self._past(lost, now):
            for store_id in set(work.store_names) - memory.stores.keys():
                memory.stores[store_id] = await settings_of(self.stores, store_id)
            memory.take(work, now - _SESSIONS_MS)
            await self._remember_ids(reader, work, now - _IDS_MS)
            await _stay(reader, owned)
        for effects in self._effects(memory, now):
            await reader.commit({}, None, effects)
            await _stay(reader, owned)
        await reader.commit({}, None, lambda pipe: finish(pipe, lost))
        REBUILT.inc(len(lost))
        log.warning("state is back", partitions=sorted(lost), carts=len(memory.carts), sessions=len(memory.sessions))
        return True

    async def _past(self, partitions: frozenset[int], now: int) -> AsyncIterator[Work]:
        since = now - round(self.settings.rebuild_days * _DAY_MS)
        topic = EVENTS_ENRICHED.name
        async for records in self.log.past(topic, partitions, since_ms=since, limit=self.settings.rebuild_records):
            yield _work(records)

    async def _remember_ids(self, reader: Reader, work: Work, since: int) -> None:
        ids = ids_since(work, since)
        if ids:
            await reader.commit({}, None, lambda pipe: SeenEvents.claim(pipe, ids, self.clock.now()))

    def _effects(self, memory: Memory, now: int) -> list[Effects]:
        """What is left to write, in parts that one commit takes."""
        moment = self.clock.now()
        slots = self.sessions.take_in(memory.sessions)
        none = np.zeros(0, dtype=np.int64)
        return [
            lambda pipe: set_clocks(pipe, memory.clocks),
            *(lambda pipe, part=part: write_down(pipe, part) for part in _parts(memory.standing(now))),
            *(
                lambda pipe, part=part: self.identities.link(pipe, dict(part), moment)
                for part in _parts(list(memory.links.items()))
            ),
            *(
                lambda pipe, at=at: self.sessions.save(pipe, slots[at : at + _AT_ONCE], none, moment)
                for at in range(0, len(slots), _AT_ONCE)
            ),
        ]


async def _stay(reader: Reader, owned: frozenset[int]) -> None:
    """Tells the group that this member lives; what is found out of a partition that has moved is another's to write."""
    await reader.read(wait_seconds=0, limit=0)
    if reader.owned() != owned:
        raise Fenced("partitions have moved while their state was read back")


def _work(records: Sequence[Record]) -> Work:
    """Rows in the order of partition and offset; a record that holds none was never ours and is left out."""
    ordered = sorted(records, key=lambda record: (record.partition, record.offset))
    try:
        return work_on(ordered, COLUMNS)
    except pa.ArrowException:
        readable = [record for record in ordered if arrow.flaw(record.value, COLUMNS) is None]
        log.warning("records that cannot be read are left out", records=len(records) - len(readable))
        return work_on(readable, COLUMNS)


def _parts(things: Sequence[T]) -> Iterator[list[T]]:
    left = iter(things)
    while part := list(islice(left, _AT_ONCE)):
        yield part
