"""A dead letter: which kind it is, what may become of it, and under which id it may be sent again."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple, cast
from uuid import UUID

import msgspec
from msgspec import Struct

from recoup.kit.ids import derived_id
from recoup.services.pipeline.collect.domain.unreadable import as_it_came


class Kind(StrEnum):
    """Why an event cannot be used, in the words a shop filters by; `code` beside it names the very rule."""

    SCHEMA_VIOLATION = "schema_violation"
    UNKNOWN_TYPE = "unknown_type"
    SIZE = "size"
    TIMESTAMP = "timestamp"
    ENRICHMENT = "enrichment"
    UNAVAILABLE = "unavailable"
    """Something of ours did not answer; sent again by itself."""
    UNREADABLE = "unreadable"
    CONFLICT = "conflict"
    """Its id belongs to another event."""
    FOREIGN_STORE = "foreign_store"
    TOO_MANY_RETRIES = "too_many_retries"


class Status(StrEnum):
    """Where a letter is."""

    OPEN = "open"
    """Waits for a person or the repairer."""
    WAITING = "waiting"
    """Will be sent again by itself."""
    SENDING = "sending"
    REPLAYED = "replayed"
    """Sent again as it came or as a person edited it."""
    REPAIRED = "repaired"
    """Mended and sent by the repairer."""
    UNSURE = "unsure"
    """We died while sending it, too long ago to tell a repeat from a new event. A person decides."""
    DISMISSED = "dismissed"


_KINDS: Final[Mapping[str, Kind]] = {
    **{kind.value: kind for kind in Kind},
    "unknown_type": Kind.UNKNOWN_TYPE,
    "derived_type": Kind.UNKNOWN_TYPE,
    "wall_clock": Kind.UNKNOWN_TYPE,
    "too_many_items": Kind.SIZE,
    "too_large": Kind.SIZE,
    "too_many_events": Kind.SIZE,
    "future_time": Kind.TIMESTAMP,
    "too_old": Kind.TIMESTAMP,
    "malformed_json": Kind.UNREADABLE,
    "malformed_protobuf": Kind.UNREADABLE,
    "malformed_frame": Kind.UNREADABLE,
    "not_an_array": Kind.UNREADABLE,
    "bad_encoding": Kind.UNREADABLE,
    "unsupported_encoding": Kind.UNREADABLE,
    "unsupported_media_type": Kind.UNREADABLE,
    "conflicting_id": Kind.CONFLICT,
    "foreign_store": Kind.FOREIGN_STORE,
    "timeout": Kind.UNAVAILABLE,
}

TRANSIENT: Final = frozenset({Kind.ENRICHMENT, Kind.UNAVAILABLE})
"""What may pass by itself."""
SENDABLE: Final = frozenset({Status.OPEN, Status.WAITING, Status.UNSURE})
DONE: Final = frozenset({Status.REPLAYED, Status.REPAIRED})
SURE_FOR: Final = timedelta(minutes=50)
"""How long a repeat is recognised for certain: ids are remembered for an hour at least."""
LONGEST_BACKOFF: Final = timedelta(minutes=10)


def kind_of(code: str) -> Kind:
    """The kind a rule's code belongs to; a rule that has no kind of its own is one of the schema's."""
    return _KINDS.get(code, Kind.SCHEMA_VIOLATION)


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened to a letter."""

    at: str
    """RFC 3339: as text, since it is kept inside a JSON column."""
    what: str
    by: str = "recoup"
    detail: str = ""
    before: str = ""
    """What stood there before an edit or repair; kept so that it can be undone."""


