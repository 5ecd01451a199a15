"""Runs a service's jobs when told to, and never the same run twice at once. Knows no times: those are the scheduler's.

Whoever asks for a run names it. If the asker dies and another asks for the same run, it joins the one going on, or
hears what came of it; a run that failed starts again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from recoup.kit.errors import Missing, Refused
from recoup.kit.service import Job

REMEMBERED_RUNS = 256


class Runs:
    """The runs of one process."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = {job.name: job for job in jobs}
        self._runs: OrderedDict[tuple[str, str], asyncio.Task[str]] = OrderedDict()

    async def run(self, name: str, run_id: str) -> str:
        """Does a job and says what came of it; without `run_id` a run of its own. Raises Missing for no such job."""
        job = self.jobs.get(name)
        if job is None:
            raise Missing(f"no job {name!r}")
        if not run_id:
            return await _within(job)
        # A caller that goes away must not take the run along, so it is a task that callers only wait for.
        return await asyncio.shield(self._joined(job, run_id))

    def _joined(self, job: Job, run_id: str) -> "asyncio.Task[str]":
        known = self._runs.get((job.name, run_id))
        if known is not None and not _failed(known):
            return known
        self._runs[job.name, run_id] = task = asyncio.create_task(_within(job), name=f"job {job.name}")
        self._forget()
        return task

    def _forget(self) -> None:
        over = len(self._runs) - REMEMBERED_RUNS
        for key in [key for key, task in self._runs.items() if task.done()][: max(over, 0)]:
            del self._runs[key]


def _failed(task: "asyncio.Task[str]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def _within(job: Job) -> str:
    seconds = job.timeout.total_seconds()
    try:
        async with asyncio.timeout(seconds):
            return await job.run()
    except TimeoutError as error:
        raise Refused(f"job {job.name!r} did not finish within {seconds:g} s", code="timed_out") from error
