"""The log on Valkey Streams: one stream a partition, positions as plain keys, nothing to keep per record and group.

Keys, all under `log:`
    log:s:{topic}:{partition}           the stream
    log:p:{group}:{topic}:{partition}   "offset records step": the last committed offset, how many records that makes,
                                        and how many commits, so that one which moves nothing is seen as well
    log:g:{topic}                       the set of groups that trimming waits for
    log:m:{group}:{topics}              members by last sign of life (sorted set, ms)
    log:l:{group}:{topics}:{partition}  the member that owns a partition; expires when it dies
    log:e                               there since this log was empty: a server that came back empty has none
    log:y                               there while the log is so young that not every group may have registered

A server that comes back empty is set up again by those who read: with each sign of life they register their group.
Until all had time to, nothing is trimmed.

Exclusive reading rests on the leases, but correctness does not: a commit is conditional (WATCH) on the positions it
started from, so that of two members who both believe they own a partition only one can advance.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, cast

import msgspec
from redis.exceptions import WatchError

from recoup.kit.clock import now_milliseconds, stopwatch
from recoup.kit.log.port import Effects, Fenced, Lag, Outgoing, Positions, Reader, Record, concerns
from recoup.kit.log.valkey_scripts import KEEP, LEAVE, WRITTEN
from recoup.kit.valkey import Pipeline, Valkey, connect, settled, translated, watched

LEASE_MS = 5_000
RENEW_MS = 1_500
SETTLE_MS = 30_000
_SEQUENCE_BITS = 20


class Progress(NamedTuple):
    """A group's position on a partition: see the key above."""

    offset: int = 0
    records: int = 0
    step: int = 0

    @property
    def text(self) -> str:
        return f"{self.offset} {self.records} {self.step}"


def _offset(entry: bytes) -> int:
    stamp, _, sequence = entry.partition(b"-")
    return int(stamp) << _SEQUENCE_BITS | int(sequence)


def _entry(offset: int) -> str:
    return f"{offset >> _SEQUENCE_BITS}-{offset & (1 << _SEQUENCE_BITS) - 1}"


def _stream(topic: str, partition: int) -> str:
    return f"log:s:{topic}:{partition}"


def _groups(topic: str) -> str:
    return f"log:g:{topic}"


def _position(group: str, topic: str, partition: int) -> str:
    return f"log:p:{group}:{topic}:{partition}"


def _progress(value: bytes | None) -> Progress:
    return Progress(*map(int, value.split())) if value else Progress()


def _add(pipe: Pipeline, topic: str, record: Outgoing) -> None:
    fields: dict[str, bytes] = {"v": record.value}
    if record.headers:
        fields["h"] = msgspec.json.encode(record.headers)
    pipe.execute_command(
        "XADD", _stream(topic, record.partition), "*", *(part for pair in fields.items() for part in pair)
    )


