"""Keeps child processes running: starts them in order, restarts and stops them, and says how they are.

What a child prints goes to `FOLDER/logs/NAME.log`; how all are, to `FOLDER/status.json`, for whoever asks. Refuses a
second supervisor on one folder.

No child outlives us, even if we are killed with -9: the kernel then sends each its `orphan_signal`. What a child itself
started is killed when that child has ended, but not when we are killed: a child that starts processes should see to it.

It must run in the main thread's event loop, as the kernel takes the end of the thread that started a child for the end
of its parent.
"""

import asyncio
import contextlib
import fcntl
from collections.abc import Callable, Generator, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from typing import Final

import msgspec

from recoup.kit.children import Child, Keeper, Policy, State, Status
from recoup.kit.clock import Clock, stopwatch
from recoup.kit.errors import Conflict

_STATUS_FILE: Final = "status.json"
_UPPER_SHARE: Final = 0.7  # of the time left to stop, for those that others below still wait on

OnEvent = Callable[[str, State, str], None]


def read_statuses(folder: Path) -> tuple[Status, ...]:
    """What the supervisor of this folder last wrote."""
    return msgspec.json.decode((folder / _STATUS_FILE).read_bytes(), type=tuple[Status, ...])


class Supervisor:
    """Keeps `children` until told to stop, and calls `on_event(name, state, detail)` at every change."""

    def __init__(
        self,
        children: Sequence[Child],
        *,
        folder: Path,
        clock: Clock,
        on_event: OnEvent,
        policy: Policy | None = None,
    ) -> None:
        self._folder = folder
        self._on_event = on_event
        self._policy = policy or Policy()
        self._levels = _levels(children)
        self._told_to_stop = asyncio.Event()
        self._told: dict[str, State] = {}
        self._keepers = {
            child.name: Keeper(child, logs=folder / "logs", clock=clock, policy=self._policy, report=self._note)
            for child in children
        }

    @property
    def statuses(self) -> tuple[Status, ...]:
        return tuple(keeper.status for keeper in self._keepers.values())

    def stop(self) -> None:
        """Tell `run` to end in order; safe in a signal handler, and more than once."""
        self._told_to_stop.set()

    async def ready(self, name: str) -> None:
        """Wait until one child has become ready; one that is not ours to start is taken to be."""
        if name in self._keepers:
            await self._keepers[name].is_ready.wait()

    async def all_ready(self) -> None:
        """Wait until every child has become ready."""
        for keeper in self._keepers.values():
            await keeper.is_ready.wait()

    async def run(self) -> None:
        """Keep them until `stop`, SIGTERM, SIGINT or SIGHUP; then stop them, those started last first."""
        (self._folder / "logs").mkdir(parents=True, exist_ok=True)
        with _lock(self._folder), self._stop_on_signals():
            try:
                async with asyncio.TaskGroup() as tasks:
                    for keeper in self._keepers.values():
                        tasks.create_task(keeper.keep([self._keepers[name] for name in keeper.child.after]))
                    await self._told_to_stop.wait()
                    await self._stop_all()
            finally:
                for keeper in self._keepers.values():
                    keeper.kill()

    async def _stop_all(self) -> None:
        end = stopwatch() + self._policy.stop_within
        for names in reversed(self._levels):
            share = 1.0 if names is self._levels[0] else _UPPER_SHARE
            patience = (end - stopwatch()) * share
            await asyncio.gather(*(self._keepers[name].halt(patience) for name in names))

    def _note(self, status: Status) -> None:
        # A full disk must not bring down what still runs; the file is then older than the truth.
        with contextlib.suppress(OSError):
            draft = self._folder / f"{_STATUS_FILE}.new"
            draft.write_bytes(msgspec.json.encode(self.statuses))
            draft.replace(self._folder / _STATUS_FILE)
        if self._told.get(status.name) is not status.state:
            self._told[status.name] = status.state
            self._on_event(status.name, status.state, status.detail)

    @contextlib.contextmanager
    def _stop_on_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for sign in (SIGTERM, SIGINT, SIGHUP):
            loop.add_signal_handler(sign, self.stop)
        try:
            yield
        finally:
            for sign in (SIGTERM, SIGINT, SIGHUP):
                loop.remove_signal_handler(sign)


def _levels(children: Sequence[Child]) -> list[tuple[str, ...]]:
    """The names in the order of starting: each level waits only for those before it; a circle is a ValueError."""
    order = TopologicalSorter({child.name: child.after for child in children})
    order.prepare()
    levels: list[tuple[str, ...]] = []
    while order.is_active():
        level = order.get_ready()
        levels.append(level)
        order.done(*level)
    return levels


@contextlib.contextmanager
def _lock(folder: Path) -> Generator[None]:
    """Hold the folder for ourselves; the kernel lets go of it when we end, however we end."""
    with (folder / "supervisor.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"another supervisor runs in {folder}") from None
        yield
