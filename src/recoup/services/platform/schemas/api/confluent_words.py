"""What Confluent's Schema Registry clients send and get: bodies, answers, and errors by their numbers."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from uuid import UUID

from litestar import Request, Response
from litestar.datastructures import State as Anything
from msgspec import UNSET, Struct, UnsetType, field

from recoup.kit.problems import problem
from recoup.kit.schemas.source import Format
from recoup.services.platform.schemas.domain import Compatibility, NewSchema, Reference, Version

MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
CODES: Final = {
    "subject_missing": 40401, "version_missing": 40402, "schema_missing": 40403, "subject_deleted": 40404,
    "subject_not_deleted": 40405, "version_deleted": 40406, "version_not_deleted": 40407,
    "subject_settings_missing": 40408, "subject_mode_missing": 40409, "incompatible": 409, "version_invalid": 42202,
    "compatibility_invalid": 42203, "mode_invalid": 42204, "read_only": 42205, "import_refused": 42205,
    "referenced": 42206, "subject_invalid": 42208, "unavailable": 50003, "timed_out": 50002,
}  # fmt: skip
"""What our codes are called there."""
UNREADABLE: Final = frozenset({
    "schema_invalid", "schema_too_large", "draft_unknown", "references_too_deep", "reference_missing", "text_invalid",
    "too_complex", "too_deep", "unknown_type",
})  # fmt: skip
INVALID_SCHEMA: Final = 42201


class Body(Struct, frozen=True, kw_only=True):
    """A schema as these clients hand it in."""

    schema: str
    schema_type: Format = field(default=Format.AVRO, name="schemaType")
    references: tuple[Reference, ...] | None = None
    metadata: dict[str, object] | None = None
    rule_set: dict[str, object] | None = field(default=None, name="ruleSet")

    def new(self) -> NewSchema:
        extras = {"metadata": self.metadata, "ruleSet": self.rule_set}
        kept: dict[str, object] = {name: value for name, value in extras.items() if value}
        return NewSchema(
            format=self.schema_type, text=self.schema, references=self.references or (), extras=kept
        )  # fmt: skip


class Registered(Struct, frozen=True, kw_only=True):
    """A schema as these clients get it; what a place has not is left out."""

    subject: str | UnsetType = UNSET
    version: int | UnsetType = UNSET
    id: int | UnsetType = UNSET
    guid: UUID
    schema_type: Format = field(name="schemaType")
    references: Sequence[Reference] | UnsetType = UNSET
    metadata: object = UNSET
    rule_set: object = field(default=UNSET, name="ruleSet")
    schema: str


class Config(Struct, frozen=True, kw_only=True):
    """Compatibility, by the two names it has there."""

    compatibility: str | None = None
    compatibility_level: str | None = field(default=None, name="compatibilityLevel")


class Level(Struct, frozen=True, kw_only=True):
    """Compatibility in force."""

    compatibility_level: Compatibility = field(name="compatibilityLevel")


class ModeBody(Struct, frozen=True, kw_only=True):
    """A mode by its name."""

    mode: str


class Compatible(Struct, frozen=True, kw_only=True):
    """The outcome of a comparison."""

    is_compatible: bool
    messages: Sequence[str] | UnsetType = UNSET


class Fault(Struct, frozen=True, kw_only=True):
    """How errors are told there; with our own code, for whoever asks both surfaces."""

    error_code: int
    message: str
    code: str


def fault(_: Request[object, object, Anything], error: Exception) -> Response[Fault]:
    """Any failure as these clients know it."""
    document = problem(error, "")
    status = document.status
    known = CODES.get(document.code)
    if document.code in UNREADABLE or (known is None and status == HTTPStatus.BAD_REQUEST):
        known = INVALID_SCHEMA
    if known is not None and known >= 1000:  # noqa: PLR2004 - their codes begin with the status
        status = known // 100
    body = Fault(error_code=known or status * 100 + 1, message=document.detail, code=document.code)
    return Response(body, status_code=status, media_type=MEDIA_TYPE)


def told(found: Version, text: str | None = None) -> Registered:
    """A version as these clients get it."""
    return Registered(
        subject=found.subject, version=found.version, id=found.id, guid=found.guid, schema_type=found.format,
        references=found.references or UNSET, schema=found.text if text is None else text,
        metadata=found.extras.get("metadata", UNSET), rule_set=found.extras.get("ruleSet", UNSET),
    )  # fmt: skip
