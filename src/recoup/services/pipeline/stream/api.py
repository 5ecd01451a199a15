"""The pipeline's status: what each processor says of itself, and how far every reader of the event topics is behind."""

from collections.abc import Sequence

from litestar import Router, get
from litestar.di import NamedDependency
from msgspec import Struct

from recoup.kit.log.port import Log
from recoup.messages.access import Permission
from recoup.messages.topics import EVENTS_DEAD, EVENTS_ENRICHED, EVENTS_OVERFLOW, EVENTS_RAW, READERS
from recoup.services.pipeline.collect.store import CollectorStatus, Statuses
from recoup.services.pipeline.losses.domain import Loss
from recoup.services.pipeline.losses.store import LossBook
from recoup.services.pipeline.stream.store import ProcessorStatus, StreamStore


class GroupLag(Struct, frozen=True):
    """How many records a group has not dealt with yet."""

    group: str
    topic: str
    waiting: int


class TopicSize(Struct, frozen=True):
    """Records held on a topic now."""

    topic: str
    records: int


class PipelineStatus(Struct, frozen=True, kw_only=True):
    """The stream at a glance."""

    collectors: Sequence[CollectorStatus]
    processors: Sequence[ProcessorStatus]
    lag: Sequence[GroupLag]
    topics: Sequence[TopicSize]
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


async def _lag(log: Log, group: str, topic: str) -> GroupLag:
    return GroupLag(group, topic, sum(lag.waiting for lag in await log.lag(group, topic)))


def router() -> Router:
    """Everything under /pipeline."""
    return Router("/", route_handlers=[read_pipeline_status], tags=["pipeline"])
