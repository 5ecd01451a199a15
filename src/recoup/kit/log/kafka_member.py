"""One member of a Kafka consumer group: the blocking half of the reader; every method runs on the reader's one thread.

Static membership (`group.instance.id`) lets a restarted member go on at once with what it had; closing leaves the group
for good. Newly assigned partitions stand still until the reader has found out where to start and says `start`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Unavailable
from recoup.kit.log.kafka_client import FATAL, OUTAGES, PATIENCE_SECONDS, WRONG_STATE, KafkaSettings, made, within
from recoup.kit.log.kafka_journal import At, Mark, Step
from recoup.kit.log.port import Fenced
from recoup.kit.metrics import Counter
from recoup.kit.telemetry import logger

log = logger(__name__)

UNCLOSED = Counter("kafka_consumers_unclosed_total", "Consumers given up because closing took too long", ["group"])
UNENDED = Counter("kafka_transactions_unended_total", "Transactions given up because they did not end", ["group"])

_LEAVING_SECONDS = 2.0
_SERVING_SECONDS = 0.5
_CLOSING_SECONDS = 3.0
_TRANSACTION_SECONDS = PATIENCE_SECONDS + 2.0


@dataclass(slots=True)
class Member:
    """A consumer and the transactional producer that belongs to it."""

    settings: KafkaSettings
    group: str
    name: str
    topics: tuple[str, ...]
    # Partitions assigned by the broker; those of them that stand still until `start`.
    assigned: set[At] = field(default_factory=set)
    waiting: set[At] = field(default_factory=set)
    _consumer: Consumer | None = None
    _producer: Producer | None = None
    # The group's generation as of the last poll: a commit from before a rebalance is refused by the broker.
    _generation: Any = None
    _outage: KafkaError | None = None
    _replaced: bool = False
    _unsettled: bool = True
    _began: bool = False

    @property
    def joined(self) -> bool:
        return self._consumer is not None

    @property
    def transacts(self) -> bool:
        """Whether it has begun a transaction in its life."""
        return self._began

    @property
    def _identity(self) -> str:
        # A process reads several topics under one group and name; each of its readers is a member of its own.
        return f"{self.name}.{'.'.join(self.topics)}"

    def join(self) -> None:
        own = {
            "group.id": self.group,
            "group.instance.id": self._identity,
            "partition.assignment.strategy": "cooperative-sticky" if self._cooperative else "range",
            "error_cb": self._note,
        }
        consumer = made(Consumer, self.settings.consumer(**own))
        consumer.subscribe(list(self.topics), on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke)
        self._consumer = consumer

    def poll(self, wait_seconds: float, limit: int) -> list[Message]:
        """Waits for a first message, then takes what else has been fetched by now; raises Fenced once replaced."""
        consumer = self._living
        found = consumer.consume(1, wait_seconds)
        if found:
            found += consumer.consume(max(1, limit * max(1, len(self.assigned))), 0)
        self._generation = consumer.consumer_group_metadata()
        for message in found:
            self._note(message.error())
        if self._replaced:
            # Another member of our name has joined. We can only join again, and would replace it in turn.
            self._drop()
            raise Fenced(f"{self.group}: another member is called {self.name!r} too")
        if not found and self._outage is not None:
            consumer.list_topics(self.topics[0], timeout=1.0)
            self._outage = None
        return found

    def settle(self) -> None:
        """Ends what a transaction of ours, or of one of our name before us, may have left open.

        One that failed or was given up could still go on; one that a killed process left holds up its readers, and
        `committed`, until it has timed out.
        """
        if self._unsettled:
            self._producer = self._only_producer(self._identity)
            self._unsettled = False

    def committed(self, ats: Sequence[At]) -> dict[At, Mark | None]:
        """Offset and step of the last commit; waits for a transaction under way on these partitions to end."""
        wanted = [TopicPartition(*at) for at in ats]
        answers = self._living.committed(wanted, timeout=2 * PATIENCE_SECONDS)
        for answer in answers:
            if answer.error is not None:
                raise KafkaException(answer.error)
        return {
            (answer.topic, answer.partition): Mark(answer.offset, answer.metadata or "") if answer.offset >= 0 else None
            for answer in answers
        }

    def start(self, offsets: Mapping[At, int | None]) -> None:
        """Reads on from these offsets; None is the partition's first record."""
        wanted = [TopicPartition(*at, OFFSET_BEGINNING if offset is None else offset) for at, offset in offsets.items()]
        if self._cooperative:
            self._living.incremental_assign(wanted)
        else:
            self._living.assign(wanted)
        self.waiting -= offsets.keys()

    def stop(self) -> None:
        """All partitions stand still again until `start`."""
        if self.assigned - self.waiting:
            self._stop(self._living, self.assigned)
        self.waiting |= self.assigned

    def _stop(self, consumer: Consumer, ats: set[At]) -> None:
        if self._cooperative:
            consumer.incremental_unassign([TopicPartition(*at) for at in ats - self.waiting])
        else:
            consumer.unassign()

    def commit(self, marks: Mapping[At, Mark]) -> None:
        answers = self._living.commit(offsets=_offsets(marks), asynchronous=False)
        for answer in answers or ():
            if answer.error is not None:
                raise KafkaException(answer.error)

    def tell(self, step: Step, marks: Mapping[At, Mark]) -> None:
        """Outputs and offsets in one transaction; after a failure a new producer settles what this one left."""
        if self._producer is None:
            self._producer = self._only_producer(self._identity)
        try:
            self._transact(self._producer, step, marks)
        except BaseException:
            self._producer = None
            raise

    def tell_again(self, step: Step, marks: Mapping[At, Mark], mine: At) -> None:
        """Tells Kafka of a step that another member may have told, or be about to.

        All who finish a step use one producer name, so the last to begin fences the rest, and then asks whether it is
        still to be done. The member whose step it was is fenced by the group's generation.
        """
        self.settle()
        producer = self._only_producer("step.{}.{}".format(*min(marks)))
        known = self.committed([mine])[mine]
        if known is None or known.step != marks[mine].step:
            self._transact(producer, step, marks)

    def _only_producer(self, identity: str) -> Producer:
        producer = made(Producer, self.settings.transactional(f"recoup.{self.group}.{identity}"))
        self._in_time(lambda: producer.init_transactions(PATIENCE_SECONDS))
        return producer

    def _transact(self, producer: Producer, step: Step, marks: Mapping[At, Mark]) -> None:
        self._unsettled = self._began = True
        self._in_time(lambda: self._write(producer, step, marks))
        self._unsettled = False

    def _in_time(self, call: Callable[[], object]) -> None:
        try:
            within(_TRANSACTION_SECONDS, call)
        except TimeoutError as error:
            # After a broker was killed, handing over offsets has been seen not to end, whatever its own time limit.
            UNENDED.labels(self.group).inc()
            log.error("a transaction does not end", group=self.group, member=self.name)  # noqa: TRY400
            raise Unavailable("kafka does not answer: a transaction does not end") from error

    def _write(self, producer: Producer, step: Step, marks: Mapping[At, Mark]) -> None:
        producer.begin_transaction()
        try:
            for topic, partition, value, headers in step.outputs:
                producer.produce(topic, value=value, partition=partition, headers=list(headers.items()))
            producer.send_offsets_to_transaction(_offsets(marks), self._generation, PATIENCE_SECONDS)
            producer.commit_transaction(PATIENCE_SECONDS)
        except KafkaException as error:
            if error.args[0].txn_requires_abort():
                producer.abort_transaction(PATIENCE_SECONDS)
            if error.args[0].code() == WRONG_STATE:
                # An output that no broker took in time has failed the transaction behind our back.
                raise Unavailable("kafka does not answer: a transaction failed before it was committed") from error
            raise

    def leave(self) -> None:
        """Hands its partitions to the others at once."""
        consumer = self._consumer
        if consumer is None:
            return
        # A static member that is merely closed keeps its partitions until its session ends; unsubscribing leaves.
        try:
            consumer.unsubscribe()
            give_up = stopwatch() + _LEAVING_SECONDS
            while self.assigned and stopwatch() < give_up:
                consumer.consume(100, 0.05)
        except KafkaException as error:
            # Replaced by another of its name, it has nothing left to hand over.
            if error.args[0].code() != FATAL:
                raise
        finally:
            # A consumer that is never closed can hold up the end of the process.
            self._drop()

    def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._replaced = False
        self._producer = None
        if consumer is not None:
            try:
                within(_CLOSING_SECONDS, lambda: _close(consumer))
            except TimeoutError:
                UNCLOSED.labels(self.group).inc()
                log.error("a consumer would not close", group=self.group, member=self.name)  # noqa: TRY400
        self.assigned.clear()
        self.waiting.clear()

    @property
    def _living(self) -> Consumer:
        if self._consumer is None:
            raise RuntimeError("not joined")
        return self._consumer

    def _note(self, error: KafkaError | None) -> None:
        if error is None:
            return
        self.settings.door.heard(error)
        # Of all that can befall a consumer only this is fatal.
        self._replaced = self._replaced or error.fatal() or error.code() == FATAL
        if error.code() in OUTAGES:
            self._outage = error

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Accepted, but not read before `start`: seeking later would cost half a second a partition.
        if self._cooperative:
            consumer.incremental_assign([])
        else:
            consumer.assign([])
        taken = {(partition.topic, partition.partition) for partition in partitions}
        self.assigned |= taken
        self.waiting |= taken

    def _revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = {(partition.topic, partition.partition) for partition in partitions}
        self._stop(consumer, gone)
        self.assigned -= gone
        self.waiting -= gone

    @property
    def _cooperative(self) -> bool:
        # Several topics of one reader keep the same partition numbers together; that, only the range assignor promises.
        return len(self.topics) == 1


def _close(consumer: Consumer) -> None:
    """Serves what waits, then closes.

    librdkafka never ends a consumer that was replaced while an assignment waited to be taken note of: it waits for that
    for ever, with a core of ours.
    """
    give_up = stopwatch() + _SERVING_SECONDS
    try:
        while consumer.consume(100, 0) and stopwatch() < give_up:
            pass
    finally:
        consumer.close()


def _offsets(marks: Mapping[At, Mark]) -> list[TopicPartition]:
    return [TopicPartition(*at, mark.end, metadata=mark.step) for at, mark in marks.items()]
