"""Which partitions are being read back: whoever takes over from a process that died in the middle begins anew."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from recoup.kit.valkey import Pipeline, Valkey, settled
from recoup.messages.keys import REBUILDING


@dataclass(frozen=True, slots=True)
class RebuildBook:
    """A mark for each partition that has no state to go on from yet."""

    valkey: Valkey

    async def unfinished(self, partitions: Iterable[int]) -> frozenset[int]:
        """Those of these partitions that somebody began with and has not finished."""
        asked = sorted(partitions)
        marks = await settled(self.valkey.mget([REBUILDING.key(partition=at) for at in asked])) if asked else []
        return frozenset(at for at, mark in zip(asked, cast("list[bytes | None]", marks), strict=True) if mark)


def begin(pipe: Pipeline, partitions: Iterable[int]) -> None:
    """Queues the marks."""
    for partition in partitions:
        pipe.set(REBUILDING.key(partition=partition), 1)


def finish(pipe: Pipeline, partitions: Iterable[int]) -> None:
    """Queues the end of the marks."""
    pipe.delete(*(REBUILDING.key(partition=partition) for partition in partitions))
