"""A batch as it comes off the log, and what must be at hand to judge it: its stores' settings and schemas."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from recoup.kit.errors import Missing
from recoup.kit.log import arrow
from recoup.kit.log.port import Record
from recoup.messages.events import RAW
from recoup.messages.stores import StoreDirectory, StoreSettings
from recoup.services.pipeline.overflow.domain import HANDED_BACK
from recoup.services.pipeline.schemas.actions import Catalogs
from recoup.services.pipeline.schemas.domain.catalog import Catalog
from recoup.services.pipeline.stream.domain.planned import types_and_versions
from recoup.services.pipeline.stream.domain.work import Work, numbers, work_of


async def settings_of(stores: StoreDirectory, store_id: str) -> StoreSettings:
    """A store's settings; the defaults for one that is gone."""
    try:
        return await stores.settings(store_id)
    except Missing:
        return StoreSettings()


async def consult(schemas: Catalogs, work: Work, stores: Mapping[str, StoreSettings]) -> dict[str, Catalog]:
    """The schemas of those stores in the batch that have any, or that want to hear of events without one."""
    found: dict[str, Catalog] = {}
    for code, store_id in enumerate(work.store_names):
        catalog = await schemas.find(store_id)
        strict = stores[store_id].unplanned_events != "accept"
        if catalog is not None or strict:
            wanted = types_and_versions(work, code)
            found[store_id] = await schemas.ready(store_id, catalog or Catalog(), wanted, strict=strict)
    return found


class Taken(NamedTuple):
    """What is committed together."""

    records: Sequence[Record]
    """Those that are done with it."""
    work: Work
    aside: Sequence[tuple[Record, str]] = ()
    """What can mean nothing, and why."""


def taken(records: Sequence[Record]) -> Taken:
    """All rows of these records; one that cannot be read is set aside."""
    with suppress(pa.ArrowException):
        return Taken(records, work_on(records, RAW))
    flaws = [arrow.flaw(record.value, RAW) for record in records]
    usable = [record for record, flaw in zip(records, flaws, strict=True) if not flaw]
    return Taken(
        records, work_on(usable, RAW), [(record, flaw) for record, flaw in zip(records, flaws, strict=True) if flaw]
    )


def part_of(record: Record, rows: range) -> Taken:
    """Some rows of a record, which is not done with them."""
    return Taken((), work_on([record], RAW, rows))


def rest_of(record: Record, reasons: Mapping[int, str]) -> Taken:
    """What is left of a record in parts when all have been worked on: the rows on which that failed, set aside."""
    if not reasons:
        return Taken([record], work_on((), RAW))
    aside = record._replace(value=arrow.taken(record.value, list(reasons)))
    return Taken([record], work_on((), RAW), [(aside, "; ".join(dict.fromkeys(reasons.values())))])


def received(taken: Taken) -> np.ndarray:
    """When rows reached us; without those that waited in the overflow lane, which says nothing of the stream."""
    waited = np.zeros(len(taken.work.rows), dtype=np.bool_)
    for record in taken.records:
        if HANDED_BACK in record.headers:
            waited |= (taken.work.partitions == record.partition) & (taken.work.offsets == record.offset)
    return numbers(taken.work.rows.column("received_at"))[~waited]


def work_on(records: Sequence[Record], columns: pa.Schema, part: range | None = None) -> Work:
    """All rows of these records, or some of one; raises pa.ArrowInvalid where one cannot be read."""
    rows, counts = arrow.joined([record.value for record in records], columns)
    if part is not None:
        rows, counts = rows.take(pa.array(list(part))), [len(part)]
    partitions = np.repeat(np.array([record.partition for record in records], dtype=np.int64), counts)
    offsets = np.repeat(np.array([record.offset for record in records], dtype=np.int64), counts)
    return work_of(rows, partitions, offsets)
