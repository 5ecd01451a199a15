"""Rules and destinations: what they are, what makes them wrong, which rows go where, and when to try again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
from msgspec import Meta, Struct

from recoup.kit.clock import milliseconds
from recoup.services.pipeline.routing.domain.columns import Rows, matching
from recoup.services.pipeline.routing.domain.conditions import Condition

RuleName = Annotated[str, Meta(min_length=1, max_length=100)]
TopicName = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,49}$")]


class DestinationKind(StrEnum):
    """Where events are copied to."""

    TOPIC = "topic"
    WEBHOOK = "webhook"


class Form(StrEnum):
    """What one call of a webhook carries."""

    BATCH = "batch"
    SINGLE = "single"


class State(StrEnum):
    """Whether a destination is called."""

    ACTIVE = "active"
    PAUSED = "paused"


class Status(StrEnum):
    """What became of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up, with its reason; a person may have it sent again."""


class Rule(Struct, frozen=True, kw_only=True):
    """Rows that meet `when` are copied to each destination of `to`."""

    id: UUID
    name: RuleName
    enabled: bool = True
    when: dict[str, object] | None = None
    """The condition; null means every event."""
    to: tuple[UUID, ...]
    since: datetime
    """Events enriched before this are not copied, whatever still waits of them."""


class Destination(Struct, frozen=True, kw_only=True):
    """Where events are copied to, and how it does."""

    id: UUID
    store_id: str
    name: str
    kind: DestinationKind
    url: str | None = None
    form: Form | None = None
    concurrency: int | None = None
    retention_hours: int | None = None
    """How long a topic keeps its events."""
    state: State = State.ACTIVE
    reason: str = ""
    """Why it is paused, or what the last failure was."""
    failures: int = 0
    """Calls that failed one after the other, up to now."""
    failing_since: datetime | None = None
    blocked_until: datetime | None = None
    """After a failure nothing is sent before this."""
    dropped: int = 0
    """Events that were not queued because the queue was full."""
    created_at: datetime


class ReadyRule(NamedTuple):
    """A rule as it is asked."""

    name: str
    condition: Condition
    to: tuple[UUID, ...]
    since_ms: int


@dataclass(frozen=True, slots=True)
class Routes:
    """All that is in force in a store."""

    number: int
    rules: tuple[ReadyRule, ...]
    destinations: Mapping[UUID, Destination]


class Copy(NamedTuple):
    """Rows of a batch that go to one destination: their places, and which rules said so."""

    destination: Destination
    places: np.ndarray
    rules: list[list[str]]


def copies(routes: Routes, rows: Rows) -> list[Copy]:
    """Which rows go where; one that several rules send to the same place goes there once."""
    enriched = rows.column("enriched_at").cast("int64").to_numpy(zero_copy_only=False)
    meant = [(rule, matching(rule.condition, rows) & (enriched >= rule.since_ms)) for rule in routes.rules]
    found: list[Copy] = []
    for id_, destination in routes.destinations.items():
        mine = [(rule.name, mask) for rule, mask in meant if id_ in rule.to and mask.any()]
        if mine:
            places = np.flatnonzero(np.logical_or.reduce([mask for _, mask in mine]))
            found.append(Copy(destination, places, [[name for name, m in mine if m[at]] for at in places.tolist()]))
    return found


def ready(rule: Rule, condition: Condition) -> ReadyRule:
    return ReadyRule(rule.name, condition, rule.to, milliseconds(rule.since))


_TOPIC_PREFIX: Final = "routed-"


def topic_name(store_id: str, name: str) -> str:
    """The log's name of a store's topic: no other store's names lead to it, and every engine takes it."""
    return f"{_TOPIC_PREFIX}{sha256(store_id.encode()).hexdigest()[:24]}-{name}"


def pause_before_retry(cause: str, failures: int, first: timedelta, longest: timedelta) -> timedelta:
    """Twice as long after each failure; up to half of it is taken off, by chance that `cause` decides.

    So that many that failed together do not come back together.
    """
    whole = min(first * 2 ** min(failures - 1, 30), longest)
    share = int.from_bytes(sha256(f"{cause}/{failures}".encode()).digest()[:4]) / 2**32
    return whole * (1 - share / 2)


_OK: Final = range(200, 300)
_GONE: Final = 410
_BUSY: Final = frozenset({429, 503})
_DIGITS: Final = 8


class Verdict(NamedTuple):
    """What an answer means."""

    delivered: bool
    note: str
    gone: bool = False
    """The receiver wants no more."""
    wait: timedelta | None = None
    """How long it asks us to wait."""


def judged(status: int, body: bytes, retry_after: str) -> Verdict:
    """Any 2xx is taken for received; a redirect is not followed, and so an answer like any other."""
    if status in _OK:
        return Verdict(delivered=True, note=f"answered {status}")
    beginning = body[:200].decode("utf-8", "replace").replace("\0", "�").strip()
    note = f"answered {status}" + (f": {beginning}" if beginning else "")
    seconds = (
        int(retry_after) if retry_after.isascii() and retry_after.isdecimal() and len(retry_after) < _DIGITS else 0
    )
    asked = timedelta(seconds=seconds) if seconds and status in _BUSY else None
    return Verdict(delivered=False, note=note, gone=status == _GONE, wait=asked)


def decoded_rules(stored: object) -> tuple[Rule, ...]:
    """Rules as they were kept."""
    return msgspec.convert(stored, tuple[Rule, ...], strict=False)


def missing_destinations(rules: Sequence[Rule], known: Mapping[UUID, Destination]) -> list[UUID]:
    """What rules lead to and is not there."""
    return sorted({id_ for rule in rules for id_ in rule.to if id_ not in known})
