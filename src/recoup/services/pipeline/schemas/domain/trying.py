"""What would become of one event of a type: its verdict, and what the migrations make of it. Nothing is kept."""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import cast

import msgspec
from msgspec import Struct

from recoup.kit.errors import Invalid, Problem
from recoup.kit.schemas.source import Kind
from recoup.messages.schemas import OLDEST_VERSION, OnViolation, Step, SubjectRules
from recoup.services.pipeline.schemas.domain.catalog import Catalog, Subject
from recoup.services.pipeline.schemas.domain.documents import Table, decoded, own
from recoup.services.pipeline.schemas.domain.judging import judge
from recoup.services.pipeline.schemas.domain.migrating import Object, migrated

_NEWEST = 2**31 - 1


class Outcome(StrEnum):
    """What becomes of an event."""

    TAKEN = "taken"
    WARNED = "warned"
    """Kept as it came, and counted as one that breaks its schema."""
    DEAD_LETTER = "dead_letter"
    UNCHECKED = "unchecked"
    """Kept, as the registry does not answer and nobody knows what to hold it against."""


class Broken(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with an event."""

    kind: Kind
    field: str
    detail: str


class SchemaTrial(Struct, frozen=True, kw_only=True):
    """What would become of it."""

    outcome: Outcome
    version: int
    """The version the row would have in the end."""
    against: int
    """The version that it breaks; 0 where it breaks none."""
    violations: Sequence[Broken]
    raised_to: int
    """How far the migrations lead, whether or not that version is registered."""
    properties: dict[str, object] | None
    """What they make of the properties; null where they lead nowhere."""


def sample_of(event: Table) -> tuple[Table, int]:
    """The event as it is judged, and the version it names; raises Invalid for what no event could be."""
    version = event.get("schema_version", OLDEST_VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or not OLDEST_VERSION <= version <= _NEWEST:
        raise _wrong("event.schema_version", "a version is a whole number from 1 on")
    properties = event.get("properties", {})
    if not isinstance(properties, dict):
        raise _wrong("event.properties", "properties are an object")
    return {**event, "schema_version": version, "properties": decoded(msgspec.json.encode(properties))}, version


def _wrong(field: str, detail: str) -> Invalid:
    return Invalid(detail, code="event_invalid", problems=[Problem(code="wrong_type", field=field, detail=detail)])


def draft(subject: Subject, version: int, steps: Sequence[Step] | None, on_violation: OnViolation | None) -> Subject:
    """The subject as it would be with other steps away from this version, or another rule."""
    rules = subject.rules
    migrations = rules.migrations if steps is None else {**rules.migrations, version: tuple(steps)}
    return replace(subject, rules=SubjectRules(on_violation=on_violation or rules.on_violation, migrations=migrations))


def trial(subject: Subject, event: Table, version: int, catalog: Catalog) -> SchemaTrial:
    """What would become of the event."""
    verdict = judge(subject, event, catalog)
    reached = version
    while reached in subject.rules.migrations:
        reached += 1
    raised: dict[str, object] | None = None
    if reached != version and event["properties"] is not None:
        raised = migrated(subject.steps(version, reached), cast("Object", own(event)), event.get("currency"))
    return SchemaTrial(
        outcome=_outcome(subject, checked=verdict.checked, fits=not verdict.violations),
        version=verdict.version or version,
        against=verdict.against if verdict.violations else 0,
        violations=[Broken(kind=one.kind, field=one.path, detail=one.detail) for one in verdict.violations],
        raised_to=reached,
        properties=raised,
    )


def _outcome(subject: Subject, *, checked: bool, fits: bool) -> Outcome:
    if not checked:
        return Outcome.UNCHECKED
    if fits:
        return Outcome.TAKEN
    return Outcome.WARNED if subject.rules.on_violation is OnViolation.WARN else Outcome.DEAD_LETTER