@dataclass(slots=True)
class ValkeyLog:
    """The log of one Valkey server. Durable as its append-only file is: see `appendfsync` in the operations guide."""

    url: str
    partitions: int
    _valkey: Valkey = field(init=False)
    _registered: set[tuple[str, str]] = field(default_factory=set)
    """Group and topic."""

    def __post_init__(self) -> None:
        self._valkey = connect(self.url)

    async def append(self, topic: str, records: Sequence[Outgoing]) -> None:
        with translated():
            async with self._valkey.pipeline(transaction=len(records) > 1) as pipe:
                for record in records:
                    _add(pipe, topic, record)
                await pipe.execute()

    def reader(self, group: str, member: str, topics: Sequence[str]) -> Reader:
        valkey = connect(self.url, timeout_seconds=30)
        return ValkeyReader(valkey, self.partitions, group, member, tuple(topics), self._registered)

    async def register(self, group: str, topics: Sequence[str]) -> None:
        with translated():
            async with self._valkey.pipeline(transaction=True) as pipe:
                for topic in topics:
                    pipe.sadd(_groups(topic), group)
                await pipe.execute()
        self._registered.update((group, topic) for topic in topics)

    async def holds_for(self, topic: str) -> frozenset[str]:
        names = await settled(self._valkey.smembers(_groups(topic)))
        return frozenset(cast("bytes", name).decode() for name in names)

    async def reads(self, group: str, topic: str) -> bool:
        return group in await self.holds_for(topic)

    async def lag(self, group: str, topic: str) -> Sequence[Lag]:
        places = range(self.partitions)
        streams = [_stream(topic, partition) for partition in places]
        positions = [_position(group, topic, partition) for partition in places]
        written = cast("list[int]", await settled(self._valkey.eval(WRITTEN, len(streams), *streams)))
        values = cast("list[bytes | None]", await settled(self._valkey.mget(positions)))
        return [
            Lag(partition=partition, waiting=max(0, count - _progress(value).records), written=count)
            for partition, count, value in zip(places, written, values, strict=True)
        ]

    async def seek(self, group: str, topic: str, where: Literal["start", "end"]) -> None:
        for partition in range(self.partitions):
            extent = await _extent(self._valkey, _stream(topic, partition))
            there = Progress(extent.last, extent.written) if where == "end" else Progress(0, extent.dropped)
            await settled(self._valkey.set(_position(group, topic, partition), there.text))

    async def trim(self, topic: str, *, keep_seconds: float) -> None:
        groups = sorted(await self.holds_for(topic))
        born, young = cast("list[bytes | None]", await settled(self._valkey.mget(["log:e", "log:y"])))
        if not groups or not born or young:
            return
        positions = [_position(group, topic, partition) for partition in range(self.partitions) for group in groups]
        values = await settled(self._valkey.mget(positions))
        oldest = (now_milliseconds() - round(keep_seconds * 1000)) << _SEQUENCE_BITS
        with translated():
            async with self._valkey.pipeline(transaction=False) as pipe:
                for partition in range(self.partitions):
                    mine = cast("list[bytes | None]", values)[partition * len(groups) : (partition + 1) * len(groups)]
                    reached = min(oldest, *(_progress(value).offset + 1 for value in mine))
                    if reached > 1:
                        pipe.xtrim(_stream(topic, partition), minid=_entry(reached), approximate=True)
                await pipe.execute()

    async def after(self, topic: str, offsets: Mapping[int, int], *, limit: int) -> Sequence[Record]:
        return await self._behind(topic, {at: offsets.get(at, 0) for at in range(self.partitions)}, limit)

    async def _behind(self, topic: str, offsets: Mapping[int, int], limit: int) -> list[Record]:
        starts = {_stream(topic, partition): _entry(offset) for partition, offset in offsets.items()}
        answer = await settled(
            self._valkey.execute_command("XREAD", "COUNT", limit, "STREAMS", *starts.keys(), *starts.values())
        )
        return sorted(_records(answer), key=lambda record: record.partition)

    async def past(
        self, topic: str, partitions: Iterable[int], *, since_ms: int, limit: int
    ) -> AsyncIterator[Sequence[Record]]:
        offsets = dict.fromkeys(partitions, max(0, (since_ms << _SEQUENCE_BITS) - 1))
        while offsets and (records := await self._behind(topic, offsets, limit)):
            offsets |= {record.partition: record.offset for record in records}
            yield [record for record in records if concerns(record, None)]

    async def size(self, topic: str) -> int:
        with translated():
            async with self._valkey.pipeline(transaction=False) as pipe:
                for partition in range(self.partitions):
                    pipe.xlen(_stream(topic, partition))
                return sum(await pipe.execute())

    async def ping(self) -> None:
        await settled(self._valkey.ping())

    async def close(self) -> None:
        await self._valkey.aclose()


