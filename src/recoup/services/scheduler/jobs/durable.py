"""Runs as durable workflows of DBOS: what was begun is finished, by this scheduler or by another one after it died.

DBOS works in threads of its own and is slow to import, so it is loaded and started beside the service, and every act is
handed back to the service's event loop. It keeps its tables in a schema of its own in the same PostgreSQL.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from recoup.kit.errors import Unavailable
from recoup.kit.telemetry import logger
from recoup.services.scheduler.jobs.actions import Execution

if TYPE_CHECKING:
    from dbos import DBOSConfig

P = ParamSpec("P")
T = TypeVar("T")
log = logger(__name__)

SCHEMA: Final = "scheduler_dbos"
_QUEUE: Final = "jobs"
_WORKFLOW: Final = "run"
# DBOS lets only a process of the same version finish a workflow. Ours is three acts whose meaning does not change with
# our releases, so every release may; raise it together with an incompatible change of the acts.
_VERSION: Final = "1"


class _Stopping(BaseException):
    """Ends a workflow's thread without an outcome, so that it is taken up again after the next start."""


@dataclass(slots=True)
class Engine:
    """The workflows of this scheduler. `member` keeps its name over restarts, and so finds what it left."""

    url: str
    member: str
    execution: Execution
    concurrency: int
    attempts: int
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _acts: set["asyncio.Task[object]"] = field(default_factory=set)
    _enqueue: Callable[[str], object] | None = None

    async def start(self) -> None:
        """Loads and launches DBOS, trying again until it can; takes up what this member left."""
        self._loop = asyncio.get_running_loop()
        pause = 1.0
        while not self.ready.is_set():
            try:
                await asyncio.to_thread(self._launch)
                self.ready.set()
            except Exception as error:  # noqa: BLE001 - DBOS raises the driver's errors as they come; all mean "not yet"
                log.warning("workflows cannot start yet", why=str(error), pause_seconds=pause)
                await asyncio.to_thread(_destroy)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 15.0)

    async def stop(self) -> None:
        """Lets go of what is going on without ending it."""
        for act in self._acts:
            act.cancel()
        await asyncio.to_thread(_destroy)

    async def enqueue(self, runs: Sequence[str]) -> None:
        """Hands runs over to whichever scheduler has room; a run that was handed over before is left alone."""
        await self.ready.wait()
        await asyncio.to_thread(self._enqueue_all, runs)

    async def take_over(self, members: Sequence[str]) -> int:
        """Makes the unfinished runs of dead schedulers anyone's; how many there were."""
        await self.ready.wait()
        return await asyncio.to_thread(_resume, members)

    def _launch(self) -> None:
        from dbos import DBOS, SetWorkflowID  # noqa: PLC0415 - slow and large; nobody else needs it

        _quiet()
        DBOS(config=self._config())
        begin = self._step("begin", self.execution.begin)
        call = self._step("call", self.execution.call)
        finish = self._step("finish", self.execution.finish)

        @DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=None)
        def run(run_id: str) -> None:
            begin(run_id)
            try:
                result, error = call(run_id)
            except Exception as failure:  # noqa: BLE001 - an outage that outlasted every attempt, or a bug: the run's outcome
                result, error = None, _reason(failure)
            finish(run_id, result, error)

        def enqueue(run_id: str) -> None:
            with SetWorkflowID(run_id):
                DBOS.enqueue_workflow(_QUEUE, run, run_id)

        self._enqueue = enqueue
        DBOS.launch()
        DBOS.register_queue(_QUEUE, worker_concurrency=self.concurrency, polling_interval_sec=1.0)

    def _step(self, name: str, act: Callable[P, Coroutine[object, object, T]]) -> Callable[P, T]:
        from dbos import DBOS  # noqa: PLC0415 - see above

        again = DBOS.step(name=name, retries_allowed=True, max_attempts=self.attempts, should_retry=_outage)
        return again(self._here(act))

    def _config(self) -> "DBOSConfig":
        return {
            "name": "recoup",
            "system_database_url": self.url,
            "dbos_system_schema": SCHEMA,
            "sys_db_pool_size": 3,
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": 2.0,
            "scheduler_polling_interval_sec": 3600.0,
            "application_version": _VERSION,
            "executor_id": self.member,
            "log_level": "WARNING",
            "max_executor_threads": self.concurrency + 4,
        }

    def _enqueue_all(self, runs: Sequence[str]) -> None:
        assert self._enqueue is not None  # noqa: S101 - set before `ready`
        for run in runs:
            self._enqueue(run)

    def _here(self, act: Callable[P, Coroutine[object, object, T]]) -> Callable[P, T]:
        """`act`, to be called from a thread of DBOS, done on the service's loop."""

        def called(*args: P.args, **kwargs: P.kwargs) -> T:
            assert self._loop is not None  # noqa: S101 - set before DBOS is launched
            try:
                return asyncio.run_coroutine_threadsafe(self._kept(partial(act, *args, **kwargs)), self._loop).result()
            except CancelledError:
                raise _Stopping from None

        return called

    async def _kept(self, act: Callable[[], Coroutine[object, object, T]]) -> T:
        task = asyncio.ensure_future(act())
        self._acts.add(task)
        try:
            return await task
        finally:
            self._acts.discard(task)


def _outage(error: BaseException) -> bool:
    return isinstance(error, Unavailable)


def _reason(failure: Exception) -> str:
    causes = getattr(failure, "errors", None)
    return str(causes[-1] if causes else failure)


def _resume(members: Sequence[str]) -> int:
    from dbos import DBOS  # noqa: PLC0415 - see above

    left = DBOS.list_workflows(status="PENDING", executor_id=list(members), load_input=False, load_output=False)
    if left:
        DBOS.resume_workflows([workflow.workflow_id for workflow in left])
    return len(left)


def _destroy() -> None:
    from dbos import DBOS  # noqa: PLC0415 - see above

    DBOS.destroy(destroy_registry=True)


def _quiet() -> None:
    """Its lines go where all others go, instead of to a handler of its own."""
    logging.getLogger("dbos").handlers = [logging.NullHandler()]
    logging.getLogger("dbos").propagate = True
