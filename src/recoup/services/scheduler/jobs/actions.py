"""What carrying out a run means: begin, call the service, write down how it ended. Each act may happen again.

The service is told the run's id: asked twice, it joins the run that is going on, or says what came of it.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from recoup.kit.clock import Clock
from recoup.kit.errors import Refused
from recoup.kit.http import JobCall, JobResult
from recoup.kit.metrics import Counter, Histogram
from recoup.kit.peers import Peers
from recoup.services.scheduler.jobs.store import Store

_PATIENCE = timedelta(seconds=30)  # beyond the job's own time-out, which its service enforces

RUNS = Counter("job_runs_total", "Runs that ended", ["job", "state"])
DELAY = Histogram(
    "job_start_delay_seconds",
    "From the moment a run was due to its start",
    buckets=(0.25, 0.5, 1, 2, 5, 15, 60, 300),
)


@dataclass(frozen=True, slots=True)
class Execution:
    """The three acts. Failure is an answer here; only an outage is raised, and then the act is tried again."""

    store: Store
    peers: Peers
    clock: Clock

    async def begin(self, run: str) -> None:
        now = self.clock.now()
        begun = await self.store.begin(UUID(run), now)
        if begun is not None:
            DELAY.observe(max(0.0, (now - begun.due_at).total_seconds()))

    async def call(self, run: str) -> tuple[str | None, str | None]:
        """The sentence the service answered, or why it refused; raises Unavailable while it does not answer."""
        found, seconds = await self.store.attempt(UUID(run))
        try:
            answer = await self.peers.post(
                found.service,
                f"/internal/jobs/{found.job}",
                JobCall(run_id=run),
                JobResult,
                patience=timedelta(seconds=seconds) + _PATIENCE,
            )
        except Refused as refusal:
            return None, refusal.detail
        return answer.result, None

    async def finish(self, run: str, result: str | None, error: str | None) -> None:
        ended = await self.store.finish(UUID(run), self.clock.now(), result=result, error=error)
        if ended is not None:
            RUNS.labels(f"{ended.service}.{ended.job}", ended.state).inc()
