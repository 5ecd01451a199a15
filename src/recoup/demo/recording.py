"""Rows of a CSV file by time, whatever their order in the file. Holds 16 bytes a row, never the rows themselves.

A first pass notes each row's time and place, a second reads the rows by time; equal times keep the file's order.
A quoted line break inside a cell is not understood: no recording of clicks has one.
"""

import csv
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from recoup.kit.clock import milliseconds, moment
from recoup.kit.errors import Invalid

Cells = Sequence[str]


@dataclass(frozen=True, slots=True)
class Recording:
    """A file and the places of its rows in order of time."""

    path: Path
    header: Cells
    places: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    broken: Sequence[str]
    """What has no time, each with its line and why."""
    start: datetime
    """When the first row happened; the beginning of time for a file without rows."""

    def __len__(self) -> int:
        return len(self.places)

    def rows(self) -> Iterator[Cells]:
        """Every row once, by time."""
        with self.path.open("rb") as file:
            for place in self.places.tolist():
                file.seek(place)
                yield cells(file.readline())


def cells(line: bytes) -> Cells:
    """The cells of one line."""
    return next(csv.reader([line.decode("utf-8", "replace")]), [])


def open_recording(path: Path, time_column: str, time_of: Callable[[str], datetime]) -> Recording:
    """Finds where each row is and when it happened; raises Invalid for an unreadable file or one without the column."""
    times, places, broken = array("q"), array("q"), list[str]()
    try:
        with path.open("rb") as file:
            header = cells(file.readline())
            column = _column(header, time_column)
            place = file.tell()
            for number, line in enumerate(file, start=2):
                try:
                    times.append(milliseconds(time_of(_cell(cells(line), column))))
                    places.append(place)
                except Invalid as error:
                    broken.append(f"line {number}: {error.detail}")
                place += len(line)
    except OSError as error:
        raise Invalid(f"cannot read {path}: {error.strerror}") from error
    order = np.argsort(np.array(times, np.int64), kind="stable")
    return Recording(path, header, np.array(places, np.int64)[order], broken, moment(min(times, default=0)))


def _column(header: Cells, name: str) -> int:
    if name not in header:
        raise Invalid(f"no column {name!r} in the first line")
    return header.index(name)


def _cell(row: Cells, column: int) -> str:
    if column >= len(row):
        raise Invalid("the line ends before its time")
    return row[column]
