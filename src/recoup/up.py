"""The whole house on one machine: embedded engines and every service under one supervisor. Serves nothing itself."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final

from recoup.kit.children import Child, State
from recoup.kit.clock import SystemClock, stopwatch
from recoup.kit.config import PREFIX, new_secret
from recoup.kit.embedded import Postgres, Valkey, child
from recoup.kit.errors import Conflict, Unavailable
from recoup.kit.niceness import take_short_turns
from recoup.kit.ports import is_taken, kept_port
from recoup.kit.supervisor import Supervisor
from recoup.processes import PROCESSES

DOOR = "platform"
# Column engines start a thread a core otherwise, and glibc an arena a thread: memory for nothing on two shared cores.
# Buffers of some hundred kB come and go all the time; kept in the heap instead of given back and faulted in anew, they
# cost a quarter of the processor time less over the whole path (measured with the path bench).
_FRUGAL = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 1024 * 1024),
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "PYTHONUNBUFFERED": "1",
}
FIRST_RUN = "first-run.json"
MIGRATED = "migrated"
"""Made anew at every start, once the databases are up to date: services wait for it."""
_STOPS_WITHIN_SECONDS: Final = 10.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What `recoup up` was asked for."""

    data: Path
    port: int
    host: str = "127.0.0.1"


class After(Enum):
    """What happens to the house once a story is told."""

    KEEP = auto()
    STOP = auto()


@dataclass(frozen=True, slots=True)
class House:
    """Everything that will run, and the environment it runs in."""

    children: tuple[Child, ...]
    environ: Mapping[str, str]
    data: Path
    port: int
    inner_port: int
    """Where the door speaks plain HTTP on this machine: another one where the public port speaks TLS."""

    @property
    def url(self) -> str:
        """The public address."""
        return self.environ[PREFIX + "PUBLIC_URL"]


def plan(options: Options, environ: Mapping[str, str]) -> House:
    """Decides ports, URLs and children; an engine whose URL is set is somebody else's and not started here."""
    data = options.data.absolute()
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    postgres, valkey = Postgres(data / "postgres"), Valkey(data / "valkey")
    engines = [
        child(name, engine)
        for name, engine in (("postgres", postgres), ("valkey", valkey))
        if f"{PREFIX}{name.upper()}_URL" not in environ
    ]
    ports = {name: options.port if name == DOOR else kept_port() for name in PROCESSES}
    tls = f"{PREFIX}TLS__CERTIFICATE" in environ
    inner = kept_port() if tls else options.port
    inner_ports = {**ports, DOOR: inner}
    ours = {
        f"{PREFIX}POSTGRES_URL": postgres.url,
        f"{PREFIX}VALKEY_URL": valkey.url,
        f"{PREFIX}WAREHOUSE_URL": f"chdb:///{data / 'warehouse'}",
        f"{PREFIX}INTERNAL_KEY": _internal_key(data),
        f"{PREFIX}DATA": str(data),
        f"{PREFIX}STARTS_AFTER": str(data / MIGRATED),
        f"{PREFIX}PUBLIC_URL": f"{'https' if tls else 'http'}://{options.host}:{options.port}",
        **{f"{PREFIX}PEERS__{name.upper()}": f"http://127.0.0.1:{port}" for name, port in inner_ports.items()},
    }
    shared = {**_FRUGAL, **ours, **environ}
    names = tuple(engine.name for engine in engines)
    services = [_service(name, ports[name], shared, names) for name in PROCESSES if name != DOOR]
    door = _door(options, inner, shared, names)
    return House((*engines, door, *services), shared, data, options.port, inner)


