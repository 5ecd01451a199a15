"""The pipeline's status: what each processor says of itself, and how far every reader of the event topics is behind."""

import base64
from collections.abc import Sequence
from typing import Final

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency
from msgspec import Struct

from recoup.kit.log.port import Log
from recoup.kit.runner import Parked, parking_topic
from recoup.messages.access import Permission
from recoup.messages.topics import EVENTS_DEAD, EVENTS_ENRICHED, EVENTS_OVERFLOW, EVENTS_RAW, READERS
from recoup.services.pipeline.collect.store import CollectorStatus, Statuses
from recoup.services.pipeline.losses.domain import Loss
from recoup.services.pipeline.losses.store import LossBook
from recoup.services.pipeline.stream.store import ProcessorStatus, StreamStore

_SHOWN: Final = 100


class GroupLag(Struct, frozen=True):
    """How many records a group has not dealt with yet."""

    group: str
    topic: str
    waiting: int


class TopicSize(Struct, frozen=True):
    """Records held on a topic now."""

    topic: str
    records: int


class SetAside(Struct, frozen=True, kw_only=True):
    """A parked record without what is in it: rows of several stores lie in one."""

    group: str
    topic: str
    partition: int
    offset: int
    size: int
    """In bytes."""
    error: str
    """What kind of error it was; the reader's log has its words."""


class ParkedRecords(Struct, frozen=True, kw_only=True):
    """The oldest parked records, and how many there are."""

    total: int
    items: Sequence[SetAside]


class PipelineStatus(Struct, frozen=True, kw_only=True):
    """The stream at a glance."""

    collectors: Sequence[CollectorStatus]
    processors: Sequence[ProcessorStatus]
    lag: Sequence[GroupLag]
    topics: Sequence[TopicSize]
    parked: int
    """Records that some reader could not work on and has set aside, with their reason, on `consumer-parked`."""
    loss: Loss | None
    """What was lost when Valkey came back empty; null where it never did."""


@get("/pipeline/status", opt={"permission": Permission.EVENTS_READ})
async def read_pipeline_status(
    statuses: NamedDependency[Statuses],
    stream: NamedDependency[StreamStore],
    losses: NamedDependency[LossBook],
    log: NamedDependency[Log],
) -> PipelineStatus:
    """Rates, lag and latencies of each stage, over all stores of this installation."""
    return PipelineStatus(
        parked=await log.size(parking_topic().name),
        loss=await losses.loss(),
        collectors=await statuses.read(),
        processors=await stream.read_status(),
        lag=[
            await _lag(log, group, topic)
            for topic, groups in READERS.items()
            for group in groups
            if await log.reads(group, topic)
        ],
        topics=[
            TopicSize(topic.name, await log.size(topic.name))
            for topic in (EVENTS_RAW, EVENTS_OVERFLOW, EVENTS_ENRICHED, EVENTS_DEAD)
        ],
    )


@get("/pipeline/parked", opt={"permission": Permission.EVENTS_READ})
async def list_parked(log: NamedDependency[Log]) -> ParkedRecords:
    """Records that no try could handle, over all stores of this installation."""
    topic = parking_topic()
    total = await log.size(topic.name)
    records = await log.after(topic.name, {}, limit=_SHOWN) if total else ()
    found = [msgspec.json.decode(record.value, type=Parked) for record in records]
    return ParkedRecords(total=total, items=[_set_aside(one) for one in found[:_SHOWN]])


def _set_aside(one: Parked) -> SetAside:
    return SetAside(
        group=one.group, topic=one.topic, partition=one.partition, offset=one.offset,
        size=len(base64.b64decode(one.body)), error=one.reason.partition(":")[0],
    )  # fmt: skip


async def _lag(log: Log, group: str, topic: str) -> GroupLag:
    return GroupLag(group, topic, sum(lag.waiting for lag in await log.lag(group, topic)))


def router() -> Router:
    """Everything under /pipeline."""
    return Router("/", route_handlers=[read_pipeline_status, list_parked], tags=["pipeline"])
