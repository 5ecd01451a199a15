"""A running pipeline with a workbench for its dead letters, on the real engines; nothing happens by itself."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from tests.services.pipeline.builders import SHOP, Pipeline, pipeline

from recoup.kit.migrate import migrate
from recoup.kit.postgres import Postgres
from recoup.kit.runner import decoded
from recoup.messages.events import DEAD
from recoup.messages.stores import Asks, StoreConfigured, StoreSettings
from recoup.messages.topics import EVENTS_DEAD
from recoup.services.pipeline.deadletters.actions import Mender, Workbench
from recoup.services.pipeline.deadletters.domain.filters import Filter
from recoup.services.pipeline.deadletters.domain.letters import Letter
from recoup.services.pipeline.deadletters.handlers import Handlers
from recoup.services.pipeline.deadletters.jobs import Rounds, Sampler
from recoup.services.pipeline.deadletters.store import Store
from recoup.services.pipeline.settings import Settings


@dataclass
class Reports:
    """Remembers what monitoring is told."""

    told: list[tuple[str, Any]] = field(default_factory=list)

    async def post(self, service: str, path: str, body: object, kind: type[Any]) -> Any:
        self.told.append((f"{service} {path}", body))
        return kind(id="1")


@dataclass
class Bench:
    """The workbench and what feeds it."""

    running: Pipeline
    store: Store
    handlers: Handlers
    workbench: Workbench
    rounds: Rounds
    mender: Mender
    sampler: Sampler
    reports: Reports
    _reader: Any = None

    async def arrive(self, count: int) -> list[Letter]:
        """Takes in what waits until there are `count` letters; newest first."""
        reader = self._reader = self._reader or self.running.log.reader("deadletters", "test", [EVENTS_DEAD.name])
        while True:
            records = await reader.read(wait_seconds=0.2, limit=100)
            if records:
                await self.handlers.on_dead(decoded(records, DEAD))
                await reader.commit({(record.topic, record.partition): record.offset for record in records})
            letters = await self.letters()
            if len(letters) >= count:
                return letters

    async def letters(self, **wanted: Any) -> list[Letter]:
        return await self.store.page(SHOP, Filter(**wanted), None, 1_000)

    async def again(self, id_: UUID) -> Letter:
        return await self.store.letter(SHOP, id_)

    async def set(self, **settings: object) -> None:
        chosen = msgspec.convert(settings, StoreSettings)
        await self.running.collector.stores.on_configured([StoreConfigured(store_id=SHOP, version=2, settings=chosen)])

    def later(self, **by: float) -> None:
        self.running.clock.advance(timedelta(**by))


@asynccontextmanager
async def bench(
    valkey_url: str, database: str, *, keep: bool = False, registry: Asks | None = None, **settings: Any
) -> AsyncGenerator[Bench]:
    """A shop's pipeline and its workbench; on an empty Valkey unless told to keep what is there."""
    await migrate(database, ["pipeline"])
    postgres = Postgres(database, "pipeline")
    used = Settings(**settings)
    async with pipeline(valkey_url, settings=used, keep=keep, registry=registry) as running:
        store, reports = Store(postgres), Reports()
        workbench = Workbench(store, running.collector, running.collector.stores, running.clock, used)
        mender = Mender(store, workbench, running.clock)
        rounds = Rounds(store, workbench, mender, reports, running.clock, used)
        sampler = Sampler(running.log, "test", mender, used)
        made = Bench(running, store, Handlers(store, used), workbench, rounds, mender, sampler, reports)
        try:
            yield made
        finally:
            if made._reader is not None:
                await made._reader.close()
            await postgres.close()


def edited(letter: Letter, **changes: object) -> bytes:
    """The letter's event with some fields changed."""
    event: Mapping[str, object] = msgspec.json.decode(letter.body)
    return msgspec.json.encode({**event, **changes})
