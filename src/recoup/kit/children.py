"""One child process and its keeper, who starts it, watches it, starts it again and ends it.

A child that ends unasked is started again after a pause that doubles each time; one that does not get ready in time is
killed and counts as ended. What it prints goes to a file of bounded size. Knows nothing of the other children but
whether those it has to wait for are ready: order is `kit.supervisor`'s.
"""

import asyncio
import contextlib
import os
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Final

from msgspec import Struct

from recoup.kit.clock import Clock, stopwatch
from recoup.kit.errors import Failure
from recoup.kit.launch import Account, wrap

_LAST_LINE_LENGTH: Final = 300
_LAST_WORDS_SECONDS: Final = 0.5


class State(StrEnum):
    """Where a child is in its life."""

    WAITING = "waiting"  # for those it is to start after
    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"  # it ended unasked; the pause before the next start
    STOPPED = "stopped"


class Status(Struct, frozen=True, kw_only=True):
    """How a child is; `since` is when it entered its state, `detail` why."""

    name: str
    state: State
    since: datetime
    detail: str = ""
    pid: int | None = None
    restarts: int = 0
    last_exit: int | None = None  # as Python counts: minus the signal, where one ended it


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How patient to be, in seconds, and how much to keep of what is printed."""

    first_pause: float = 0.5
    longest_pause: float = 30.0
    stable_after: float = 60.0  # a child that lasted this long begins again with the first pause
    start_within: float = 60.0
    probe_every: float = 0.05
    stop_within: float = 9.0  # all children together
    log_bytes: int = 10_000_000  # a file; one older file is kept


async def _nothing() -> None:
    return


def _as_ourselves() -> Account | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A process to keep: `prepare` runs before every start, `after` names those that must be ready first."""

    name: str
    argv: Sequence[str]
    ready: Callable[[], Awaitable[bool]]
    env: Mapping[str, str] | None = None  # None: ours
    after: Sequence[str] = ()
    prepare: Callable[[], Awaitable[None]] = _nothing
    account: Callable[[], Account | None] = _as_ourselves
    stop_signal: Signals = SIGTERM
    orphan_signal: Signals = SIGKILL


