"""Training a store's model: fetch what became of the carts, fit apart, judge, register, let the better one serve."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recoup.kit.clock import Clock
from recoup.kit.errors import Failure
from recoup.kit.ids import new_id
from recoup.kit.peers import Peers
from recoup.kit.telemetry import logger
from recoup.messages.stores import StoreConfigured
from recoup.services.ai.features.domain.definitions import DIGEST, NAMES
from recoup.services.ai.models.actions import Serving
from recoup.services.ai.models.domain import Model, Scorer, Status
from recoup.services.ai.models.store import Artifacts
from recoup.services.ai.models.store import Store as Models
from recoup.services.ai.training.domain.dataset import Dataset, from_table
from recoup.services.ai.training.domain.verdict import judge, leaks, too_little
from recoup.services.ai.training.fit import Fitted, Plan
from recoup.services.ai.training.process import fit_apart
from recoup.services.ai.training.store import Run, Store

log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When training starts, and when it stops."""

    min_rows: int
    min_positives: int
    max_rows: int
    seconds: float


@dataclass(slots=True)
class Training:
    """Trains models of stores, one at a time in this process."""

    runs: Store
    models: Models
    artifacts: Artifacts
    serving: Serving
    peers: Peers
    clock: Clock
    limits: Limits
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def start(self, store_id: str, *, by: str, wait_seconds: float) -> Run:
        """Begins a run and waits a while for it; raises Conflict while one is going on."""
        run = await self.runs.begin(
            store_id, new_id(), by=by, at=self.clock.now(), limit=timedelta(seconds=self.limits.seconds)
        )
        task = asyncio.create_task(self._run(store_id, run.id, by), name=f"training {store_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait([task], timeout=wait_seconds)
        return await self.runs.run(store_id, run.id)

    async def train_all(self) -> str:
        """Every store in turn; one sentence for each."""
        stores = await self.peers.get("platform", "/internal/stores", list[StoreConfigured])
        told: list[str] = []
        for store in stores:
            try:
                run = await self.start(store.store_id, by="schedule", wait_seconds=2 * self.limits.seconds)
            except Failure as error:
                told.append(f"{store.store_id}: {error.detail}")
            else:
                told.append(f"{store.store_id}: {run.result}")
        return "; ".join(told) or "there are no stores"

    async def bury(self) -> None:
        """On starting: what an earlier life of this process left running is over."""
        await self.runs.bury(at=self.clock.now())

    async def stop(self) -> None:
        """On stopping: ends what runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, store_id: str, run_id: UUID, by: str) -> None:
        status, result, version = "failed", "the service was stopped", None
        try:
            async with self._turn:
                result, version = await self._train(store_id, run_id, by)
            status = "finished"
        except Failure as error:
            result = error.detail
        except Exception as error:
            result = "this is our mistake; the log has it"
            log.exception("training failed", store_id=store_id, why=str(error))
        finally:
            at = self.clock.now()
            await asyncio.shield(self.runs.end(store_id, run_id, status, result, at=at, version=version))
            log.info("trained", store_id=store_id, result=result, version=version)

    async def _train(self, store_id: str, run_id: UUID, by: str) -> tuple[str, str | None]:
        """What came of it in one sentence, and the version if there is a new one."""
        await self.runs.step(store_id, run_id, "fetching what became of the carts")
        body = await self.peers.get_bytes("intelligence", "/training/carts", {"store_id": store_id})
        data = await asyncio.to_thread(_read, body, self.limits.max_rows)
        reason = too_little(data, rows=self.limits.min_rows, positives=self.limits.min_positives)
        if reason is not None:
            return reason, None
        known = await self.models.models(store_id, 1)
        if known and known[0].training_digest == data.digest:
            return f"nothing new since {known[0].version}", None
        champion = await self.serving.refresh(store_id)
        answers = await asyncio.to_thread(_answers, champion, data)

        async def tell(step: str) -> None:
            await self.runs.step(store_id, run_id, step)

        plan = Plan(held=list(data.held), budget_seconds=self.limits.seconds / 4)
        fitted = await fit_apart(data, answers, plan, tell, limit=self.limits.seconds)
        model = await self._registered(store_id, data, fitted, champion.version, by)
        fate = "serves now" if model.status is Status.LIVE else "was refused"
        return f"{model.version} {fate}: {model.verdict}", model.version

    async def _registered(self, store_id: str, data: Dataset, fitted: Fitted, champion: str, by: str) -> Model:
        now = self.clock.now()
        verdict = judge(fitted.report.metrics, fitted.report.champion, champion, leaks(data))
        digest = await asyncio.to_thread(self.artifacts.keep, fitted.onnx)
        model = Model(
            version=_version(now), store_id=store_id,
            status=Status.LIVE if verdict.promoted else Status.REFUSED, created_at=now, artifact_digest=digest,
            training_digest=data.digest, features_digest=DIGEST, features=list(data.names),
            metrics=fitted.report.metrics, champion=fitted.report.champion, champion_version=champion,
            verdict=verdict.why,
        )  # fmt: skip
        if verdict.promoted:
            await self.serving.loaded(model)
        await self.models.register(model, by=by)
        await self.serving.refresh(store_id)
        return model


def _read(body: bytes, most: int) -> Dataset:
    with pa.ipc.open_stream(body) as reader:
        return from_table(reader.read_all(), NAMES).newest(most)


def _answers(champion: Scorer, data: Dataset) -> npt.NDArray[np.float64]:
    """What the serving model says of every row."""
    rows = [dict(zip(data.names, row, strict=True)) for row in data.values.astype(np.float64).tolist()]
    return np.array(champion.probabilities([_known(row) for row in rows]))


def _known(row: dict[str, float]) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in row.items()}  # noqa: PLR0124 - NaN


def _version(now: datetime) -> str:
    """Sorts by time and never repeats."""
    return f"{now:%Y%m%dT%H%M%S}-{str(new_id())[-8:]}"
