"""librdkafka's clients as the Kafka log uses them: settings from the URL, errors of ours, one thread for what blocks.

The log's URL is `kafka://host:port,host:port?option=value&…`; the options are librdkafka's own, percent-encoded, for
example `security.protocol=SASL_SSL&sasl.mechanism=SCRAM-SHA-512&sasl.username=…&sasl.password=…&ssl.ca.location=…`.
Options that the log's promises rest on (acknowledgements, idempotence, isolation, commits) cannot be set there. Options
that begin with `topics.` are Kafka's settings of the topics we create: `topics.replication.factor=3`,
`topics.min.insync.replicas=2`, `topics.retention.ms=…`. No option is ever shown: some of them are secrets.
"""

import asyncio
import atexit
import logging
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, ParamSpec, TypeVar
from urllib.parse import parse_qsl

import msgspec
from confluent_kafka import KafkaError, KafkaException
from msgspec import Struct
from typing_extensions import override

from recoup.kit.errors import Failure, Invalid, TooLarge, Unavailable
from recoup.kit.log.port import Fenced

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")

# How long one exchange with the broker may take before we say that it does not answer.
PATIENCE_SECONDS = 10.0
# How long the last call of a client may take, leaving its group included, before we go without it.
LAST_CALL_SECONDS = 6.0
# Topics of ours take records up to this size; the broker's own default of 1 MiB is for topics made by others.
LARGEST_RECORD_BYTES = 16 << 20

_OURS: Final = frozenset({
    "acks", "auto.offset.reset", "bootstrap.servers", "enable.auto.commit", "enable.auto.offset.store",
    "enable.idempotence", "enable.partition.eof", "group.id", "group.instance.id", "isolation.level",
    "partition.assignment.strategy", "request.required.acks", "transactional.id",
})  # fmt: skip
_OF_CONSUMERS: Final = ("fetch.", "heartbeat.", "max.poll.", "queued.", "session.")
_OF_PRODUCERS: Final = (
    "batch.", "compression.", "delivery.", "linger.", "max.in.flight", "message.", "queue.", "retries", "transaction.",
)  # fmt: skip
# librdkafka's own codes, as opposed to a broker's, begin with an underscore and are public all the same.
PARTITION_EOF: Final = KafkaError._PARTITION_EOF  # noqa: SLF001
FATAL: Final = KafkaError._FATAL  # noqa: SLF001
WRONG_STATE: Final = KafkaError._STATE  # noqa: SLF001
# A connection made by one of the addresses given was given up for the one that the broker names itself by.
REPLACED: Final = KafkaError._DESTROY_BROKER  # noqa: SLF001
_REFUSALS: Final = (KafkaError._AUTHENTICATION, KafkaError._SSL)  # noqa: SLF001
OUTAGES: Final = (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, *_REFUSALS)  # noqa: SLF001
# Of all that can befall a consumer only being replaced is fatal.
_FENCED_HERE: Final = (FATAL, KafkaError._FENCED, KafkaError._ASSIGNMENT_LOST)  # noqa: SLF001
_BUGS: Final = (KafkaError._INVALID_ARG, WRONG_STATE, KafkaError._CONFLICT)  # noqa: SLF001
_FENCED: Final = frozenset({
    KafkaError.FENCED_INSTANCE_ID, KafkaError.ILLEGAL_GENERATION, KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED, KafkaError.REBALANCE_IN_PROGRESS, KafkaError.UNKNOWN_MEMBER_ID,
    *_FENCED_HERE,
})  # fmt: skip
_TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})

_TOPICS: Final = "topics."
_REPLICATION: Final = "replication.factor"
_FACTOR_THAT_SPARES_ONE: Final = 3
BROKERS_CHOICE: Final = -1
_MIN_IN_SYNC: Final = "min.insync.replicas"

_quiet = logging.getLogger("librdkafka")


class Door:
    """Remembers why a broker would not let us in: the errors that follow from that do not tell."""

    def __init__(self) -> None:
        self._said = ""

    def heard(self, error: KafkaError) -> None:
        """For a client's `error_cb`."""
        if error.code() in _REFUSALS:
            self._said = error.str()

    def explain(self, what: str) -> str:
        return f"{what}; a broker refused us: {self._said}" if self._said else what


