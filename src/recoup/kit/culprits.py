"""Finds the rows of a record on which work fails, by working on ever smaller parts of it. No I/O; knows no row."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

_PARTS: Final = 8
MOST_ROWS: Final = 16
"""Where so many rows of a record fail, it is not they who are at fault: what is left of it is set aside with them."""


@dataclass(slots=True)
class Culprits:
    """One record's search: the parts still to be worked on, in order, and the rows not tried again, with the reason."""

    waiting: deque[range]
    reasons: dict[int, str] = field(default_factory=dict)

    @classmethod
    def among(cls, rows: int) -> "Culprits":
        """The search in a record of so many rows that failed as a whole."""
        return cls(deque(_cut(range(rows))))

    def passed(self, part: range) -> None:
        """Work on this part is done."""
        self.waiting.remove(part)

    def failed(self, part: range, error: Exception) -> None:
        """Work on this part failed although every engine answers."""
        self.waiting.remove(part)
        if len(part) > 1:
            self.waiting.extendleft(reversed(_cut(part)))
            return
        reason = f"{type(error).__name__}: {error}"
        self.reasons[part[0]] = reason
        if len(self.reasons) == MOST_ROWS:
            self.reasons |= {row: reason for rest in self.waiting for row in rest}
            self.waiting.clear()


def _cut(rows: range) -> list[range]:
    size = max(1, -(-len(rows) // _PARTS))
    return [rows[start : start + size] for start in range(0, len(rows), size)]
