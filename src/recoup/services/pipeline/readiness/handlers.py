"""The processor's batches, counted for the readiness page."""

from dataclasses import dataclass

from recoup.kit.errors import Failure
from recoup.kit.telemetry import logger
from recoup.services.pipeline.arrivals.store import Arrivals
from recoup.services.pipeline.readiness.domain.counting import tallied
from recoup.services.pipeline.stream.domain.work import Known, Work

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Counting:
    """Watches the processor."""

    arrivals: Arrivals

    def note(self, work: Work, known: Known) -> None:  # noqa: ARG002 - a watcher is told what was known, too
        """Counts in memory."""
        if not len(work.rows):
            return
        for store_id, counts in tallied(work).items():
            self.arrivals.count(store_id, counts)

    async def write(self) -> None:
        """Writes down what was counted; an outage only makes it late."""
        try:
            await self.arrivals.flush()
        except Failure as failure:
            log.warning("counts are late", why=failure.detail)