class Keeper:
    """Keeps one child, and tells `report` of every change."""

    def __init__(
        self,
        child: Child,
        *,
        logs: Path,
        clock: Clock,
        policy: Policy,
        report: Callable[[Status], None],
    ) -> None:
        self.child = child
        self.is_ready = asyncio.Event()
        self.status = Status(name=child.name, state=State.WAITING, since=clock.now())
        self._output = Output(logs / f"{child.name}.log", limit=policy.log_bytes)
        self._clock = clock
        self._policy = policy
        self._report = report
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._restarts = 0
        self._complaint = ""
        self._last_exit: int | None = None

    async def keep(self, after: Sequence["Keeper"]) -> None:
        """Start it whenever those it comes after are ready, until halted."""
        pause = self._policy.first_pause
        while not self._stopping.is_set():
            await self._wait_for([keeper for keeper in after if not keeper.is_ready.is_set()])
            if self._stopping.is_set():
                break
            started = stopwatch()
            why = await self._live_once()
            if self._stopping.is_set():
                break
            if stopwatch() - started >= self._policy.stable_after:
                pause = self._policy.first_pause
            self._enter(State.BACKOFF, f"{why}; starting again in {pause:g} s")
            await either(self._stopping, timeout=pause)
            pause = min(2 * pause, self._policy.longest_pause)
            self._restarts += 1
        self._enter(State.STOPPED)
        self._stopped.set()

    async def halt(self, patience: float) -> None:
        """Ask it to end, and kill it if it has not within `patience` seconds."""
        self._stopping.set()
        self._send(self.child.stop_signal)
        await either(self._stopped, timeout=patience)
        self.kill()
        await self._stopped.wait()

    def kill(self) -> None:
        """End it, and what it started, at once."""
        if self._process is not None:
            # Our child leads a process group of its own, so this reaches nobody else.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, SIGKILL)

    async def _wait_for(self, keepers: Sequence["Keeper"]) -> None:
        if keepers:
            self._enter(State.WAITING, "for " + ", ".join(keeper.child.name for keeper in keepers))
        for keeper in keepers:
            await either(keeper.is_ready, self._stopping)

    async def _live_once(self) -> str:
        """One life, from preparation to end; says why it ended."""
        self._complaint = ""
        self._output.last_line = ""
        self._enter(State.STARTING)
        started = stopwatch()
        try:
            await self.child.prepare()
            reading = await self._spawn()
        except (Failure, OSError) as error:
            return f"cannot start: {error}"
        process = self._process
        assert process is not None  # noqa: S101  # spawned above
        if self._stopping.is_set():
            self._send(self.child.stop_signal)  # asked to end while it was being started
        try:
            async with asyncio.TaskGroup() as tasks:
                probing = tasks.create_task(self._probe_until_ready(started))
                self._last_exit = await process.wait()
                probing.cancel()
        finally:
            self.is_ready.clear()
            self.kill()
            self._process = None
        await asyncio.wait((reading,), timeout=_LAST_WORDS_SECONDS)
        reading.cancel()
        return self._complaint or f"ended with {self._last_exit}: {self._output.last_line or 'silently'}"

    async def _spawn(self) -> asyncio.Task[None]:
        command = wrap(self.child.argv, orphan_signal=self.child.orphan_signal, account=self.child.account())
        # A pipe of our own: asyncio's would make the child's end wait for its children's.
        ours, theirs = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                env=self.child.env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,  # Ctrl-C is for us alone: we stop them in order
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self._enter(State.STARTING)
        return asyncio.create_task(self._output.follow(ours))

    async def _probe_until_ready(self, started: float) -> None:
        while not await self.child.ready():
            if stopwatch() - started > self._policy.start_within:
                self._complaint = f"not ready within {self._policy.start_within:g} s"
                self.kill()
                return
            await asyncio.sleep(self._policy.probe_every)
        self.is_ready.set()
        self._enter(State.READY, f"{stopwatch() - started:.1f} s")

    def _send(self, sign: Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(sign)

    def _enter(self, state: State, detail: str = "") -> None:
        self.status = Status(
            name=self.child.name,
            state=state,
            since=self.status.since if state is self.status.state else self._clock.now(),
            detail=detail,
            pid=self._process.pid if self._process is not None else None,
            restarts=self._restarts,
            last_exit=self._last_exit,
        )
        self._report(self.status)


class Output:
    """Follows what a child prints into a file; when that is full it becomes FILE.1 and a new one is begun."""

    def __init__(self, file: Path, *, limit: int) -> None:
        self.last_line = ""
        self._file = file
        self._limit = limit

    async def follow(self, descriptor: int) -> None:
        """Read the pipe to its end, which comes when nobody holds its other side any more."""
        reader = asyncio.StreamReader()
        pipe = os.fdopen(descriptor, "rb", buffering=0)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            while chunk := await reader.read(65536):
                # A full disk costs the log, not the child: it would otherwise stand still on a full pipe.
                with contextlib.suppress(OSError):
                    self._append(chunk)
                self._remember(chunk)
        finally:
            transport.close()

    def _append(self, chunk: bytes) -> None:
        with self._file.open("ab") as log:
            log.write(chunk)
            size = log.tell()
        if size >= self._limit:
            self._file.replace(self._file.with_name(f"{self._file.name}.1"))

    def _remember(self, chunk: bytes) -> None:
        lines = chunk.decode(errors="replace").split("\n")
        printed = [line.strip() for line in lines if line.strip()]
        if printed:
            self.last_line = printed[-1][:_LAST_LINE_LENGTH]


async def either(*events: asyncio.Event, timeout: float | None = None) -> None:  # noqa: ASYNC109  # events, not a scope
    """Wait until one of them happens, or time is up."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
