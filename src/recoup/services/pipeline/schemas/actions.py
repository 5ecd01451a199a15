"""Each store's schemas at hand: asked for when they have changed, kept when the registry does not answer.

Whoever needs a schema that is not known waits for the registry, but not for long, and not again while it is silent.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Failure, Invalid, Missing
from recoup.kit.metrics import Counter
from recoup.kit.schemas.source import MOST_CHECKS, Source, Validator
from recoup.kit.telemetry import logger
from recoup.messages.schemas import ActiveSchemas, ActiveVersion
from recoup.messages.stores import Asks, StoreDirectory
from recoup.services.pipeline.schemas.domain.catalog import UNKNOWN, Catalog, catalog_of
from recoup.services.pipeline.schemas.store import SchemaMemory

log = logger(__name__)
ASKED: Final = Counter("pipeline_schemas_asked_total", "How often the registry was asked for schemas", ["outcome"])
_ASK_AGAIN_SECONDS: Final = 1.0
"""A registry that has just said it does not know something is not asked for it again so soon."""
_MOST_ASKED_FOR: Final = 100
"""Things that are asked for one by one within that time; more of them are the doing of somebody who makes them up."""


@dataclass(slots=True)
class _Shelf:
    """What is known of one store."""

    catalog: Catalog
    most_checks: int = MOST_CHECKS
    validators: dict[int, Validator | None] = field(default_factory=dict)
    """By the schema's id, which never means another schema."""
    asked_at: float = float("-inf")
    asked_revision: int = -1
    """The newest revision that was heard of when the registry was asked."""
    asked_for: dict[object, float] = field(default_factory=dict)
    """What was not known when it was needed, and when the registry was asked for it."""
    asking: "asyncio.Task[None] | None" = None
    waits: bool = True
    """Whether the answer that is on its way is still worth waiting for."""

    def validator(self, version: ActiveVersion) -> Validator | None:
        if version.id not in self.validators:
            self.validators[version.id] = _compiled(version, self.most_checks)
        return self.validators[version.id]

    def is_news(self, wanted: Iterable[object]) -> bool:
        """Whether the registry should be asked for any of these now."""
        now = stopwatch()
        self.asked_for = {one: at for one, at in self.asked_for.items() if now - at < _ASK_AGAIN_SECONDS}
        new = set(wanted) - self.asked_for.keys()
        if not new or len(self.asked_for) >= _MOST_ASKED_FOR:
            return False
        self.asked_for |= dict.fromkeys(new, now)
        return True


