"""Rows on which a batch fails: found by taking records one by one, then the one in parts. All others are worked on.

No I/O.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from recoup.kit.culprits import Culprits

TRIES_BEFORE_PARTING: Final = 2
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
class Suspects(Generic[R]):
    """What has failed, and with what."""

    _tries: Counter[At] = field(default_factory=Counter)
    _parted: dict[At, Culprits] = field(default_factory=dict)
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
                self._parted[at] = Culprits.among(rows)
        elif portion.rows:
            self._parted[at].failed(portion.rows, error)

    def passed(self, portion: Portion[R]) -> None:
        """These are committed."""
        if portion.rows:
            self._parted[_at(portion.records[0])].passed(portion.rows)
            return
        self._alone = max(0, self._alone - len(portion.records))
        for record in portion.records if self._tries else ():
            self._tries.pop(_at(record), None)
            self._parted.pop(_at(record), None)


def _at(record: Placed) -> At:
    return record.partition, record.offset
