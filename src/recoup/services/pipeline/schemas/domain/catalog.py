"""A store's schemas as they were at one revision: which version speaks of an event, and where migrations lead it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from recoup.kit.schemas.source import Validator
from recoup.messages.events import DERIVED, EventType
from recoup.messages.schemas import ActiveSchemas, ActiveVersion, Step, SubjectRules

LONGEST_TYPE: Final = 64
_OURS: Final = DERIVED | {EventType.CLOCK.value}
Reads = Callable[[ActiveVersion], Validator | None]
"""Gives a version's validator; None for a schema that no event can be held against."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One type's versions in use, and what is set for them."""

    name: str
    rules: SubjectRules
    versions: Mapping[int, ActiveVersion]
    reads: Reads

    def validator(self, version: int) -> Validator | None:
        """Compiled when it is first asked for."""
        return self.reads(self.versions[version])

    def landing(self, version: int) -> int:
        """The version in use that an event of this one is raised to; this one where no migration leads on."""
        found = at = version
        while at in self.rules.migrations:
            at += 1
            found = at if at in self.versions else found
        return found

    def steps(self, version: int, landing: int) -> Sequence[Step]:
        """All that is done on the way up."""
        return [step for at in range(version, landing) for step in self.rules.migrations[at]]

    def judges(self, version: int) -> Iterator[ActiveVersion]:
        """The schemas that an event of this version may be held against."""
        return (self.versions[at] for at in {version, self.landing(version)} if at in self.versions)

    def knows(self, version: int) -> bool:
        """Whether there is anything to hold an event of this version against."""
        return any(True for _ in self.judges(version))


@dataclass(frozen=True, slots=True)
class Catalog:
    """All of a store's schemas."""

    revision: int = 0
    """-1: the registry has never answered."""
    subjects: Mapping[str, Subject] = field(default_factory=dict)
    current: bool = True
    """Whether the registry answered when it was last asked."""

    types: frozenset[str] = frozenset()
    """What a shop may call an event because a schema of that name is registered."""


UNKNOWN: Final = Catalog(revision=-1, current=False)


def catalog_of(found: ActiveSchemas, reads: Reads) -> Catalog:
    """What the registry said."""
    versions: dict[str, dict[int, ActiveVersion]] = {}
    for one in found.items:
        versions.setdefault(one.name, {})[one.version] = one
    return Catalog(
        revision=found.revision,
        subjects={
            name: Subject(name, found.rules.get(name, SubjectRules()), known, reads) for name, known in versions.items()
        },
        types=frozenset(name for name in versions if len(name) <= LONGEST_TYPE and name not in _OURS),
    )
