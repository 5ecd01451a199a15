"""Which model serves a store now: models in memory, kept fresh from the registry without anyone waiting for it."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Failure
from recoup.kit.telemetry import logger
from recoup.services.ai.models.domain import Model, Prior, Scorer
from recoup.services.ai.models.store import Artifacts, Store
from recoup.services.ai.models.trained import Trained, load

log = logger(__name__)
PRIOR = Prior()


@dataclass(slots=True)
class Serving:
    """The live model of each store. A refresh runs beside the answers; without the registry, the known serves on."""

    store: Store
    artifacts: Artifacts
    refresh_seconds: float
    capacity: int
    _live: dict[str, tuple[float, Scorer]] = field(default_factory=dict)
    _loaded: OrderedDict[str, Trained] = field(default_factory=OrderedDict)
    _refreshing: dict[str, "asyncio.Task[Scorer]"] = field(default_factory=dict)

    async def live(self, store_id: str) -> Scorer:
        """The model that serves a store; the first call of a store waits for the registry."""
        known = self._live.get(store_id)
        if known is None:
            return await self.refresh(store_id)
        if stopwatch() - known[0] > self.refresh_seconds and store_id not in self._refreshing:
            task = asyncio.create_task(self.refresh(store_id))
            self._refreshing[store_id] = task
            task.add_done_callback(lambda done: self._refreshed(store_id, done))
        return known[1]

    async def refresh(self, store_id: str) -> Scorer:
        """Asks the registry now, and loads what it names."""
        model = await self.store.find_live(store_id)
        scorer = PRIOR if model is None else await self.loaded(model)
        self._live[store_id] = (stopwatch(), scorer)
        return scorer

    async def loaded(self, model: Model) -> Trained:
        """A model in memory; the one longest unused makes room. Loading runs beside the event loop."""
        found = self._loaded.get(model.version)
        if found is None:
            found = await asyncio.to_thread(lambda: load(model.version, self.artifacts.content(model.artifact_digest)))
            self._loaded[model.version] = found
        self._loaded.move_to_end(model.version)
        while len(self._loaded) > self.capacity:
            self._loaded.popitem(last=False)
        return found

    def is_loaded(self, version: str) -> bool:
        return version in self._loaded

    async def roll_back(self, store_id: str, version: str, *, at: datetime, by: str) -> Scorer:
        """An earlier version, or the prior, serves from now on; the model is loaded before the registry says so."""
        if version == PRIOR.version:
            await self.store.retire_live(store_id, at=at, by=by, why="rolled back to the prior")
            return await self.refresh(store_id)
        await self.loaded(await self.store.model(store_id, version))
        await self.store.deploy(store_id, version, at=at, by=by, why="rolled back")
        return await self.refresh(store_id)

    def _refreshed(self, store_id: str, task: "asyncio.Task[Scorer]") -> None:
        del self._refreshing[store_id]
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if not isinstance(error, Failure):
            log.error("model not refreshed", store_id=store_id, exc_info=error)
            return
        log.warning("serving on with the model at hand", store_id=store_id, why=error.detail)
        _, scorer = self._live[store_id]
        self._live[store_id] = (stopwatch(), scorer)
