"""The step that sees each event as a step of its session: how far it has come, and how it came about.

Of a session its earliest event counts, by its own clock: when it started, and where it came from. An event that comes
late may move both, for itself and what comes after.
"""

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from recoup.messages.events import EventType
from recoup.services.pipeline.sessions.domain import SessionTable, Slots
from recoup.services.pipeline.stream.domain.arrivals import path
from recoup.services.pipeline.stream.domain.work import Known, Work

_PAGES: Final = frozenset({EventType.PAGE_VIEWED.value})
_CLOCK: Final = frozenset({EventType.CLOCK.value})
_MINUTE_MS: Final = 60_000
_NUMBERS: Final = ("session_pages", "session_seconds")
_TEXTS: Final = {"session_source": "source", "session_medium": "medium", "session_entry_page": "entry_page"}


class _Visits(NamedTuple):
    """Rows by session, in order of time."""

    rows: np.ndarray
    starts: np.ndarray
    """Where each session's rows begin."""
    which: np.ndarray
    """Each row's session, by its place among `slots`."""
    slots: Slots


def follow_sessions(work: Work, known: Known) -> None:
    """Adds what is known of each row's session, and notes what the rows add to it."""
    visits = _visits(work, known)
    if not len(visits.rows):
        _show_nothing(work)
        return
    table = known.sessions
    at = work.occurred[visits.rows]
    before = table.started[visits.slots]
    started = np.minimum(before, at[visits.starts])
    table.started[visits.slots] = started
    landed = _land(work, visits, table)
    pages, viewed = _pages(work, visits, table)
    _show(work, visits, table, (pages, (at - started[visits.which]) // 1_000))
    work.crowded = _crowded(work, visits, known)
    work.sessions_begun = visits.slots[(started < before) | landed]
    work.sessions_viewed = visits.slots[viewed]


def _visits(work: Work, known: Known) -> _Visits:
    codes = work.sessions.codes
    rows = np.flatnonzero(work.kept & (codes >= 0) & ~work.of_types(_CLOCK))
    rows = rows[_by_session(work.occurred[rows], codes[rows])]
    mine = codes[rows]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = mine[1:] != mine[:-1]
    starts = np.flatnonzero(first)
    return _Visits(rows, starts, np.cumsum(first) - 1, known.session_slots[mine[starts]])


def _by_session(occurred: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The order by session and time. Small numbers are sorted by their digits, ten times as fast as large ones."""
    if len(codes) and codes.max() > np.iinfo(np.uint16).max:
        return np.lexsort((occurred, codes))
    in_time = np.argsort(occurred, kind="stable")
    return in_time[np.argsort(codes[in_time].astype(np.uint16), kind="stable")]


def _land(work: Work, visits: _Visits, table: SessionTable) -> np.ndarray:
    """Takes over how sessions came about from their earliest rows that say so; marks the sessions it is news of."""
    medium = work.columns["traffic_medium"]
    telling = np.flatnonzero(medium.is_valid().to_numpy(zero_copy_only=False)[visits.rows])
    which, first = np.unique(visits.which[telling], return_index=True)
    rows = visits.rows[telling[first]]
    news = work.occurred[rows] < table.landed_at[visits.slots[which]]
    which, rows = which[news], rows[news]
    landed = np.zeros(len(visits.slots), dtype=bool)
    landed[which] = True
    if len(rows):
        slots, at = visits.slots[which], pa.array(rows)
        table.landed_at[slots] = work.occurred[rows]
        table.told["source"][slots] = work.columns["traffic_source"].take(at).to_pylist()
        table.told["medium"][slots] = medium.take(at).to_pylist()
        table.told["entry_page"][slots] = [path(url) for url in work.rows.column("page_url").take(at).to_pylist()]
    return landed


def _pages(work: Work, visits: _Visits, table: SessionTable) -> tuple[np.ndarray, np.ndarray]:
    """How many pages each row's session has seen by then; and which sessions saw more."""
    is_page = work.of_types(_PAGES)[visits.rows]
    running = np.cumsum(is_page)
    start = running[visits.starts] - is_page[visits.starts]
    ends = np.append(visits.starts[1:], len(visits.rows)) - 1
    before = table.pages[visits.slots]
    table.pages[visits.slots] += running[ends] - start
    return running + (before - start)[visits.which], running[ends] > start


def _crowded(work: Work, visits: _Visits, known: Known) -> np.ndarray:
    """Marks the rows of each session's newest minute where that holds too many."""
    table, slots = known.sessions, visits.slots
    minutes = work.occurred[visits.rows] // _MINUTE_MS
    newest = np.maximum(minutes[np.append(visits.starts[1:], len(minutes)) - 1], table.minute[slots])
    inside = minutes == newest[visits.which]
    before = np.where(table.minute[slots] == newest, table.in_minute[slots], 0)
    table.minute[slots] = newest
    table.in_minute[slots] = before + np.add.reduceat(inside, visits.starts, dtype=np.int64)
    crowded = np.zeros(len(work.occurred), dtype=bool)
    crowded[visits.rows] = inside & (table.in_minute[slots] > known.rates.most_events)[visits.which]
    return crowded


def _show(work: Work, visits: _Visits, table: SessionTable, numbers: tuple[np.ndarray, np.ndarray]) -> None:
    count = len(work.occurred)
    place = np.full(count, -1, dtype=np.int64)
    place[visits.rows] = visits.which
    nowhere = place < 0
    for name, values in zip(_NUMBERS, numbers, strict=True):
        whole = np.zeros(count, dtype=np.int64)
        whole[visits.rows] = values
        work.columns[name] = pa.array(whole, mask=nowhere)
    at = pa.array(place, mask=nowhere)
    for name, told in _TEXTS.items():
        work.columns[name] = pa.array(table.told[told][visits.slots], pa.string()).take(at)


def _show_nothing(work: Work) -> None:
    count = len(work.occurred)
    work.crowded = np.zeros(count, dtype=bool)
    work.columns |= {name: pa.nulls(count, pa.int64()) for name in _NUMBERS}
    work.columns |= {name: pa.nulls(count, pa.string()) for name in _TEXTS}
