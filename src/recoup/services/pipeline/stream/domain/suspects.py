"""Rows on which a batch fails: found by taking records one by one, then the one in parts. All others are worked on.

No I/O.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

TRIES_BEFORE_PARTING: Final = 2
_PARTS: Final = 8
# Where so many rows of a record fail, it is not they who are at fault: what is left of it waits for a mend with them.
MOST_ROWS: Final = 16
At = tuple[int, int]
"""A record's partition and offset."""


class Placed(Protocol):
    """A record of one topic."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...


R = TypeVar("R", bound=Placed)


class Portion(NamedTuple, Generic[R]):
    """What is worked on and committed together: whole records, or some rows of one."""

    records: Sequence[R]
    rows: range | None = None
    """Of a record in parts, those of this part; with the last part, of no rows, the record is done."""

    @property
    def ends(self) -> bool:
        """Whether the records are done with it."""
        return not self.rows


@dataclass(slots=True)
class _Parted:
    """A record in parts: what is still to be worked on, and the rows that are not tried again, with their reasons."""

    waiting: deque[range]
    reasons: dict[int, str] = field(default_factory=dict)

    def condemn(self, row: int, reason: str) -> None:
        self.reasons[row] = reason
        if len(self.reasons) == MOST_ROWS:
            self.reasons |= {row: reason for rows in self.waiting for row in rows}
            self.waiting.clear()


@dataclass(slots=True)
class Suspects(Generic[R]):
    """What has failed, and with what."""

    _tries: Counter[At] = field(default_factory=Counter)
    _parted: dict[At, _Parted] = field(default_factory=dict)
    _alone: int = 0
    """So many records are to be taken one by one."""

    def portions(self, records: Sequence[R]) -> list[Portion[R]]:
        """What to work on together: everything, or each by itself as long as one of them is at fault."""
        if not self._alone or not records:
            return [Portion(records)]
        return [portion for record in records for portion in self._portions(record)]

    def _portions(self, record: R) -> list[Portion[R]]:
        parted = self._parted.get(_at(record))
        if parted is None:
            return [Portion([record])]
        return [*(Portion([record], rows) for rows in parted.waiting), Portion([record], range(0))]

    def condemned(self, portion: Portion[R]) -> Mapping[int, str]:
        """The rows of a record in parts that are not tried again, and why; told with its last part."""
        parted = self._parted.get(_at(portion.records[0])) if portion.rows is not None and portion.ends else None
        return parted.reasons if parted else {}

    def failed(self, portion: Portion[R], error: Exception, rows: int) -> None:
        """Working on these records failed although every engine answers; one alone has so many rows to tell apart."""
        if len(portion.records) > 1:
            self._alone = max(self._alone, len(portion.records))
            return
        self._alone = max(self._alone, 1)
        at = _at(portion.records[0])
        if portion.rows is None:
            self._tries[at] += 1
            if rows and self._tries[at] >= TRIES_BEFORE_PARTING:
                self._parted[at] = _Parted(deque(_cut(range(rows))))
        elif portion.rows:
            parted = self._parted[at]
            parted.waiting.remove(portion.rows)
            if len(portion.rows) > 1:
                parted.waiting.extendleft(reversed(_cut(portion.rows)))
            else:
                parted.condemn(portion.rows[0], f"{type(error).__name__}: {error}")

    def passed(self, portion: Portion[R]) -> None:
        """These are committed."""
        if not portion.ends:
            self._parted[_at(portion.records[0])].waiting.remove(portion.rows or range(0))
            return
        self._alone = max(0, self._alone - len(portion.records))
        for record in portion.records if self._tries else ():
            self._tries.pop(_at(record), None)
            self._parted.pop(_at(record), None)


def _cut(rows: range) -> list[range]:
    size = max(1, -(-len(rows) // _PARTS))
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _at(record: Placed) -> At:
    return record.partition, record.offset
