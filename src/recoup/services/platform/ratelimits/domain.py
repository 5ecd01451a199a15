"""Which limits a request falls under, and a sliding window that is counted here and compared with the others' later.

A window is asked and counted without leaving the process. What it knows of the other processes is as old as its last
settling, so all of them together may let through more than the limit by what comes in between: at most a hundredth of
the limit at each other process, or two seconds of its requests if that is less.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from recoup.kit.errors import Invalid
from recoup.messages.access import Principal

Kind = Literal["user", "key", "store", "endpoint", "address"]

PERIOD: Final = timedelta(minutes=1)
SECONDS: Final = PERIOD.total_seconds()
BLOCK: Final = 0.01
"""The share of a limit after which what was counted here is told to the others."""
SETTLED_FOR: Final = 2.0
"""And the seconds after which it is told in any case."""


class Rates(Struct, frozen=True, kw_only=True):
    """Requests a minute; 0 means that there is no limit."""

    user: int
    key: int
    store: int
    endpoint: int
    address: int
    """Of those who do not say who they are."""
    endpoints: Mapping[str, int]
    """Those of endpoints that have one of their own, by the first segment of their path."""


class Limit(NamedTuple):
    """What may be done how often: `kind` and whose it is."""

    kind: Kind
    whose: str
    per_minute: int


class Standing(NamedTuple):
    """How a caller stands to the limit that leaves him least."""

    limit: Limit
    remaining: int
    reset_seconds: int
    """Until there is as much room as there can be; of a refusal, until the next request may pass."""
    allowed: bool


def endpoints(text: str) -> Mapping[str, int]:
    """Limits such as `export=1200,training=600`; raises Invalid."""
    found: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, count = part.partition("=")
        if not name or not count.isdecimal():
            raise Invalid(f"{part!r} is no limit such as export=1200")
        found[name] = int(count)
    return found


def limits(caller: Principal, own: int | None, store_id: str | None, endpoint: str, rates: Rates) -> Sequence[Limit]:
    """All that a request falls under; `own` is what the key itself was given."""
    kind: Kind = "user" if caller.kind == "person" else "key"
    of_caller = rates.user if kind == "user" else own or rates.key
    found = [Limit(kind, caller.subject, of_caller)]
    if store_id is not None:
        of_endpoint = rates.endpoints.get(endpoint, rates.endpoint)
        found += [Limit("store", store_id, rates.store), Limit("endpoint", f"{store_id}/{endpoint}", of_endpoint)]
    return [limit for limit in found if limit.per_minute]


def concerned(caller: Principal, requested: str | None) -> str | None:
    """The store a request is counted for; None where it names none of the caller's."""
    if requested is None:
        return next(iter(caller.stores)) if len(caller.stores) == 1 else None
    return requested if requested in caller.stores else None


@dataclass(slots=True)
class Window:
    """One limit's window: what all had counted when it was last settled, and what was counted here since."""

    limit: Limit
    ends_at: float = -math.inf
    previous: int = 0
    current: int = 0
    pending: int = 0
    """Counted here, and not told yet."""
    settled_at: float = -math.inf

    def used(self, now: float) -> float:
        """What falls into the last minute, taking what was counted in the window before as spread evenly."""
        if now >= self.ends_at:
            self._roll(now)
        return self.previous * (self.ends_at - now) / SECONDS + self.current

    def count(self) -> None:
        self.current += 1
        self.pending += 1

    def wait(self, now: float) -> float:
        """Seconds until one more may pass."""
        room = self.limit.per_minute - 1
        left = self.ends_at - now
        if self.current <= room:
            return left - SECONDS * (room - self.current) / self.previous if self.previous else 0.0
        return left + SECONDS - SECONDS * room / self.current

    def is_due(self, now: float) -> bool:
        """Whether the others should hear of it."""
        if not self.pending:
            return False
        return self.pending >= self.limit.per_minute * BLOCK or now - self.settled_at >= SETTLED_FOR

    def is_idle(self, now: float) -> bool:
        return not self.pending and not self.used(now)

    def learn(self, previous: int, current: int, seconds_left: float, told: int, now: float) -> None:
        """Takes over what all have counted, with what came in here while they were asked on top."""
        self.pending = max(0, self.pending - told)
        self.previous, self.current = previous, current + self.pending
        self.ends_at = now + seconds_left
        self.settled_at = now

    def _roll(self, now: float) -> None:
        follows = now < self.ends_at + SECONDS
        self.previous = self.current if follows else 0
        self.ends_at = self.ends_at + SECONDS if follows else now + SECONDS
        self.current = 0
        # What nobody could be told for so long is over; it counts for nobody any more.
        self.pending = min(self.pending, self.previous)


def stand(windows: Sequence[Window], now: float) -> Standing:
    """Counts a request in every window, or in none where one of them is full."""
    tightest, least = windows[0], math.inf
    for window in windows:
        room = window.limit.per_minute - window.used(now)
        if room < least:
            tightest, least = window, room
    if least < 1:
        return Standing(tightest.limit, 0, max(1, math.ceil(tightest.wait(now))), allowed=False)
    for window in windows:
        window.count()
    return Standing(tightest.limit, int(least - 1), math.ceil(tightest.ends_at - now), allowed=True)
