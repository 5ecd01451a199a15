"""The log as its users see it. Two engines keep this promise (`valkey_streams`, `kafka`); `open_log` picks one by URL.

A topic has a fixed number of partitions; order is promised inside one. A group reads each record at least once: what
was read and not committed is read again by whoever owns the partition next. `commit` makes a batch's effects visible
together: the group's progress, the records written on and the state changes, or none of them.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol, runtime_checkable
from zlib import crc32

from msgspec import Struct

from recoup.kit.errors import Failure
from recoup.kit.valkey import Pipeline

# Offsets of the last record dealt with, by (topic, partition). They grow along a partition and have no other meaning.
Positions = Mapping[tuple[str, int], int]
Effects = Callable[[Pipeline], None]

ONLY_FOR: Final = "only-for"
"""Header of a record that was put back for one group, by its name: every other has dealt with it already."""


class Outgoing(NamedTuple):
    """A record to append."""

    partition: int
    value: bytes
    headers: Mapping[str, str] = {}


class Record(NamedTuple):
    """A record that was read."""

    topic: str
    partition: int
    offset: int
    value: bytes
    headers: Mapping[str, str]


def concerns(record: Record, group: str | None) -> bool:
    """Whether a group has to deal with a record; without a group, whether it is no repetition."""
    return not record.headers or record.headers.get(ONLY_FOR, group) == group


class Fenced(Failure):
    """Another reader of the group has taken over; nothing of this commit happened. Read again."""

    code = "fenced"


class Lag(Struct, frozen=True):
    """How far a group is behind on one partition: records not yet committed, and those there have ever been."""

    partition: int
    waiting: int
    written: int


class Reader(Protocol):
    """One member of a group."""

    async def read(self, *, wait_seconds: float, limit: int) -> Sequence[Record]:
        """What waits on the partitions this member owns, at most `limit` records a partition.

        Blocks up to `wait_seconds` for the first record; empty when none came. Records of a partition come in order.
        A record put back for another group is passed over, and committed by itself once nothing before it is open.
        With a limit of 0 it hands out nothing, and tells the group that this member lives. Raises Fenced where state
        that belonged to the group's commits is found gone, or another took over.
        """
        ...

    async def commit(
        self,
        positions: Positions,
        outputs: Mapping[str, Sequence[Outgoing]] | None = None,
        effects: Effects | None = None,
    ) -> None:
        """Makes progress, outputs by topic and state changes visible at once.

        Raises Fenced and does nothing if another took over. Effects and outputs without positions are a commit on every
        partition owned, as it stands, and fenced alike. A group either always gives effects or never.
        """
        ...

    def owned(self) -> frozenset[int]:
        """Partitions this member reads now; changes only inside `read`."""
        ...

    def bereft(self) -> frozenset[int]:
        """Partitions owned on which the group has committed effects that are gone, while the log still stands.

        So from when they are taken until the next commit of effects. Never where effects lie in the log's own server.
        """
        ...

    async def rewind(self) -> None:
        """Forgets what was read and not committed; the next `read` starts at the committed positions."""
        ...

    async def close(self) -> None:
        """Leaves the group."""
        ...


@runtime_checkable  # so that Litestar can hand one to a route
class Log(Protocol):
    """The log of one installation."""

    partitions: int

    async def append(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Returns once every record is durable; raises Unavailable when the log takes none."""
        ...

    def reader(self, group: str, member: str, topics: Sequence[str]) -> Reader:
        """A member of `group`. The same member name starting again takes over its own partitions at once."""
        ...

    async def register(self, group: str, topics: Sequence[str]) -> None:
        """Makes the group known from the topics' first record on, so that nothing is trimmed before it was read."""
        ...

    async def holds_for(self, topic: str) -> frozenset[str]:
        """The groups without whose commits records of this topic are never dropped, however full the log gets."""
        ...

    async def reads(self, group: str, topic: str) -> bool:
        """Whether a group has ever begun to read a topic; of one that has not, a lag says nothing."""
        ...

    async def lag(self, group: str, topic: str) -> Sequence[Lag]:
        """One entry a partition."""
        ...

    async def seek(self, group: str, topic: str, where: Literal["start", "end"]) -> None:
        """Moves the group's committed position; its readers must be stopped."""
        ...

    async def trim(self, topic: str, *, keep_seconds: float) -> None:
        """Drops records that every registered group has committed and that are older than `keep_seconds`."""
        ...

    async def after(self, topic: str, offsets: Mapping[int, int], *, limit: int) -> Sequence[Record]:
        """Records behind these offsets, at most `limit` a partition, in order by partition; for no group, and at once.

        A partition that is not named is read from its first record kept on.
        """
        ...

    def past(
        self, topic: str, partitions: Iterable[int], *, since_ms: int, limit: int
    ) -> AsyncIterator[Sequence[Record]]:
        """Records written to these partitions since a moment, up to what is there now; for no group.

        In portions of some `limit` records, each partition's in order, without those put back for one group, which
        stand there twice. What a commit under way is still to decide on is waited for.
        """
        ...

    async def size(self, topic: str) -> int:
        """Records held now, over all partitions; what trimming has left."""
        ...

    async def ping(self) -> None:
        """Raises Unavailable unless the log answers."""
        ...

    async def close(self) -> None: ...


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key; the same on every machine and engine."""
    return crc32(key.encode()) % partitions
