"""Reads what is in parked records, puts them back and dismisses them. Each is settled by one caller at a time."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID

import msgspec
import pyarrow as pa

from recoup.kit.clock import Clock
from recoup.kit.errors import Conflict
from recoup.kit.log import arrow
from recoup.kit.log.port import Log
from recoup.kit.metrics import Counter
from recoup.kit.runner import Parked, put_back
from recoup.messages.topics import EVENTS_RAW
from recoup.services.pipeline.overflow.domain import HANDED_BACK
from recoup.services.pipeline.parked.domain import Kept, Status
from recoup.services.pipeline.parked.store import Store

Row = dict[str, object]
_UUID_BYTES: Final = 16
PUT_BACK: Final = Counter("parked_put_back_total", "Parked records that were put back on their topic", ["group"])


@dataclass(frozen=True, slots=True)
class Returns:
    """Decides what becomes of parked records."""

    store: Store
    log: Log
    clock: Clock

    async def put_back(self, store_id: str, id_: UUID, by: str) -> Kept:
        """Appends the record to its topic, for the group that parked it; done once, however often it is asked for.

        Dying between the append and the note of it leaves the record open. Put back again it comes to its group twice,
        as any record does whose reader died before it could commit.
        """
        async with self.store.taken(store_id, id_) as taken:
            record = taken.record
            if record.status is not Status.PUT_BACK:
                await self.log.append(record.topic, [put_back(_parked(record))])
                await taken.settle(Status.PUT_BACK, by, self.clock.now())
                PUT_BACK.labels(record.reader).inc()
        return await self.store.record(store_id, id_)

    async def dismiss(self, store_id: str, id_: UUID, by: str) -> Kept:
        """Takes the record off the list; it can be put back for as long as it is kept."""
        async with self.store.taken(store_id, id_) as taken:
            if taken.record.status is Status.PUT_BACK:
                raise Conflict(f"parked record {id_} was put back already", code="already_put_back")
            if taken.record.status is Status.OPEN:
                await taken.settle(Status.DISMISSED, by, self.clock.now())
        return await self.store.record(store_id, id_)


def _parked(record: Kept) -> Parked:
    # How long it lay here is no measure of the stream.
    late: Mapping[str, str] = {HANDED_BACK: "1"} if record.topic == EVENTS_RAW.name else {}
    return Parked(
        group=record.reader, topic=record.topic, partition=record.partition, offset=record.position,
        reason=record.reason, body=base64.b64encode(record.body).decode(), headers={**record.headers, **late},
    )  # fmt: skip


def rows_of(body: bytes) -> Sequence[Row]:
    """The rows or the message in a record's bytes, without what is null; none where they cannot be read."""
    try:
        return [_plain(row) for batch in arrow.decode([body]) for row in batch.to_pylist()]
    except (pa.ArrowException, OSError, ValueError):
        return _message(body)


def _message(body: bytes) -> Sequence[Row]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()
    return [_plain(cast("Row", found))] if isinstance(found, dict) else ()


def _plain(row: Row) -> Row:
    return {name: _readable(value) for name, value in row.items() if value is not None}


def _readable(value: object) -> object:
    if isinstance(value, bytes):
        return str(UUID(bytes=value)) if len(value) == _UUID_BYTES else value.hex()
    return value
