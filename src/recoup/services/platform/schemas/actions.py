"""Registering, comparing, deleting: what every door does alike.

Reading and comparing is done in a thread and before the transaction; the transaction only finds out whether anything
has changed since, and if so it is all done again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from recoup.kit.clock import Clock
from recoup.kit.errors import Conflict, Invalid, Missing, Problem
from recoup.kit.schemas.source import Difference, Format, Source
from recoup.messages.schemas import ActiveSchemas, ActiveVersion, Step, SubjectRules
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.schemas import domain
from recoup.services.platform.schemas.domain import (
    Complaint,
    Limits,
    Migration,
    Mode,
    NewSchema,
    Reference,
    Settings,
    Standing,
    Version,
)
from recoup.services.platform.schemas.store import Made, Schemas

ATTEMPTS: Final = 8
SHOWN: Final = 20
"""Complaints that are told at most."""
Told = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Registry:
    """All that can be done with schemas; `told` announces that a store's have changed."""

    schemas: Schemas
    told: Told
    clock: Clock
    limits: Limits

    async def register(self, store_id: str, subject: str, new: NewSchema, actor: Actor) -> Version:
        """The version that this schema is of this subject: one that is there, or the next one."""
        domain.check_name(subject)
        domain.check_size(new, self.limits)
        made = await self._made(store_id, new)
        for _ in range(ATTEMPTS):
            standing = await self.schemas.standing(store_id, subject)
            known = next((one for one in standing.active if one.fingerprint == made.fingerprint), None)
            if known is not None:
                return known
            await self._check_room(store_id, standing)
            complaints = await self._complaints(store_id, made, standing, None)
            if complaints:
                raise _incompatible(subject, complaints)
            version = await self.schemas.add(store_id, subject, made, standing, actor, self.clock.now())
            if version is not None:
                await self.told(store_id)
                return version
        raise Conflict("others keep changing this store's schemas; try again")

    async def look_up(self, store_id: str, subject: str, new: NewSchema, *, deleted: bool = False) -> Version:
        """The version of a subject that is this very schema; raises Missing."""
        domain.check_size(new, self.limits)
        versions = await self.versions(store_id, subject, deleted=deleted)
        made = await self._made(store_id, new)
        found = next((one for one in versions if one.fingerprint == made.fingerprint), None)
        if found is None:
            raise Missing(f"this schema is no version of subject {subject!r}", code="schema_missing")
        return found

    async def check(
        self, store_id: str, subject: str, new: NewSchema, version: str | None = None
    ) -> Sequence[Complaint]:  # fmt: skip
        """Why a schema could not be registered: against one version, or against those the mode asks for."""
        domain.check_size(new, self.limits)
        made = await self._made(store_id, new)
        standing = await self.schemas.standing(store_id, subject)
        against = None
        if version is not None:
            against = [_one(subject, standing.active, domain.number(version, standing.active))]
        return await self._complaints(store_id, made, standing, against)

    async def versions(self, store_id: str, subject: str, *, deleted: bool = False) -> list[Version]:
        """The versions of a subject, oldest first; raises Missing for no such subject."""
        found = [*await self.schemas.versions(store_id, [subject])]
        kept = found if deleted else [one for one in found if one.deleted_at is None]
        if not kept:
            gone = "subject_deleted" if found else "subject_missing"
            raise Missing(f"there is no subject {subject!r}" + (" any more" if found else ""), code=gone)
        return kept

    async def version(self, store_id: str, subject: str, word: str, *, deleted: bool = False) -> Version:
        """A version by its number or as `latest`; raises Missing."""
        versions = await self.versions(store_id, subject, deleted=deleted)
        return _one(subject, versions, domain.number(word, versions))

    async def with_id(self, store_id: str, schema_id: int) -> Version:
        """A schema by its id, deleted or not; raises Missing."""
        found = await self.schemas.with_id(store_id, schema_id)
        if not found:
            raise Missing(f"there is no schema {schema_id}", code="schema_missing")
        return found[0]

    async def delete(
        self, store_id: str, subject: str, word: str | None, actor: Actor, *, permanent: bool = False
    ) -> list[int]:  # fmt: skip
        """Takes a version (all, without a word) out of use, or removes deleted ones for good; which they were."""
        every = [*await self.schemas.versions(store_id, [subject])]
        if not every:
            raise Missing(f"there is no subject {subject!r}", code="subject_missing")
        chosen = every if word is None else [_one(subject, every, domain.number(word, every))]
        if word is not None or permanent:
            _demand_state(chosen, word, deleted=permanent)
        chosen = [one for one in chosen if permanent or one.deleted_at is None]
        if not chosen:
            raise Missing(f"subject {subject!r} was deleted already", code="subject_deleted")
        numbers = [one.version for one in chosen]
        act = self.schemas.purge if permanent else self.schemas.delete
        referring = await act(store_id, subject, numbers, actor, self.clock.now())
        if referring:
            raise Conflict(f"schemas {', '.join(map(str, referring))} refer to it", code="referenced")
        await self.told(store_id)
        return numbers

    async def configure(self, store_id: str, subject: str, change: Settings, actor: Actor) -> Settings:
        """Sets what is given of a subject's settings, or of the store's; the rest stays."""
        if subject:
            domain.check_name(subject)
        current = await self.schemas.settings(store_id, subject)
        made = Settings(
            compatibility=change.compatibility or current.compatibility, mode=change.mode or current.mode,
            on_violation=change.on_violation or current.on_violation,
        )  # fmt: skip
        await self.schemas.configure(store_id, subject, made, actor, self.clock.now())
        await self.told(store_id)
        return made

    async def reset(self, store_id: str, subject: str, what: str, actor: Actor) -> Settings:
        """Takes back what was set, `compatibility` or `mode`; what it was."""
        current = await self.schemas.settings(store_id, subject)
        kept = Settings(
            compatibility=None if what == "compatibility" else current.compatibility,
            mode=None if what == "mode" else current.mode,
            on_violation=current.on_violation,
        )
        await self.schemas.configure(store_id, subject, kept, actor, self.clock.now())
        await self.told(store_id)
        return current

    async def migrate(
        self, store_id: str, subject: str, from_version: int, steps: Sequence[Step], actor: Actor
    ) -> Migration:
        """Sets how events of a version become those of the next; that one may be registered later."""
        _one(subject, await self.versions(store_id, subject, deleted=True), from_version)
        found = await self.schemas.set_migration(
            store_id, Migration(
                subject=subject, from_version=from_version, steps=tuple(steps), created_at=self.clock.now(),
                created_by=actor.subject,
            ), actor,
        )  # fmt: skip
        await self.told(store_id)
        return found

    async def unmigrate(self, store_id: str, subject: str, from_version: int, actor: Actor) -> None:
        """Takes a migration back; raises Missing for none."""
        _one(subject, await self.versions(store_id, subject, deleted=True), from_version)
        if not await self.schemas.remove_migration(store_id, subject, from_version, actor, self.clock.now()):
            raise Missing(f"subject {subject!r} has no migration from version {from_version}", code="migration_missing")
        await self.told(store_id)

    async def active(self, store_id: str) -> ActiveSchemas:
        """Everything a service needs to check a store's events by itself."""
        # Before the rest: what changes meanwhile is asked for again.
        revision = await self.schemas.revision(store_id)
        items: list[ActiveVersion] = []
        for one in await self.schemas.active(store_id):
            source = await self.source(store_id, one)
            items.append(
                ActiveVersion(
                    name=one.subject, version=one.version, id=one.id, format=one.format, schema=source.text,
                    references=dict(source.references),
                )
            )  # fmt: skip
        return ActiveSchemas(
            revision=revision, items=items, rules=await self._rules(store_id, {one.name for one in items})
        )  # fmt: skip

    async def _rules(self, store_id: str, subjects: set[str]) -> dict[str, SubjectRules]:
        known = await self.schemas.settings_of(store_id, [domain.WHOLE_STORE, *subjects])
        whole = known.get(domain.WHOLE_STORE, Settings()).on_violation or domain.DEFAULT_ON_VIOLATION
        steps: dict[str, dict[int, tuple[Step, ...]]] = {}
        for one in await self.schemas.migrations(store_id):
            steps.setdefault(one.subject, {})[one.from_version] = one.steps
        return {
            subject: SubjectRules(
                on_violation=known.get(subject, Settings()).on_violation or whole, migrations=steps.get(subject, {})
            )
            for subject in subjects
        }

    async def source(self, store_id: str, version: Version) -> Source:
        """A registered schema with all it refers to; Protobuf as descriptors, so that nobody needs the compiler."""
        from recoup.kit.schemas import protobuf  # noqa: PLC0415 - see `_read`

        if version.format is Format.PROTOBUF:
            compiled = await self.schemas.compiled(store_id, [version.id])
            return await asyncio.to_thread(protobuf.portable, compiled[version.id])
        references = await self._references(store_id, version.format, version.references)
        return Source(format=version.format, text=version.text, references=references)

    async def _made(self, store_id: str, new: NewSchema) -> Made:
        source = Source(
            format=new.format, text=new.text,
            references=await self._references(store_id, new.format, new.references),
        )  # fmt: skip
        return await asyncio.to_thread(_read, new, source)

    async def _references(
        self, store_id: str, format_: Format, references: Sequence[Reference], depth: int = 1
    ) -> Mapping[str, str]:  # fmt: skip
        """The texts by the names they are referred to by, what is needed first before what needs it."""
        if references and depth > self.limits.reference_depth:
            raise Invalid(f"references go deeper than {self.limits.reference_depth}", code="references_too_deep")
        found: dict[str, str] = {}
        for reference in references:
            version = await self._referred(store_id, format_, reference)
            if format_ is Format.PROTOBUF:
                inner = await self.source(store_id, version)
            else:
                more = await self._references(store_id, format_, version.references, depth + 1)
                inner = Source(format=format_, text=version.text, references=more)
            for name, text in [*inner.references.items(), (reference.name, inner.text)]:
                if found.setdefault(name, text) != text:
                    raise Invalid(f"{name!r} is the name of two different schemas", code="schema_invalid")
        return found

    async def _referred(self, store_id: str, format_: Format, reference: Reference) -> Version:
        versions = await self.schemas.versions(store_id, [reference.subject])
        found = next((one for one in versions if one.version == reference.version), None)
        place = Problem(code="reference_missing", field="references", detail=f"{reference.name!r}")
        if found is None:
            detail = f"there is no version {reference.version} of subject {reference.subject!r} to refer to"
            raise Invalid(detail, code="reference_missing", problems=[place])
        if found.format is not format_:
            raise Invalid(f"{reference.name!r} is in another format", code="schema_invalid", problems=[place])
        return found

    async def _check_room(self, store_id: str, standing: Standing) -> None:
        if standing.mode is Mode.READONLY:
            raise Conflict("this subject takes no new versions: it is read-only", code="read_only")
        if len(standing.versions) >= self.limits.versions:
            raise Conflict(f"a subject has at most {self.limits.versions} versions", code="too_many_versions")
        if not standing.versions and await self.schemas.count(store_id) >= self.limits.subjects:
            raise Conflict(f"a store has at most {self.limits.subjects} subjects", code="too_many_subjects")

    async def _complaints(
        self, store_id: str, made: Made, standing: Standing, against: Sequence[Version] | None
    ) -> Sequence[Complaint]:  # fmt: skip
        chosen = domain.compared(standing.compatibility, standing.active) if against is None else against
        if not chosen:
            return []
        mine = await self._portable(store_id, made)
        others = [(one.version, await self.source(store_id, one)) for one in chosen]
        return await asyncio.to_thread(_compared, mine, others, standing.compatibility)

    async def _portable(self, store_id: str, made: Made) -> Source:
        from recoup.kit.schemas import protobuf  # noqa: PLC0415 - see `_read`

        if made.compiled is not None:
            return await asyncio.to_thread(protobuf.portable, made.compiled)
        references = await self._references(store_id, made.new.format, made.new.references)
        return Source(format=made.new.format, text=made.new.text, references=references)


