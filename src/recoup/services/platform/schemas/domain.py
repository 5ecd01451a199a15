"""Subjects, versions, and which of them a new schema must go together with."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, NamedTuple
from uuid import UUID

from msgspec import Meta, Struct

from recoup.kit.errors import Invalid, Problem
from recoup.kit.schemas.source import Difference, Format
from recoup.messages.schemas import OnViolation, Step

WHOLE_STORE: Final = ""
"""The subject under which a store's own settings are kept."""
LONGEST_NAME: Final = 255
Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
VersionNumber = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class Compatibility(StrEnum):
    """Whom a new version must understand (backward), or who it (forward): the last version, or all (transitive)."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"

    @property
    def backward(self) -> bool:
        return self.startswith(("BACKWARD", "FULL"))

    @property
    def forward(self) -> bool:
        return self.startswith(("FORWARD", "FULL"))

    @property
    def transitive(self) -> bool:
        return self.endswith("_TRANSITIVE")


class Mode(StrEnum):
    """Whether a subject takes new versions."""

    READWRITE = "READWRITE"
    READONLY = "READONLY"


DEFAULT_COMPATIBILITY: Final = Compatibility.BACKWARD
DEFAULT_MODE: Final = Mode.READWRITE
DEFAULT_ON_VIOLATION: Final = OnViolation.REJECT


class State(StrEnum):
    """Of a version: in use, or deleted and still readable by its id."""

    ACTIVE = "active"
    DELETED = "deleted"


class Reference(Struct, frozen=True, kw_only=True):
    """What a schema calls `name` is that version of another subject."""

    name: Name
    subject: Name
    version: VersionNumber


class NewSchema(Struct, frozen=True, kw_only=True):
    """A schema as it is handed in."""

    format: Format = Format.AVRO
    text: str
    references: tuple[Reference, ...] = ()
    extras: dict[str, object] = {}
    """What clients keep beside a schema for themselves: metadata and rules, taken and given as they are."""


class Version(Struct, frozen=True, kw_only=True):
    """One version of a subject."""

    subject: str
    version: int
    id: int
    guid: UUID
    format: Format
    text: str
    references: tuple[Reference, ...] = ()
    extras: dict[str, object] = {}
    fingerprint: bytes = b""
    created_at: datetime
    created_by: str = ""
    deleted_at: datetime | None = None

    @property
    def state(self) -> State:
        return State.ACTIVE if self.deleted_at is None else State.DELETED


class Settings(Struct, frozen=True, kw_only=True):
    """What is set for a subject or a whole store; what is not set comes from above."""

    compatibility: Compatibility | None = None
    mode: Mode | None = None
    on_violation: OnViolation | None = None
    """What becomes of events of this type that break it."""


class Migration(Struct, frozen=True, kw_only=True):
    """How an event of one version becomes one of the next."""

    subject: str
    from_version: int
    steps: tuple[Step, ...]
    created_at: datetime
    created_by: str = ""


class Limits(Struct, frozen=True, kw_only=True):
    """How much one registry takes."""

    schema_bytes: int
    versions: int
    reference_depth: int
    subjects: int


class Standing(Struct, frozen=True, kw_only=True):
    """All that decides about a new version of a subject, as it was at one revision of the store's schemas."""

    revision: int
    versions: Sequence[Version]
    """Deleted ones too, oldest first."""
    subject: Settings
    store: Settings

    @property
    def compatibility(self) -> Compatibility:
        return self.subject.compatibility or self.store.compatibility or DEFAULT_COMPATIBILITY

    @property
    def mode(self) -> Mode:
        return self.subject.mode or self.store.mode or DEFAULT_MODE

    @property
    def active(self) -> list[Version]:
        return [version for version in self.versions if version.deleted_at is None]


class Complaint(NamedTuple):
    """Why a new schema does not go together with a version that is there."""

    version: int
    direction: str
    """`backward`: the new one cannot read what that one wrote; `forward`: the other way round."""
    difference: Difference

    @property
    def problem(self) -> Problem:
        detail = f"{self.difference.detail} ({self.direction}, version {self.version})"
        return Problem(code=self.difference.rule, field=self.difference.path, detail=detail)


def compared(compatibility: Compatibility, versions: Sequence[Version]) -> Sequence[Version]:
    """The versions a new one is held against, newest first."""
    if compatibility is Compatibility.NONE:
        return []
    newest_first = list(reversed(versions))
    return newest_first if compatibility.transitive else newest_first[:1]


def check_name(subject: str) -> None:
    """Raises Invalid for a name that no subject may have."""
    if not 0 < len(subject) <= LONGEST_NAME or not subject.isprintable():
        raise Invalid(
            f"a subject's name has 1 to {LONGEST_NAME} printable signs, not {subject[:300]!r}", code="subject_invalid"
        )


def check_size(new: NewSchema, limits: Limits) -> None:
    """Raises Invalid for a schema that is too much."""
    size = len(new.text.encode("utf-8", "surrogatepass"))
    if size > limits.schema_bytes:
        raise Invalid(f"a schema has at most {limits.schema_bytes} bytes, not {size}", code="schema_too_large")
    if not new.text.strip():
        raise Invalid("the schema is empty", code="schema_invalid")
    names = [reference.name for reference in new.references]
    if len(set(names)) != len(names):
        raise Invalid("two references have one name", code="schema_invalid")


def number(version: str, versions: Sequence[Version]) -> int:
    """The number that a word for a version means; raises Invalid for no word of ours."""
    if version in {"latest", "-1"}:
        return versions[-1].version if versions else 0
    if not version.isascii() or not version.isdigit() or not 0 < int(version[:11]) < 2**31:
        raise Invalid(f"{version[:100]!r} is neither a version's number nor 'latest'", code="version_invalid")
    return int(version)
