"""What a Valkey that came back empty took with it, from what was seen of the log just before and just after."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from recoup.messages.keys import ALL

Place = tuple[str, str]
"""A group and a topic."""


class Seen(NamedTuple):
    """How far a group was on a topic: records it had not dealt with, and those there had ever been."""

    waiting: int
    written: int


class Look(NamedTuple):
    """The log at one moment."""

    at: datetime
    places: Mapping[Place, Seen]
    appended: int
    """Records the collector had appended since it started."""


class Unread(Struct, frozen=True):
    """Records that were on the log and that this group will never read."""

    group: str
    topic: str
    records: int


class Loss(Struct, frozen=True, kw_only=True):
    """What is gone."""

    noticed_at: datetime
    looked_at: datetime | None
    """When the log was last seen whole; None where nobody had looked since this process started."""
    log_lost: bool
    """Whether the log went too; where it did not, no event is lost."""
    unread: Sequence[Unread]
    """Records lost to each reader, as of `looked_at`."""
    unread_since: int
    """At most so many more records were acknowledged after that look."""
    state: Sequence[str]
    """What else Valkey held; it builds up again from what comes."""


def loss_of(before: Look | None, after: Look) -> Loss:
    """The loss between two looks."""
    places = before.places if before is not None else {}
    shrunk = [at for at, seen in places.items() if after.places[at].written < seen.written]
    unread = [Unread(group, topic, places[group, topic].waiting) for group, topic in places if shrunk]
    return Loss(
        noticed_at=after.at,
        looked_at=before.at if before is not None else None,
        log_lost=bool(shrunk),
        unread=unread,
        unread_since=after.appended - before.appended if before is not None and shrunk else 0,
        state=[pattern.meaning for pattern in ALL],
    )