async def up(options: Options, environ: Mapping[str, str], *, say: Say = print, story: "Story | None" = None) -> None:
    """Runs the house until SIGTERM or SIGINT, saying what becomes ready; with a `story`, plays it once all is ready."""
    await _demand_port(options)
    house = plan(options, environ)
    (house.data / MIGRATED).unlink(missing_ok=True)
    take_short_turns()
    supervisor = supervise(house, say)
    tasks = [
        asyncio.create_task(_migrate(supervisor, house)),
        asyncio.create_task(_tell(supervisor, house, say, story)),
    ]
    for task in tasks:
        # What fails takes the house down with it instead of leaving it running without a word.
        task.add_done_callback(lambda done: supervisor.stop() if not done.cancelled() and done.exception() else None)
    try:
        await supervisor.run()
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


async def _demand_port(options: Options) -> None:
    """Raises Conflict where somebody else listens at our public port, who may be a house before us that still stops."""
    give_up = stopwatch() + _STOPS_WITHIN_SECONDS
    while is_taken(options.host, options.port):
        if stopwatch() > give_up:
            raise Conflict(f"port {options.port} of {options.host} is taken: stop who listens there, or use --port")
        await asyncio.sleep(0.2)


def supervise(house: House, say: Say) -> Supervisor:
    """The supervisor of a house; its `run` starts everything."""
    started = stopwatch()

    def tell(name: str, state: State, detail: str) -> None:
        if state in {State.READY, State.BACKOFF, State.STOPPED}:
            say(f"{stopwatch() - started:6.1f} s  {name:<14} {state.value}{': ' + detail if detail else ''}")

    return Supervisor(house.children, folder=house.data, clock=SystemClock(), on_event=tell)


async def _tell(supervisor: Supervisor, house: House, say: Say, story: "Story | None") -> None:
    await supervisor.all_ready()
    await _until_whole(house.inner_port)
    say(f"Recoup is ready at {house.url}; the first sign-in is in {house.data / FIRST_RUN}")
    if story is not None and await story(house) is After.STOP:
        supervisor.stop()


Story = Callable[[House], Awaitable[After]]


async def _until_whole(port: int) -> None:
    while True:
        if await _answers(port, "/health/ready"):
            return
        await asyncio.sleep(0.1)


async def _migrate(supervisor: Supervisor, house: House) -> None:
    """Brings the database up to date once it answers, and lets the services go on.

    They load their code meanwhile: on two cores that is most of the time a start takes. It runs as a process of its
    own, so that what migrating needs is not kept in memory.
    """
    await supervisor.ready("postgres")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "recoup", "migrate", env=dict(house.environ),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise Unavailable(f"the database could not be brought up to date: {output.decode(errors='replace')[-2000:]}")
    (house.data / MIGRATED).touch()


def _door(options: Options, inner: int, environ: Mapping[str, str], engines: tuple[str, ...]) -> Child:
    """The one process with a public port, and the only one that speaks TLS."""
    second = {} if inner == options.port else {f"{PREFIX}INNER_PORT": str(inner)}
    where = {f"{PREFIX}PORT": str(options.port), f"{PREFIX}HOST": options.host, **second}
    return _child(DOOR, {**environ, **where}, engines, lambda: _answers(inner, "/health"))


def _service(name: str, port: int, environ: Mapping[str, str], engines: tuple[str, ...]) -> Child:
    plain = {key: value for key, value in environ.items() if not key.startswith(f"{PREFIX}TLS__")}
    where = {f"{PREFIX}PORT": str(port), f"{PREFIX}HOST": "127.0.0.1"}
    return _child(name, {**plain, **where}, engines, lambda: _answers(port, "/health/ready"))


def _child(
    name: str, environ: Mapping[str, str], engines: tuple[str, ...], ready: Callable[[], Awaitable[bool]]
) -> Child:
    argv = (sys.executable, "-m", "recoup", "serve", name)
    return Child(name=name, argv=argv, env=environ, after=engines, ready=ready)


async def _answers(port: int, path: str) -> bool:
    """Whether a GET on this machine comes back with 200."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    return False


def _internal_key(data: Path) -> str:
    """The seed that signs identities between services; made once, readable by its owner alone."""
    file = data / "internal.key"
    with (
        contextlib.suppress(FileExistsError),
        os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as new,
    ):
        new.write(new_secret().reveal())
    return file.read_text()
