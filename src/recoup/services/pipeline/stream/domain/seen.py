"""Ids that took effect lately: an exact set of 16-byte ids that is asked and told a batch at a time. Forgets by age.

Two parts. The roll holds the ids themselves, each once, in the order they came; what is too old is dropped a stretch at
a time. The index finds them: buckets of eight places, each place 16 bits of the id's hash and where on the roll it
stands, so that asking for an id that is new, as nearly all are, touches one line of memory and never the roll; of what
looks alike the roll is asked, all 128 bits. An id takes 16 bytes on the roll and 8 to 12 in the index.

Before the index is full another is made ready, and takes over from it by and by without what is too old: a share with
every batch, so that none pays for all of it. The figures are in docs/benchmarks.md (`python -m bench seen`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.uint64]
"""Shape (n, 2): the two halves of each id."""
Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
Ordinals = npt.NDArray[np.uint32]
"""Where on the roll: a stretch's number times its length, and the place within."""
Flags = npt.NDArray[np.bool_]

_STRETCH: Final = 1 << 16
_STRETCHES: Final = (1 << 32) // _STRETCH
_BUCKET: Final = 8
_SMALLEST: Final = 512
# An index is begun with less than half of its places taken, and full with four of five.
_ROOM: Final = 2.5
_FULL: Final = 0.8
# The next one is made ready from when there is room for this share of it, so many buckets per id added: memory that was
# never touched is slow, and half a second where one batch touches all of it.
_SOON: Final = 0.25
_READIED_PER_ID: Final = 4
# Taken over per id added: the old index is gone long before the new one is full in its turn.
_MOVED_PER_ID: Final = 4
_PORTION: Final = 1 << 12
# Odd constants that spread similar ids (counters, timestamps) over the buckets: the finalizer of MurmurHash3.
_MIX_1: Final = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2: Final = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT: Final = np.uint64(33)
_HALF: Final = np.uint64(32)


@dataclass(slots=True)
class _Stretch:
    """A part of the roll: ids that were added at the same time, as far as times are told apart."""

    ids: Ids
    at: int
    used: int = 0


class _Roll:
    """The ids themselves."""

    def __init__(self) -> None:
        self._stretches: dict[int, _Stretch] = {}
        # The stretch that is being written, by time.
        self._open: dict[int, int] = {}
        self._next = 0
        self._oldest = 0
        self.length = 0

    def write(self, ids: Ids, at: int) -> Ordinals:
        """Where each of these stands now."""
        written: list[Ordinals] = []
        done = 0
        while done < len(ids):
            number = self._writable(at)
            stretch = self._stretches[number]
            part = ids[done : done + _STRETCH - stretch.used]
            stretch.ids[stretch.used : stretch.used + len(part)] = part
            written.append((number * _STRETCH + stretch.used + np.arange(len(part))).astype(np.uint32))
            stretch.used += len(part)
            done += len(part)
        self.length += done
        return np.concatenate(written) if written else np.zeros(0, dtype=np.uint32)

    def _writable(self, at: int) -> int:
        number = self._open.get(at)
        if number is not None and self._stretches[number].used < _STRETCH:
            return number
        if len(self._stretches) == _STRETCHES:
            raise OverflowError(f"a processor remembers {_STRETCHES * _STRETCH:,} ids at most")
        # Numbers come round; an index may still point to what had one before, which then is another id.
        while self._next in self._stretches:
            self._next = (self._next + 1) % _STRETCHES
        number = self._open[at] = self._next
        self._stretches[number] = _Stretch(np.empty((_STRETCH, 2), dtype=np.uint64), at)
        return number

    def forget(self, oldest: int) -> None:
        """Drops what was added before."""
        if oldest <= self._oldest:
            return
        self._oldest = oldest
        for number in [number for number, stretch in self._stretches.items() if stretch.at < oldest]:
            self.length -= self._stretches.pop(number).used
        self._open = {at: number for at, number in self._open.items() if at >= oldest}

    def has(self, ids: Ids, ordinals: Ordinals, oldest: int) -> Flags:
        """Whether each of these stands where it is said to, added at `oldest` or later."""
        found: Flags = np.zeros(len(ids), dtype=np.bool_)
        numbers, places = np.divmod(ordinals, np.uint32(_STRETCH))
        for number in np.unique(numbers).tolist():
            stretch = self._stretches.get(number)
            if stretch is not None and stretch.at >= oldest:
                mine = numbers == number
                found[mine] = (stretch.ids[places[mine]] == ids[mine]).all(axis=1) & (places[mine] < stretch.used)
        return found

    def portions(self, size: int) -> Iterator[tuple[Ids, Ordinals]]:
        """Everything on the roll now, `size` or fewer at a time, without what has been dropped when its turn comes."""
        # Listed at once, not when the first portion is asked for: what is added until then is no part of it.
        return self._portions([(number, stretch.used) for number, stretch in self._stretches.items()], size)

    def _portions(self, listed: Sequence[tuple[int, int]], size: int) -> Iterator[tuple[Ids, Ordinals]]:
        for number, until in listed:
            for start in range(0, until, size):
                stretch = self._stretches.get(number)
                if stretch is None:
                    break
                part = stretch.ids[start : min(start + size, until)]
                yield part, (number * _STRETCH + start + np.arange(len(part))).astype(np.uint32)