def noted(at: datetime, what: str, *, by: str = "recoup", detail: str = "", before: str = "") -> Entry:
    """An entry for something that happens now."""
    return Entry(at=at.isoformat(), what=what, by=by, detail=detail, before=before)


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing a repair does, and why."""

    what: str
    field: str
    reason: str
    confidence: float


class Proposal(Struct, frozen=True, kw_only=True):
    """A mended event: its text, how sure we are, and every change with its reason."""

    body: str
    confidence: float
    changes: list[Change]
    valid: bool
    problem: str = ""


class Letter(Struct, frozen=True, kw_only=True):
    """A dead letter as it is kept."""

    id: UUID
    store_id: str
    event_id: str
    event_type: str
    stage: str
    kind: Kind
    code: str
    field: str
    reason: str
    body: bytes
    proven: bool
    """Whether the shop itself had said it."""
    status: Status
    attempts: int
    retries: int
    sent_body: bytes | None
    sent_event_id: str | None
    sending_since: datetime | None
    next_retry_at: datetime | None
    examined_at: datetime | None
    proposals: list[Proposal]
    history: list[Entry]
    received_at: datetime
    dead_at: datetime


class Arrival(NamedTuple):
    """A row of the dead letter topic, with its kind and a name that is the same whenever it is read."""

    id: UUID
    store_id: str
    event_id: str
    event_type: str
    stage: str
    kind: Kind
    code: str
    field: str
    reason: str
    body: bytes
    proven: bool
    attempts: int
    next_retry_at: datetime | None
    received_at: datetime
    dead_at: datetime


def arrival(row: Mapping[str, object], first_pause: timedelta) -> Arrival:
    """A row as a letter: one event that dies of the same thing again is the same letter."""
    body = as_it_came(str(row["body"] or ""))
    store_id, stage, code = str(row["store_id"]), str(row["stage"]), str(row["kind"])
    event_id, event_type = named(body)
    event_id = str(row["event_id"] or "") or event_id
    kind, dead_at = kind_of(code), cast("datetime", row["dead_at"])
    return Arrival(
        id=derived_id("dead letter", store_id, stage, event_id, sha256(body).hexdigest()),
        store_id=store_id,
        event_id=event_id[:128],
        event_type=event_type[:64],
        stage=stage,
        kind=kind,
        code=code,
        field=str(row["field"] or ""),
        reason=str(row["reason"] or "").replace("\0", ""),
        body=body,
        proven=bool(row["proven"]),
        attempts=cast("int", row["attempts"] or 1),
        next_retry_at=dead_at + first_pause if kind in TRANSIENT else None,
        received_at=cast("datetime", row["received_at"]),
        dead_at=dead_at,
    )


def named(body: bytes) -> tuple[str, str]:
    """The id and type an event gives itself, as far as they can be read; without characters no database keeps."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "", ""
    if not isinstance(found, dict):
        return "", ""
    event = cast("dict[str, object]", found)
    event_id, event_type = event.get("event_id"), event.get("type")
    return _kept(event_id), _kept(event_type)


def _kept(value: object) -> str:
    return value.replace("\0", "") if isinstance(value, str) else ""


def usable_id(body: bytes, letter_id: UUID) -> str:
    """The id an event goes out under: its own where it is a UUID, else one that is always the same for this letter."""
    own = named(body)[0]
    try:
        return str(UUID(own))
    except ValueError:
        return str(derived_id("dead letter sent again", str(letter_id)))


def with_id(body: bytes, event_id: str) -> bytes:
    """The event under this id; what cannot be read stays as it is, and will be refused."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return body
    if not isinstance(found, dict):
        return body
    event = cast("dict[str, object]", found)
    if event.get("event_id") == event_id:
        return body
    return msgspec.json.encode({**event, "event_id": event_id})


def pause(retries: int, first: timedelta) -> timedelta:
    """How long to wait before the next try: twice as long each time, ten minutes at most."""
    return min(first * 2 ** min(retries, 12), LONGEST_BACKOFF)


def text_of(body: bytes) -> str:
    """Bytes as a person may look at them, and a database keep them."""
    return body.decode("utf-8", "replace").replace("\0", "\ufffd")


def is_flood(letters: int, limit: int) -> bool:
    """Whether so many letters in a window mean that something is broken for good: nothing is then sent by itself."""
    return limit > 0 and letters > limit


def best(proposals: Sequence[Proposal]) -> Proposal | None:
    """The surest proposal that the collector would take."""
    return max((one for one in proposals if one.valid), key=lambda one: one.confidence, default=None)
