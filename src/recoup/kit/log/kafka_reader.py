"""The reader on Kafka: a group member beside the event loop, its progress tied to Valkey's state by the journal."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from confluent_kafka import Message

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Unavailable
from recoup.kit.log.kafka_client import PARTITION_EOF, OneThread
from recoup.kit.log.kafka_journal import At, Journal, Mark, Step
from recoup.kit.log.kafka_member import Member
from recoup.kit.log.port import Effects, Fenced, Outgoing, Positions, Record, concerns
from recoup.kit.telemetry import logger

log = logger(__name__)

# While a member has no partition yet it looks up often, as the first poll after an assignment returns nothing.
_JOINING_SECONDS = 0.1
# So often a reader to whom nothing comes, and who so commits nothing, looks whether its state is still there.
_LOOK_SECONDS = 1.0


@dataclass(slots=True)
class KafkaReader:
    """One member of a group; used by one task at a time."""

    member: Member
    journal: Journal
    ensure: Callable[[str], Awaitable[None]]
    _thread: OneThread = field(init=False)
    # By partition that is being read: the next offset to hand out, the one committed, and the last step on it.
    _next: dict[At, int] = field(default_factory=dict)
    _done: dict[At, int] = field(default_factory=dict)
    _marks: dict[At, Mark | None] = field(default_factory=dict)
    # Partitions whose last step Kafka has been told of, but of which nothing is left in Valkey.
    _bereft: set[At] = field(default_factory=set)
    _looked_at: float = 0.0
    # Fetched and not handed out; and where a partition ends, once everything before has been fetched.
    _held: list[Record] = field(default_factory=list)
    _ends: dict[At, int] = field(default_factory=dict)
    _start_over: bool = False

    def __post_init__(self) -> None:
        self._thread = OneThread(f"kafka {self.member.group}", self.member.settings.door)

    def owned(self) -> frozenset[int]:
        topics = self.member.topics
        return frozenset(
            partition for _, partition in self._next if all((topic, partition) in self._next for topic in topics)
        )

    async def read(self, *, wait_seconds: float, limit: int) -> Sequence[Record]:
        give_up = stopwatch() + wait_seconds
        if not self.member.joined:
            for topic in self.member.topics:
                await self.ensure(topic)
            await self._thread.do(self.member.join)
        while True:
            taken = await self._took()
            left = max(0.0, give_up - stopwatch())
            if not self._held or not limit:
                await self._fetch(left if self._next else min(left, _JOINING_SECONDS), limit)
            if self._held or (left <= 0 and not (taken and self.member.waiting)):
                await self._look()
                return self._hand_out(limit)

    def bereft(self) -> frozenset[int]:
        return frozenset(partition for _, partition in self._bereft)

    async def _look(self) -> None:
        """Finds out while nothing comes what a commit would find out: that Valkey came back empty."""
        known = {at: mark for at, mark in self._marks.items() if mark is not None}
        if self._held or not known or stopwatch() - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = stopwatch()
        if None in (await self.journal.marks(list(known))).values():
            raise Fenced(f"{self.member.group}: the state of its commits is gone")

    async def _took(self) -> bool:
        try:
            await self._take()
        except Fenced:
            # The group is being shared out anew, or another finishes the same step: the next poll goes along.
            self._start_over = True
            return False
        return True

    async def _fetch(self, wait_seconds: float, limit: int) -> None:
        try:
            messages = await self._thread.do(self.member.poll, wait_seconds, limit)
        except BaseException:
            # Cancelled or failed, what was fetched meanwhile is lost on us; it must not be skipped.
            self._start_over = True
            raise
        self._forget(self._next.keys() - (self.member.assigned - self.member.waiting))
        for message in messages:
            self._sort_in(message)
        await self._commit_ends()

    def _sort_in(self, message: Message) -> None:
        error = message.error()
        at = (message.topic() or "", message.partition() or 0)
        offset = message.offset() or 0
        if at not in self._next:
            if error is not None:
                log.warning("kafka", group=self.member.group, topic=at[0], why=error.str())
        elif error is None:
            headers = {name: _text(value) for name, value in message.headers() or ()}
            record = Record(*at, offset, message.value() or b"", headers)
            if concerns(record, self.member.group):
                self._held.append(record)
            else:
                # Behind it the partition ends, as far as this group is concerned.
                self._ends[at] = offset + 1
        elif error.code() == PARTITION_EOF:
            self._ends[at] = offset
        else:
            log.warning("kafka", group=self.member.group, topic=at[0], partition=at[1], why=error.str())

    def _hand_out(self, limit: int) -> list[Record]:
        taken: Counter[At] = Counter()
        given: list[Record] = []
        kept: list[Record] = []
        for record in self._held:
            at = (record.topic, record.partition)
            if taken[at] == limit:
                kept.append(record)
                continue
            taken[at] += 1
            given.append(record)
            self._next[at] = record.offset + 1
        self._held = kept
        return given

    async def _commit_ends(self) -> None:
        """A transaction's end takes an offset of its own: behind the last record, the group stands at the very end."""
        held = {(record.topic, record.partition) for record in self._held}
        marks: dict[At, Mark] = {}
        for at in [at for at in self._ends if at not in held and self._next[at] == self._done[at]]:
            end = self._ends.pop(at)
            if end > self._done[at]:
                mark = self._marks[at]
                marks[at] = Mark(end, mark.step if mark else "")
        if not marks:
            return
        with suppress(Fenced, Unavailable):
            await self._thread.do(self.member.commit, marks)
            for at, mark in marks.items():
                self._next[at] = self._done[at] = mark.end

    async def _take(self) -> None:
        """Finishes what its last owner left undone on new partitions, and starts to read behind it."""
        if self._start_over:
            self._forget(set(self._next))
            await self._thread.do(self.member.stop)
            self._start_over = False
        ats = sorted(self.member.waiting)
        if not ats:
            return
        marks = await self.journal.marks(ats)
        if any(marks.values()) or self.member.transacts:
            await self._thread.do(self.member.settle)
        known = await self._thread.do(self.member.committed, ats)
        starts: dict[At, int | None] = {}
        for at in ats:
            mark, committed = marks[at], known[at]
            if mark is not None and (committed is None or committed.step != mark.step):
                await self._finish(at, mark)
                committed = mark
            starts[at] = committed.end if committed else None
            if mark is None and committed is not None and committed.step:
                self._bereft.add(at)
        await self._thread.do(self.member.start, starts)
        for at, start in starts.items():
            self._next[at] = self._done[at] = start or 0
            self._marks[at] = marks[at]

    async def _finish(self, at: At, mark: Mark) -> None:
        step = await self.journal.step(mark.step)
        if step is None:
            await self._thread.do(self.member.commit, {at: mark})
            return
        log.info("finishing a step", group=self.member.group, topic=at[0], partition=at[1])
        told = {(topic, partition): Mark(end, mark.step) for topic, partition, end in step.ends}
        await self._thread.do(self.member.tell_again, step, told, at)
        await self.journal.finished(mark.step)

    async def commit(
        self,
        positions: Positions,
        outputs: Mapping[str, Sequence[Outgoing]] | None = None,
        effects: Effects | None = None,
    ) -> None:
        for topic in outputs or ():
            await self.ensure(topic)
        try:
            await self._commit(Step.of(self._reached(positions), outputs or {}), effects)
        except BaseException:
            self._start_over = True
            raise

    def _reached(self, positions: Positions) -> dict[At, int]:
        """The offsets to go on from. A commit of effects or outputs alone stands for all partitions, unmoved."""
        reached = {at: offset + 1 for at, offset in positions.items()} or dict(self._done)
        lost = [at for at, end in reached.items() if end < self._done.get(at, end + 1)]
        if lost or not reached or self._start_over:
            raise Fenced(f"{self.member.group}: partitions have moved: {lost}")
        return reached

    async def _commit(self, step: Step, effects: Effects | None) -> None:
        ends = {(topic, partition): end for topic, partition, end in step.ends}
        marks = {at: Mark(end, "") for at, end in ends.items()}
        # Once a group commits state, every commit of its is a step, so that no two members' steps overlap unnoticed.
        journaled = effects is not None or any(self._marks.get(at) for at in ends)
        if journaled:
            marks = await self.journal.record(step, self._marks, effects)
            self._marks.update(marks)
            self._bereft -= marks.keys()
        try:
            await self._tell(step, marks)
        except (Fenced, Unavailable) as error:
            if not journaled:
                raise
            # The step has happened; Kafka will be told by whoever takes these partitions next, which may be us.
            log.warning("step to be finished later", group=self.member.group, why=error.detail)
            self._start_over = True
        self._done.update(ends)

    async def _tell(self, step: Step, marks: dict[At, Mark]) -> None:
        if not step.outputs:
            return await self._thread.do(self.member.commit, marks)
        await self._thread.do(self.member.tell, step, marks)
        identity = next(iter(marks.values())).step
        if identity:
            await self.journal.finished(identity)
        return None

    async def rewind(self) -> None:
        self._start_over = True

    def _forget(self, ats: set[At]) -> None:
        for at in ats:
            for known in (self._next, self._done, self._marks, self._ends):
                known.pop(at, None)
        self._bereft -= ats
        self._held = [record for record in self._held if (record.topic, record.partition) not in ats]

    async def close(self) -> None:
        try:
            await self._thread.end(self.member.leave)
        except TimeoutError:
            log.error("left without saying so", group=self.member.group, member=self.member.name)  # noqa: TRY400
        finally:
            await self.journal.valkey.aclose()


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