@dataclass(slots=True)
class ValkeyReader:
    """One member of a group; used by one task at a time."""

    valkey: Valkey
    partitions: int
    group: str
    member: str
    topics: tuple[str, ...]
    registered: set[tuple[str, str]]
    _owned: frozenset[int] = frozenset()
    _renewed_at: float = float("-inf")
    # By (topic, partition): what was committed, what was read, and records read since the commit.
    _committed: dict[tuple[str, int], Progress] = field(default_factory=dict)
    _read: dict[tuple[str, int], int] = field(default_factory=dict)
    _pending: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    # Of the pending ones, those put back for other groups.
    _passed: dict[tuple[str, int], set[int]] = field(default_factory=dict)

    def owned(self) -> frozenset[int]:
        return self._owned

    def bereft(self) -> frozenset[int]:
        return frozenset()

    async def read(self, *, wait_seconds: float, limit: int) -> Sequence[Record]:
        await self._keep_leases()
        if not self._owned:
            await asyncio.sleep(min(wait_seconds, RENEW_MS / 1000))
            return ()
        wait_ms = max(1, min(round(wait_seconds * 1000), RENEW_MS))
        streams = {
            _stream(topic, partition): _entry(self._read[topic, partition])
            for topic in self.topics
            for partition in self._owned
        }
        # RESP2 answers are lists of [stream, [[id, [field, value, …]], …]]; parsed by hand, as one dict a record costs
        # more than the read.
        answer = await settled(
            self.valkey.execute_command(
                "XREAD", "COUNT", limit, "BLOCK", wait_ms, "STREAMS", *streams.keys(), *streams.values()
            )
        )
        records = self._noted(_records(answer))
        if self._passed:
            await self._pass_over()
        return records

    def _noted(self, records: list[Record]) -> list[Record]:
        mine: list[Record] = []
        for record in records:
            at = (record.topic, record.partition)
            self._pending.setdefault(at, []).append(record.offset)
            self._read[at] = record.offset
            if concerns(record, self.group):
                mine.append(record)
            else:
                self._passed.setdefault(at, set()).add(record.offset)
        return mine

    async def _pass_over(self) -> None:
        """Commits records put back for other groups where nothing else is open; the rest waits for a later read."""
        for at, passed in list(self._passed.items()):
            pending = self._pending[at]
            if passed.issuperset(pending):
                del self._passed[at]
                if pending:
                    await self.commit({at: pending[-1]})

    async def commit(
        self,
        positions: Positions,
        outputs: Mapping[str, Sequence[Outgoing]] | None = None,
        effects: Effects | None = None,
    ) -> None:
        advanced = self._advanced(positions)
        keys = {_position(self.group, *at): at for at in advanced}
        with translated():
            async with self.valkey.pipeline(transaction=True) as pipe:
                await self._expect(pipe, keys)
                pipe.multi()
                for topic, records in (outputs or {}).items():
                    for record in records:
                        _add(pipe, topic, record)
                if effects is not None:
                    effects(pipe)
                pipe.mset({key: advanced[at].text for key, at in keys.items()})
                try:
                    await pipe.execute()
                except WatchError as error:
                    raise self._lost(f"{self.group}: another member committed first") from error
        self._committed.update(advanced)
        for at, progress in advanced.items():
            self._pending[at] = [later for later in self._pending.get(at, ()) if later > progress.offset]

    def _advanced(self, positions: Positions) -> dict[tuple[str, int], Progress]:
        """Where each partition will stand. Effects or outputs alone are a commit on every partition, as it stands."""
        unmoved = {
            (topic, partition): self._committed[topic, partition].offset
            for topic in self.topics
            for partition in self._owned
        }
        advanced: dict[tuple[str, int], Progress] = {}
        for at, offset in (positions or unmoved).items():
            before = self._committed.get(at, Progress())
            handled = sum(1 for read in self._pending.get(at, ()) if read <= offset)
            advanced[at] = Progress(offset, before.records + handled, before.step + 1)
        if not advanced:
            raise self._lost(f"{self.group}: this member owns no partition")
        return advanced

    async def _expect(self, pipe: Pipeline, keys: Mapping[str, tuple[str, int]]) -> None:
        """Watches the positions and compares them with those this batch started from."""
        values = await watched(pipe, list(keys))
        for at, value in zip(keys.values(), values, strict=True):
            known = self._committed.get(at)
            # Where nothing was ever committed there is no key, whatever we count as trimmed.
            if known is None or (_progress(value) != known if value else known.step > 0):
                raise self._lost(f"{self.group}: partition {at[1]} of {at[0]} has moved on")

    def _lost(self, why: str) -> Fenced:
        self._owned = frozenset()
        self._renewed_at = float("-inf")
        return Fenced(why)

    async def rewind(self) -> None:
        self._owned = frozenset()
        self._renewed_at = float("-inf")

    async def close(self) -> None:
        try:
            await settled(self.valkey.eval(LEAVE, 2, *self._lease_keys(), self.member, self.partitions))
        finally:
            await self.valkey.aclose()

    def _lease_keys(self) -> tuple[str, str]:
        # Members that read other topics are no help with these, so partitions are shared among equals.
        scope = f"{self.group}:{'+'.join(self.topics)}"
        return f"log:m:{scope}", f"log:l:{scope}:"

    async def _keep_leases(self) -> None:
        """Renews this member's sign of life and its leases, takes what falls to it, gives up what does not."""
        if stopwatch() - self._renewed_at < RENEW_MS / 1000:
            return
        mine = [_groups(topic) for topic in self.topics if (self.group, topic) in self.registered]
        keys = (*self._lease_keys(), *mine)
        said = (self.member, LEASE_MS, self.partitions, self.group, SETTLE_MS)
        answer = await settled(self.valkey.eval(KEEP, len(keys), *keys, *said))
        held = frozenset(cast("list[int]", answer))
        await self._start_at(held - self._owned)
        self._owned = held
        self._renewed_at = stopwatch()

    async def _start_at(self, partitions: frozenset[int]) -> None:
        """Loads the committed positions of partitions that were just taken."""
        ats = [(topic, partition) for topic in self.topics for partition in sorted(partitions)]
        if not ats:
            return
        values = await settled(self.valkey.mget([_position(self.group, topic, partition) for topic, partition in ats]))
        for at, value in zip(ats, cast("list[bytes | None]", values), strict=True):
            # Records dropped before this group ever came, it will never read: they count as read.
            dropped = 0 if value else (await _extent(self.valkey, _stream(*at))).dropped
            self._committed[at] = _progress(value) if value else Progress(records=dropped)
            self._read[at] = self._committed[at].offset
            self._pending[at] = []
            self._passed.pop(at, None)