def _read(new: NewSchema, source: Source) -> Made:
    from recoup.kit.schemas import formats, protobuf  # noqa: PLC0415 - libraries that wait for the first schema

    found = formats.read(source)
    compiled = protobuf.as_set(found) if isinstance(found, protobuf.File) else None
    rest = msgspec.json.encode([new.references, new.extras], order="deterministic")
    mark = sha256(formats.identity(source, found) + rest).digest()
    return Made(new=new, fingerprint=mark, compiled=compiled)


def _compared(
    mine: Source, others: Sequence[tuple[int, Source]], compatibility: domain.Compatibility
) -> Sequence[Complaint]:  # fmt: skip
    from recoup.kit.schemas import formats  # noqa: PLC0415 - see `_read`

    new = formats.read(mine)
    found: list[Complaint] = []
    for version, source in others:
        old = formats.read(source)
        if compatibility.backward:
            found += [Complaint(version, "backward", one) for one in formats.differences(new, old)]
        if compatibility.forward:
            found += [Complaint(version, "forward", one) for one in formats.differences(old, new)]
    return found


def _incompatible(subject: str, complaints: Sequence[Complaint]) -> Conflict:
    first: Difference = complaints[0].difference
    more = f", and {len(complaints) - 1} more" if len(complaints) > 1 else ""
    detail = (
        f"this schema does not go together with version {complaints[0].version} of subject {subject!r}"
        f" ({complaints[0].direction}): {first.rule} at {first.path or '(root)'}: {first.detail}{more}"
    )
    problems = [complaint.problem for complaint in complaints[:SHOWN]]
    return Conflict(detail, code="incompatible", problems=problems)


def _one(subject: str, versions: Sequence[Version], number: int) -> Version:
    found = next((one for one in versions if one.version == number), None)
    if found is None:
        raise Missing(f"subject {subject!r} has no version {number}", code="version_missing")
    return found


def _demand_state(chosen: Sequence[Version], word: str | None, *, deleted: bool) -> None:
    """What is removed for good was deleted before; what is deleted was not."""
    what = "subject" if word is None else "version"
    for one in chosen:
        if deleted and one.deleted_at is None:
            raise Missing(f"this {what} must be deleted before it is removed for good", code=f"{what}_not_deleted")
        if not deleted and one.deleted_at is not None:
            raise Missing(f"version {one.version} was deleted already", code=f"{what}_deleted")
