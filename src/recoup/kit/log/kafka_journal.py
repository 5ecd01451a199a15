"""State changes, progress and outputs happen together although Valkey and Kafka share no transaction.

A commit with state changes is a *step*: one MULTI writes the state changes, the outputs and, for each partition it
covers, where it ends. That is the moment the step has happened. Then Kafka is told: one transaction writes the outputs
and the group's offsets, bearing the step's id as their metadata. Whoever takes a partition whose offset in Kafka does
not bear the id of the last step noted here finishes that step before reading on.

    log:k:{group}:{topic}:{partition}   "end step": the offset after the last step, and its id
    log:o:{group}:{step}                the step's partitions and outputs, until Kafka has them
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import msgspec
from redis.exceptions import WatchError

from recoup.kit.ids import new_id
from recoup.kit.log.port import Effects, Fenced, Outgoing
from recoup.kit.valkey import Pipeline, Valkey, settled, translated, watched

At = tuple[str, int]
"""A topic and one of its partitions."""


class Mark(NamedTuple):
    """Where the last step on a partition ended (the next offset to read), and which step it was."""

    end: int
    step: str


class Step(msgspec.Struct, frozen=True, array_like=True):
    """Everything needed to tell Kafka of a step that has happened."""

    ends: list[tuple[str, int, int]]
    outputs: list[tuple[str, int, bytes, dict[str, str]]]

    @classmethod
    def of(cls, ends: Mapping[At, int], outputs: Mapping[str, Sequence[Outgoing]]) -> "Step":
        return cls(
            [(*at, end) for at, end in ends.items()],
            [(topic, out.partition, out.value, dict(out.headers)) for topic, outs in outputs.items() for out in outs],
        )


_decode = msgspec.msgpack.Decoder(Step).decode


@dataclass(frozen=True, slots=True)
class Journal:
    """The steps of one group."""

    valkey: Valkey
    group: str

    async def marks(self, ats: Sequence[At]) -> dict[At, Mark | None]:
        """The last step on each partition; None where no step ever was."""
        values = await settled(self.valkey.mget([self._mark(at) for at in ats])) if ats else []
        return {at: _parsed(value) for at, value in zip(ats, cast("list[bytes | None]", values), strict=True)}

    async def record(self, step: Step, known: Mapping[At, Mark | None], effects: Effects | None) -> dict[At, Mark]:
        """Makes the step happen; raises Fenced if any of its partitions has had another one since `known` was read."""
        identity = new_id().hex
        marks = {(topic, partition): Mark(end, identity) for topic, partition, end in step.ends}
        with translated():
            async with self.valkey.pipeline(transaction=True) as pipe:
                await self._expect(pipe, {at: known.get(at) for at in marks})
                pipe.multi()
                if effects is not None:
                    effects(pipe)
                pipe.mset({self._mark(at): f"{mark.end} {mark.step}" for at, mark in marks.items()})
                if step.outputs:
                    pipe.set(self._outputs(identity), msgspec.msgpack.encode(step))
                try:
                    await pipe.execute()
                except WatchError as error:
                    raise Fenced(f"{self.group}: another member committed first") from error
        return marks

    async def _expect(self, pipe: Pipeline, known: Mapping[At, Mark | None]) -> None:
        values = await watched(pipe, [self._mark(at) for at in known])
        for (at, mark), value in zip(known.items(), values, strict=True):
            if _parsed(value) != mark:
                raise Fenced(f"{self.group}: partition {at[1]} of {at[0]} has moved on")

    async def step(self, identity: str) -> Step | None:
        """A step Kafka has not been told of; None once it has, or where there was nothing to tell but the offsets."""
        value = cast("bytes | None", await settled(self.valkey.get(self._outputs(identity))))
        return None if value is None else _decode(value)

    async def finished(self, identity: str) -> None:
        """Kafka has it."""
        await settled(self.valkey.unlink(self._outputs(identity)))

    async def forget(self, ats: Iterable[At]) -> None:
        """The group's positions are about to be moved by hand."""
        await settled(self.valkey.unlink(*(self._mark(at) for at in ats)))

    def _mark(self, at: At) -> str:
        return f"log:k:{self.group}:{at[0]}:{at[1]}"

    def _outputs(self, identity: str) -> str:
        return f"log:o:{self.group}:{identity}"


def _parsed(value: bytes | None) -> Mark | None:
    if value is None:
        return None
    end, _, step = value.decode().partition(" ")
    return Mark(int(end), step)