class _Extent(NamedTuple):
    """What a stream holds: records ever written, those trimmed away, and the offset of the last."""

    written: int = 0
    dropped: int = 0
    last: int = 0


async def _extent(valkey: Valkey, stream: str) -> _Extent:
    if not await settled(valkey.exists(stream)):
        return _Extent()
    info = cast("dict[str, object]", await settled(valkey.xinfo_stream(stream)))
    written, length = cast("int", info["entries-added"]), cast("int", info["length"])
    return _Extent(written, written - length, _offset(cast("bytes", info["last-generated-id"])))


def _records(answer: object) -> list[Record]:
    """The records of what XREAD answered."""
    found: list[Record] = []
    pairs = cast("Iterable[tuple[bytes, object]]", answer.items() if isinstance(answer, dict) else (answer or ()))
    for name, entries in pairs:
        topic, _, number = name.decode().removeprefix("log:s:").rpartition(":")
        for entry, fields in _flat(entries):
            headers = msgspec.json.decode(fields[b"h"], type=dict[str, str]) if b"h" in fields else {}
            found.append(Record(topic, int(number), _offset(entry), fields[b"v"], headers))
    return found


def _flat(entries: object) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The entries of one stream, whichever of its shapes the client chose."""
    rows = cast("Sequence[tuple[bytes, Sequence[bytes] | dict[bytes, bytes]]]", entries)
    flat: list[tuple[bytes, dict[bytes, bytes]]] = []
    for entry, fields in rows:
        if isinstance(fields, dict):
            flat.append((entry, fields))
        else:
            flat.append((entry, dict(zip(fields[::2], fields[1::2], strict=True))))
    return flat