@dataclass(slots=True)
class Catalogs:
    """Schemas by store, for one process."""

    peers: Asks
    stores: StoreDirectory
    wait_seconds: float
    pause_seconds: float
    """How long a registry that did not answer is left alone."""
    most_checks: int = MOST_CHECKS
    """Checks that may be made to tell what is wrong with one event."""
    memory: SchemaMemory | None = None
    _shelves: dict[str, _Shelf] = field(default_factory=dict)

    async def find(self, store_id: str) -> Catalog | None:
        """A store's schemas, perhaps of a moment ago; None where it never registered any."""
        revision = await self._revision(store_id)
        shelf = self._shelves.get(store_id)
        begins = shelf is None
        if shelf is None:
            if not revision:
                return None
            shelf = await self._first_shelf(store_id)
        changed = shelf.catalog.revision < revision
        if changed or not shelf.catalog.current:
            pause = 0.0 if revision > shelf.asked_revision else _ASK_AGAIN_SECONDS
            self._ask(store_id, shelf, pause if shelf.catalog.current else self.pause_seconds)
            # Whoever changed a rule and tries it sees it in force, however long the store was quiet before.
            if begins or shelf.catalog.revision < 0 or (changed and shelf.catalog.current):
                await self._wait(shelf)
        return shelf.catalog

    async def renewed(self, store_id: str, wanted: Iterable[object]) -> Catalog:
        """The same, after the registry was asked whether it knows more by now, as `wanted` is not among it."""
        revision = await self._revision(store_id)
        shelf = self._shelves.setdefault(store_id, _Shelf(UNKNOWN if revision else Catalog(), self.most_checks))
        # An answer that is on its way may have left before what is wanted was registered.
        await self._wait(shelf)
        if not shelf.catalog.current:
            self._ask(store_id, shelf, self.pause_seconds)
        elif shelf.is_news(wanted) or shelf.catalog.revision < revision:
            self._ask(store_id, shelf, 0.0)
        await self._wait(shelf)
        return shelf.catalog

    async def ready(
        self, store_id: str, catalog: Catalog, wanted: Iterable[tuple[str, int]], *, strict: bool
    ) -> Catalog:  # fmt: skip
        """The catalog with all that judges events of these types and versions compiled; newer where it lacks some.

        `strict` where a type that nobody registered matters.
        """
        pairs = list(wanted)
        if unknown := [pair for pair in pairs if not _is_known(catalog, *pair, strict=strict)]:
            catalog = await self.renewed(store_id, unknown)
        shelf = self._shelves.get(store_id)
        judges = [
            one
            for name, version in pairs
            if name in catalog.subjects
            for one in catalog.subjects[name].judges(version)
            if shelf is not None and one.id not in shelf.validators
        ]
        if shelf is not None and judges:
            await asyncio.to_thread(lambda: [shelf.validator(one) for one in judges])
        return catalog

    async def _first_shelf(self, store_id: str) -> _Shelf:
        """What was known before this process began, so that the registry need not answer for it to begin."""
        made = _Shelf(UNKNOWN, self.most_checks)
        if self.memory is not None and (before := await self.memory.find(store_id)) is not None:
            made.catalog = catalog_of(before, made.validator)
        return self._shelves.setdefault(store_id, made)

    async def close(self) -> None:
        """Waits for nobody any more."""
        asking = [shelf.asking for shelf in self._shelves.values() if shelf.asking is not None]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def _revision(self, store_id: str) -> int:
        try:
            return await self.stores.schemas(store_id)
        except Missing:
            return 0

    def _ask(self, store_id: str, shelf: _Shelf, pause: float) -> None:
        if shelf.asking is not None and not shelf.asking.done():
            return
        if stopwatch() - shelf.asked_at < pause:
            return
        shelf.waits = True
        shelf.asking = asyncio.create_task(self._load(store_id, shelf))

    async def _wait(self, shelf: _Shelf) -> None:
        if shelf.asking is None or shelf.asking.done() or not shelf.waits:
            return
        await asyncio.wait([shelf.asking], timeout=self.wait_seconds)
        if not shelf.asking.done():
            shelf.waits = False
            shelf.catalog = replace(shelf.catalog, current=False)

    async def _load(self, store_id: str, shelf: _Shelf) -> None:
        try:
            shelf.asked_revision = await self._revision(store_id)
            found = await self.peers.get("platform", f"/internal/schemas/{store_id}", ActiveSchemas)
        except (Failure, msgspec.MsgspecError) as error:
            ASKED.labels("failed").inc()
            log.warning(
                "schemas are as old as before", store_id=store_id, revision=shelf.catalog.revision, why=str(error)
            )
            shelf.catalog = replace(shelf.catalog, current=False)
        else:
            ASKED.labels("answered").inc()
            catalog = catalog_of(found, shelf.validator)
            in_use = {one.id for one in found.items}
            shelf.validators = {id_: known for id_, known in shelf.validators.items() if id_ in in_use}
            shelf.catalog = catalog
            if self.memory is not None:
                await self.memory.keep(store_id, found)
        finally:
            shelf.asked_at = stopwatch()


def _is_known(catalog: Catalog, name: str, version: int, *, strict: bool) -> bool:
    subject = catalog.subjects.get(name)
    return not strict if subject is None else subject.knows(version)


def _compiled(version: ActiveVersion, most_checks: int) -> Validator | None:
    from recoup.kit.schemas.validation import compiled  # noqa: PLC0415 - libraries that wait for the first schema

    source = Source(format=version.format, text=version.schema, references=version.references)
    try:
        return compiled(source, most_checks)
    except Invalid as refusal:
        log.warning(
            "a registered schema cannot be used", name=version.name, version=version.version, why=refusal.detail
        )
        return None
