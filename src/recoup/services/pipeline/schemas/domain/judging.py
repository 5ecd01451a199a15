"""One event against the schemas of its type: what is wrong with it, and what its migrations make of it."""

from collections.abc import Sequence
from typing import NamedTuple, cast

from recoup.kit.schemas.source import Kind, Violation
from recoup.messages.schemas import OLDEST_VERSION, OnViolation
from recoup.services.pipeline.schemas.domain.catalog import Catalog, Subject
from recoup.services.pipeline.schemas.domain.documents import DEEPEST, Table, document, own, place
from recoup.services.pipeline.schemas.domain.migrating import Object, migrated

_TOLD = 5
"""Violations that a reason names."""


class Verdict(NamedTuple):
    """What was found out about one event."""

    violations: Sequence[Violation] = ()
    """Each with its place in the event."""
    against: int = 0
    """The version they break."""
    version: int | None = None
    properties: Object | None = None
    """What migrations made of it; None where none had to do anything, or the result is not to be used."""
    checked: bool = True
    """False: nobody knows what to hold it against, as the registry does not answer."""


def judge(subject: Subject, event: Table, catalog: Catalog) -> Verdict:
    """An event of this subject's type against the version it names, and after migrations against where they lead."""
    version = cast("int", event.get("schema_version", OLDEST_VERSION))
    landing = subject.landing(version)
    if version not in subject.versions and not catalog.current:
        return Verdict(checked=False)
    if landing == version or subject.rules.on_violation is not OnViolation.MIGRATE or _is_too_deep(event):
        found = _held(subject, version, event)
        if found.violations or landing == version or not found.checked:
            return found
    raised = migrated(subject.steps(version, landing), cast("Object", own(event)), event.get("currency"))
    found = _held(subject, landing, {**event, "schema_version": landing, "properties": raised})
    return found if found.violations else found._replace(version=landing, properties=raised)


def _held(subject: Subject, version: int, event: Table) -> Verdict:
    if version not in subject.versions:
        return Verdict(
            [unplanned(f"no version {version} of {subject.name!r} is registered", "schema_version")], version
        )
    if _is_too_deep(event):
        detail = f"nested deeper than {DEEPEST}"
        return Verdict([Violation(kind=Kind.RANGE, path="properties", detail=detail)], version)
    validator = subject.validator(version)
    if validator is None:
        return Verdict(checked=False)
    found = validator.violations(document(event, validator))
    return Verdict([
        Violation(kind=one.kind, path=place(one.path, event, validator), detail=one.detail) for one in found
    ], version)  # fmt: skip


def _is_too_deep(event: Table) -> bool:
    return "properties" in event and event["properties"] is None


def unplanned(detail: str, path: str = "type") -> Violation:
    """Nobody registered what this event is."""
    return Violation(kind=Kind.UNPLANNED_EVENT, path=path, detail=detail)


def reason(subject: str, verdict: Verdict) -> str:
    """What is wrong, for people: each violation by its name and place."""
    told = [f"{one.kind.value} at {one.path}: {one.detail}" for one in verdict.violations[:_TOLD]]
    more = len(verdict.violations) - len(told)
    against = f" ({subject!r}, version {verdict.against})" if verdict.against else ""
    return "; ".join(told) + (f"; and {more} more" if more else "") + against