class _Index:
    """Finds ids on the roll by their hashes.

    A bucket fills from its first place on; what it has no room for is in the next one.
    """

    def __init__(self, ids: int) -> None:
        self._buckets = max(_SMALLEST, int(ids * _ROOM) // _BUCKET)
        # 16 bits of each hash, never 0: that is a place not taken.
        self._marks = np.empty((self._buckets, _BUCKET), dtype=np.uint16)
        self._ordinals = np.empty((self._buckets, _BUCKET), dtype=np.uint32)
        self._taken = np.empty(self._buckets, dtype=np.uint8)
        self._ready = 0
        self.used = 0

    @property
    def room(self) -> int:
        """How many more it takes."""
        return int(self._buckets * _BUCKET * _FULL) - self.used

    @property
    def is_filling(self) -> bool:
        """Whether the next one should be made ready."""
        return self.room < self.used * _SOON

    def ready(self, buckets: int | None = None) -> None:
        """Makes so many buckets more usable, or all; an index is used when all are."""
        part = slice(self._ready, None if buckets is None else self._ready + buckets)
        for column in (self._marks, self._ordinals, self._taken):
            column[part] = 0
        self._ready = self._buckets if buckets is None else self._ready + buckets

    def has(self, ids: Ids, hashes: Hashes, roll: _Roll, oldest: int) -> Flags:
        """Which ids are there, added at `oldest` or later."""
        found: Flags = np.zeros(len(ids), dtype=np.bool_)
        waiting = np.arange(len(ids))
        buckets, marks = self._bucket(hashes), _mark(hashes)
        while len(waiting):
            rows = self._marks[buckets]
            alike, column = np.divmod(np.flatnonzero(rows == marks[:, None]), _BUCKET)
            if len(alike):
                ordinals = self._ordinals[buckets[alike], column]
                same = alike[roll.has(ids[waiting[alike]], ordinals, oldest)]
                found[waiting[same]] = True
            onwards = np.flatnonzero(rows[:, -1])
            waiting, marks = waiting[onwards], marks[onwards]
            buckets = self._after(buckets[onwards])
        return found

    def add(self, hashes: Hashes, ordinals: Ordinals) -> None:
        """Adds what is not there."""
        self.used += len(hashes)
        buckets, marks = self._bucket(hashes), _mark(hashes)
        all_ordinals, all_marks = self._ordinals.reshape(-1), self._marks.reshape(-1)
        while len(buckets):
            taken = self._taken[buckets]
            fits = np.flatnonzero(taken < _BUCKET)
            at = buckets[fits] * _BUCKET + taken[fits]
            # Of several that wanted one place the last has it; the others look again.
            all_ordinals[at] = ordinals[fits]
            won = all_ordinals[at] == ordinals[fits]
            all_marks[at[won]] = marks[fits[won]]
            self._taken[buckets[fits[won]]] += np.uint8(1)
            onwards = np.ones(len(buckets), dtype=np.bool_)
            onwards[fits[won]] = False
            buckets = np.where(taken < _BUCKET, buckets, self._after(buckets))[onwards]
            marks, ordinals = marks[onwards], ordinals[onwards]

    def _bucket(self, hashes: Hashes) -> Places:
        return ((hashes >> _HALF) * np.uint64(self._buckets) >> _HALF).astype(np.int64)

    def _after(self, buckets: Places) -> Places:
        following = buckets + 1
        following[following == self._buckets] = 0
        return following


class RecentIds:
    """Ids with the time each was added, in any unit that only grows, from 1."""

    def __init__(self) -> None:
        self._roll = _Roll()
        self._index = _Index(0)
        self._index.ready()
        self._next: _Index | None = None
        # The index that is being taken over from, and what is left of that.
        self._before: _Index | None = None
        self._moving: Iterator[tuple[Ids, Ordinals]] = iter(())
        # Ids that may come from there yet: their room in the new index is nobody else's.
        self._coming = 0

    @property
    def room(self) -> int:
        """How many more fit before the next index is begun; below 0 a search might never end."""
        return self._index.room - self._coming

    def seen(self, ids: Ids, oldest: int) -> Flags:
        """Which of these were added at `oldest` or later."""
        hashes = _hashes(ids)
        found = self._index.has(ids, hashes, self._roll, oldest)
        if self._before is not None:
            left = np.flatnonzero(~found)
            found[left] = self._before.has(ids[left], hashes[left], self._roll, oldest)
        return found

    def add(self, ids: Ids, at: int, oldest: int) -> None:
        """Remembers ids as of `at`, of which none is seen or given twice. Forgets what is older than `oldest`."""
        self._roll.forget(oldest)
        self._move(_MOVED_PER_ID * len(ids))
        if self._index.is_filling:
            if self._next is None:
                self._next = _Index(self._roll.length)
            self._next.ready(_READIED_PER_ID * len(ids))
        if len(ids) > self.room:
            self._begin_anew(len(ids))
        self._index.add(_hashes(ids), self._roll.write(ids, at))

    def _begin_anew(self, more: int) -> None:
        """Goes on with an index that has room for everything; what is left of an older move goes first."""
        if self._before is not None:
            self._move(self._coming)
        following, self._next = self._next, None
        if following is None or following.room < self._roll.length + more:
            following = _Index(self._roll.length + more)
        following.ready()
        self._before, self._index = self._index, following
        self._moving, self._coming = self._roll.portions(_PORTION), self._roll.length

    def _move(self, count: int) -> None:
        """Takes the next ids on the roll over into the new index."""
        moved = 0
        while self._before is not None and moved < count:
            portion = next(self._moving, None)
            if portion is None:
                self._before, self._coming = None, 0
                return
            ids, ordinals = portion
            self._index.add(_hashes(ids), ordinals)
            moved += len(ids)
            self._coming -= len(ids)


def first_of_each(ids: Ids) -> Flags:
    """Marks the first of equal ids."""
    if len(np.unique(ids[:, 1])) == len(ids):
        return np.ones(len(ids), dtype=np.bool_)
    order = np.lexsort((np.arange(len(ids)), ids[:, 1], ids[:, 0]))
    repeats = (ids[order[1:]] == ids[order[:-1]]).all(axis=1)
    first = np.ones(len(ids), dtype=np.bool_)
    first[order[1:][repeats]] = False
    return first


def _hashes(ids: Ids) -> Hashes:
    mixed = ids[:, 0] ^ (ids[:, 1] * _MIX_1)
    mixed ^= mixed >> _SHIFT
    mixed *= _MIX_2
    mixed ^= mixed >> _SHIFT
    return mixed


def _mark(hashes: Hashes) -> npt.NDArray[np.uint16]:
    """The bits of a hash that choose no bucket."""
    return np.maximum(hashes.astype(np.uint16), np.uint16(1))
