"""Runs one service in one process: start, serve, drain. Decides nothing about which service."""

import asyncio
import gc
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack

from litestar import Litestar

from recoup.kit.clock import stopwatch
from recoup.kit.doors import DRAIN_SECONDS, Doors, opened
from recoup.kit.log.port import Log
from recoup.kit.runner import Runner
from recoup.kit.service import Service, Worker
from recoup.kit.telemetry import logger

log = logger(__name__)


async def run(service: Service, app: Litestar, log_: Log, member: str, doors: Doors) -> None:
    """Until SIGTERM or SIGINT, or until a worker dies; then drains: doors first, workers next, engines last."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        for stop in service.on_stop:
            stack.push_async_callback(stop)
        for start in service.on_start:
            await start()
        tasks = [
            asyncio.create_task(_guarded(worker, stopping), name=worker.name)
            for worker in _workers(service, log_, member)
        ]
        stack.push_async_callback(finish, tasks)
        serving = await stack.enter_async_context(opened(app, doors))
        _settle_garbage()
        log.info("serving", host=doors.host, port=doors.port)
        await asyncio.wait([asyncio.create_task(stopping.wait()), serving], return_when=asyncio.FIRST_COMPLETED)
        log.info("draining")
    failed = [task for task in tasks if not task.cancelled() and task.exception() is not None]
    if failed:
        raise SystemExit(1)


def _settle_garbage() -> None:
    """Takes what start-up made out of the collector's sight, and lets it look for cycles seldom.

    Batches make objects by the ten thousand and drop them again, none of them in a cycle; at CPython's defaults a
    quarter of the collector process's time went into looking for some (profiled under the path bench).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    gc.enable()


def _workers(service: Service, log_: Log, member: str) -> Sequence[Worker]:
    runners = [Runner(log_, consumer.group or service.name, member, consumer) for consumer in service.consumes]
    return [*service.workers, *(Worker(f"read {runner.consumer.topic.name}", runner.run) for runner in runners)]


async def _guarded(worker: Worker, stopping: asyncio.Event) -> None:
    """A worker that ends by an exception ends the process: the supervisor starts a clean one."""
    try:
        await worker.run()
    except Exception:
        log.exception("worker died", worker=worker.name)
        stopping.set()
        raise


async def finish(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancels tasks until they have ended: a client library may swallow one cancellation while it connects."""
    started = stopwatch()
    pending = {task for task in tasks if not task.done()}
    while pending and stopwatch() - started < DRAIN_SECONDS:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.5)