class KafkaSettings(Struct, frozen=True):
    """Where the brokers are and how to speak to them."""

    servers: str
    options: Mapping[str, str]
    topics: Mapping[str, str] = {}
    """Kafka's settings of the topics we create."""
    replication: int = BROKERS_CHOICE
    door: Door = msgspec.field(default_factory=Door)

    @override
    def __repr__(self) -> str:
        return f"KafkaSettings({self.servers!r})"

    def admin(self) -> dict[str, Any]:
        return self._common(())

    def producer(self, **own: object) -> dict[str, Any]:
        ours = {
            "acks": "all",
            "enable.idempotence": True,
            # The collector gathers by itself; waiting again here would only add to the acknowledgement.
            "linger.ms": 0,
            "message.max.bytes": LARGEST_RECORD_BYTES,
            "message.timeout.ms": round(PATIENCE_SECONDS * 1000),
        }
        return ours | self._common(_OF_PRODUCERS) | own

    def transactional(self, identity: str) -> dict[str, Any]:
        """Outputs of one reader. A transaction left open by a dead process holds up its readers no longer than this."""
        timeout = {"transaction.timeout.ms": round(PATIENCE_SECONDS * 1000)}
        return timeout | self.producer(**{"transactional.id": identity})

    def consumer(self, **own: object) -> dict[str, Any]:
        ours = {
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "session.timeout.ms": 6000,
            # A member that lives and does not read holds up its whole group's sharing out for so long, not 5 minutes.
            "max.poll.interval.ms": 60_000,
            # A question to a broker that vanished without a word is put again after this time, not after a minute.
            "socket.timeout.ms": 10_000,
            # New partitions are noticed within this time.
            "topic.metadata.refresh.interval.ms": 10_000,
        }
        given = self._common(_OF_CONSUMERS)
        merged: dict[str, Any] = ours | given | own
        # The broker is told often enough that three beats fit into a session.
        return {"heartbeat.interval.ms": int(merged["session.timeout.ms"]) // 4} | merged

    def _common(self, wanted: tuple[str, ...]) -> dict[str, Any]:
        special = (*_OF_CONSUMERS, *_OF_PRODUCERS)
        chosen = {
            name: value
            for name, value in self.options.items()
            if name.startswith(wanted) or not name.startswith(special)
        }
        ours = {"bootstrap.servers": self.servers, "logger": _quiet, "error_cb": self.door.heard}
        return {"reconnect.backoff.max.ms": 1000, "socket.connection.setup.timeout.ms": 5000} | chosen | ours


def parse(address: str) -> KafkaSettings:
    """`host:port,…?option=value&…`; refuses options that are ours to choose."""
    servers, _, query = address.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    forbidden = sorted(_OURS & options.keys())
    if forbidden or not servers:
        what = f"not to be set in the URL: {', '.join(forbidden)}" if forbidden else "no server in the URL"
        raise Invalid(f"kafka: {what}")
    topics = {name: options.pop(name) for name in sorted(options) if name.startswith(_TOPICS)}
    topics = {name.removeprefix(_TOPICS): value for name, value in topics.items()}
    replication = _whole(topics.pop(_REPLICATION)) if _REPLICATION in topics else BROKERS_CHOICE
    if replication >= _FACTOR_THAT_SPARES_ONE:
        topics = {_MIN_IN_SYNC: str(replication - 1)} | topics
    return KafkaSettings(servers.rstrip("/"), options, topics, replication)


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise Invalid(f"kafka: {_TOPICS}{_REPLICATION} is a number of brokers, not {text!r}")
    return int(text)


def made(kind: Callable[[dict[str, Any]], C], options: dict[str, Any]) -> C:
    """A client; raises Invalid for options that the library does not take."""
    try:
        return kind(options)
    except KafkaException as error:
        raise Invalid(f"kafka: {error.args[0].str()}") from error


def failure(error: KafkaError, door: Door | None = None) -> Exception:
    """What a client's error means to us: another took over, our mistake, a bug, or a broker that is away."""
    code = error.code()
    if code in _FENCED:
        return Fenced(f"kafka: {error.str()}")
    if code in _TOO_LARGE:
        return TooLarge(f"kafka takes no record above {LARGEST_RECORD_BYTES} bytes")
    if code == KafkaError.INVALID_CONFIG:
        return Invalid(f"kafka: {error.str()}")
    if code in _BUGS:
        return KafkaException(error)
    what = f"kafka does not answer: {error.str()}"
    return Unavailable(door.explain(what) if door else what)


def code_of(error: Failure) -> int | None:
    """What the library's own error was, where it caused this one."""
    cause = error.__cause__
    return cause.args[0].code() if isinstance(cause, KafkaException) else None


@contextmanager
def translated(door: Door | None = None) -> Generator[None]:
    """Turns the client's exceptions into ours."""
    try:
        yield
    except KafkaException as error:
        raise failure(error.args[0], door) from error


def within(seconds: float, call: Callable[[], object]) -> None:
    """Waits so long for a call that may never return; then raises TimeoutError and leaves it to the process's end."""
    done: Future[object] = Future()
    Thread(target=_settle, args=(done, call), name="kafka, left to itself", daemon=True).start()
    done.result(seconds)


class OneThread:
    """Runs a client's blocking calls one after the other, beside the event loop.

    A call that does not come back delays the end of the process by `LAST_CALL_SECONDS` at most: the thread is a daemon.
    """

    def __init__(self, name: str, door: Door | None = None) -> None:
        self._door = door
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], object]] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._ended = False

    async def do(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        with translated(self._door):
            return await asyncio.wrap_future(self._put(lambda: call(*args, **kwargs)))

    async def end(self, last: Callable[[], None]) -> None:
        """Makes one last call, even if we are cancelled meanwhile; raises TimeoutError where that takes too long."""
        if self._ended:
            return
        done = self._put(last)
        self._ended = True
        self._calls.put(None)
        try:
            with translated(self._door):
                await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(done)), LAST_CALL_SECONDS)
        except asyncio.CancelledError:
            atexit.register(self._thread.join, LAST_CALL_SECONDS)
            raise

    def _put(self, call: Callable[[], R]) -> "Future[R]":
        if self._ended:
            raise RuntimeError("the last call has been made")
        done: Future[R] = Future()
        self._calls.put((done, call))
        if self._thread.ident is None:
            self._thread.start()
        return done

    def _run(self) -> None:
        while (waiting := self._calls.get()) is not None:
            _settle(*waiting)


def _settle(done: "Future[Any]", call: Callable[[], object]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        done.set_result(call())
    except BaseException as error:  # noqa: BLE001 - whoever waits for the call gets it
        done.set_exception(error)
