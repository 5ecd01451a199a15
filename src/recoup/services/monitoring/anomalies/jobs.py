"""The detector's loop: judges every bucket of every store once it is over, by the store's own clock."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from recoup.kit.clock import Clock
from recoup.kit.errors import Failure, Unavailable
from recoup.kit.metrics import Counter
from recoup.kit.telemetry import logger
from recoup.messages.stores import StoreDirectory
from recoup.services.monitoring.anomalies.domain.anomaly import Anomaly, follow
from recoup.services.monitoring.anomalies.domain.counts import JUDGED
from recoup.services.monitoring.anomalies.domain.detector import (
    BUCKET,
    DAYS_COMPARED,
    Past,
    Verdict,
    floor,
    habit,
    judge,
    needed_past,
)
from recoup.services.monitoring.anomalies.store import Figure, Judging, Store, Watched

log = logger(__name__)
FOUND = Counter("anomalies_found_total", "Anomalies of store figures that began", ["metric"])
_MOST_BUCKETS = 288  # at once: a day, so that a replay of a year does not hold everything up
_KEEP_IDS = timedelta(days=30)  # of counted messages: longer than any log keeps them


@dataclass(slots=True)
class Detector:
    """`partitions`: in how many a store's own clock must have been heard to count; `late`: how long ours waits."""

    store: Store
    stores: StoreDirectory
    clock: Clock
    partitions: int
    every: timedelta
    late: timedelta
    keep: timedelta

    async def run(self) -> None:
        """Judges for ever."""
        while True:
            try:
                if not await self.judge_all():
                    await asyncio.sleep(self.every.total_seconds())
            except Unavailable as error:
                log.warning("cannot judge", why=error.detail)
                await asyncio.sleep(self.every.total_seconds())

    async def judge_all(self) -> bool:
        """One look at every store; True when one of them has more to be judged at once."""
        more = [await self.judge(watched) for watched in await self.store.watched()]
        return any(more)

    async def judge(self, watched: Watched) -> bool:
        """Judges what is over of one store; True when there is more."""
        over = await self._over(watched)
        if over is None:
            return False
        # What is older than all that can be compared with is not worth judging.
        start = max(watched.judged_until, floor(over - self.keep))
        count = int((over - start) / BUCKET)
        if count <= 0:
            return False
        buckets = [start + number * BUCKET for number in range(min(count, _MOST_BUCKETS))]
        async with self.store.judging(watched) as judging:
            if judging is not None:
                await self._judge(judging, watched, buckets)
        return count > _MOST_BUCKETS

    async def forget(self) -> str:
        """The job that keeps figures from growing for ever."""
        now = self.clock.now()
        count = await self.store.forget(self.keep, now - _KEEP_IDS)
        return f"forgot {count} figures older than {self.keep.days} days of their store"

    async def _over(self, watched: Watched) -> datetime | None:
        """The moment all before which has happened, by the store's clock; None while that is not known."""
        try:
            settings = await self.stores.settings(watched.store_id)
        except Failure as error:
            log.info("clock unknown", store_id=watched.store_id, why=error.detail)
            return None
        if settings.clock == "wall":
            return floor(self.clock.now() - self.late)
        heard = watched.clock if watched.partitions >= self.partitions else None
        return None if heard is None else floor(heard)

    async def _judge(self, judging: Judging, watched: Watched, buckets: list[datetime]) -> None:
        figures = await judging.figures(sorted(needed_past(buckets)))
        fortnight = await judging.scores(buckets[0] - timedelta(days=DAYS_COMPARED), buckets[0])
        metrics = JUDGED & set(await judging.metrics(buckets[0] - timedelta(days=DAYS_COMPARED)))
        going_on = {anomaly.subject: anomaly for anomaly in await judging.going_on()}
        # Milliseconds for a bucket, but seconds for a replayed day: not on the loop that serves requests.
        scores, anomalies = await asyncio.to_thread(
            _verdicts, Known(watched, buckets, figures, fortnight, going_on), sorted(metrics), self.clock.now()
        )
        await judging.judged(scores, anomalies, buckets[-1] + BUCKET)
        for anomaly in anomalies:
            if anomaly.id not in {known.id for known in going_on.values()}:
                FOUND.labels(anomaly.subject).inc()
                log.info("anomaly", store_id=anomaly.store_id, subject=anomaly.subject, reasons=anomaly.reasons)


Scores = list[tuple[str, datetime, float]]


class Known(NamedTuple):
    """What judging some buckets of a store starts from."""

    watched: Watched
    buckets: list[datetime]
    figures: list[Figure]
    fortnight: list[Figure]
    going_on: Mapping[str, Anomaly]


def _verdicts(known: Known, metrics: list[str], now: datetime) -> tuple[Scores, list[Anomaly]]:
    scores: Scores = []
    anomalies: list[Anomaly] = []
    for metric in metrics:
        own = [figure for figure in known.figures if figure.metric == metric]
        past = Past(
            first=known.watched.first,
            values={figure.bucket: figure.value for figure in own},
            scores={figure.bucket: figure.score for figure in own if figure.score is not None},
            habit=habit([figure.score or 0.0 for figure in known.fortnight if figure.metric == metric]),
        )
        verdicts: list[Verdict] = list(judge(metric, known.buckets, past))
        scores += [(metric, verdict.bucket, verdict.score) for verdict in verdicts if verdict.score is not None]
        anomalies += follow(known.watched.store_id, metric, known.going_on.get(metric), verdicts, now)
    return scores, anomalies
