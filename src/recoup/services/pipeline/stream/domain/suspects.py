"""Records on which a batch fails: found one at a time, so that the others are worked on and these set aside. No I/O."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

TRIES_BEFORE_PARKING: Final = 2
At = tuple[int, int]
"""A record's partition and offset."""


class Placed(Protocol):
    """A record of one topic."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


R = TypeVar("R", bound=Placed)


@dataclass(slots=True)
class Suspects(Generic[R]):
    """What has failed, and with what."""

    reasons: dict[At, str] = field(default_factory=dict)
    """Records that are not tried again, and why."""
    _tries: Counter[At] = field(default_factory=Counter)
    _alone: int = 0
    """So many records are to be taken one by one."""

    def reason(self, record: R) -> str | None:
        """Why this one is not tried again; None as long as it is."""
        return self.reasons.get((record.partition, record.offset))

    def portions(self, records: Sequence[R]) -> list[Sequence[R]]:
        """What to work on together: everything, or each by itself as long as one of them is at fault."""
        return [[record] for record in records] if self._alone and records else [records]

    def failed(self, records: Sequence[R], error: Exception) -> None:
        """Working on these failed although every engine answers."""
        if len(records) > 1:
            self._alone = max(self._alone, len(records))
            return
        (record,) = records
        at = (record.partition, record.offset)
        self._tries[at] += 1
        if self._tries[at] >= TRIES_BEFORE_PARKING:
            self.reasons[at] = f"{type(error).__name__}: {error}"

    def passed(self, records: Sequence[R]) -> None:
        """These are committed."""
        self._alone = max(0, self._alone - len(records))
        for record in records if self._tries else ():
            at = (record.partition, record.offset)
            self._tries.pop(at, None)
            self.reasons.pop(at, None)
