"""Training runs in PostgreSQL: at most one at a time a store, and what came of each."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from msgspec import Struct

from recoup.kit.errors import Conflict, Missing
from recoup.kit.postgres import Postgres


class Run(Struct, frozen=True, kw_only=True):
    """One training: how far it is, and in one sentence what came of it."""

    id: UUID
    store_id: str
    status: Literal["running", "finished", "failed"]
    by: str
    started_at: datetime
    finished_at: datetime | None = None
    step: str = ""
    result: str = ""
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """Runs by store. `member` names this process, so that what it left behind by dying is known as dead."""

    postgres: Postgres
    member: str

    async def begin(self, store_id: str, run_id: UUID, *, by: str, at: datetime, limit: timedelta) -> Run:
        """A new run; raises Conflict while another is going on. A run that outlived its limit is not going on."""
        async with self.postgres.transaction() as session:
            await session.execute(
                "update training_runs set status = 'failed', finished_at = $2, result = 'its process died'"
                " where store_id = $1 and status = 'running' and started_at < $3",
                store_id, at, at - 2 * limit,
            )  # fmt: skip
            found = await session.find(
                Run,
                "insert into training_runs (id, store_id, status, member, by, started_at)"
                " values ($1, $2, 'running', $3, $4, $5) on conflict do nothing returning *",
                run_id, store_id, self.member, by, at,
            )  # fmt: skip
        if found is None:
            raise Conflict("a training of this store is going on", code="training_runs")
        return found

    async def step(self, store_id: str, run_id: UUID, step: str) -> None:
        """Says how far it is."""
        await self.postgres.execute(
            "update training_runs set step = $3 where store_id = $1 and id = $2", store_id, run_id, step
        )

    async def end(
        self, store_id: str, run_id: UUID, status: str, result: str, *, at: datetime, version: str | None
    ) -> None:
        await self.postgres.execute(
            "update training_runs set status = $3, result = $4, version = $5, finished_at = $6"
            " where store_id = $1 and id = $2",
            store_id, run_id, status, result, version, at,
        )  # fmt: skip

    async def run(self, store_id: str, run_id: UUID) -> Run:
        """Raises Missing for no such run."""
        found = await self.postgres.find(
            Run,
            "select * from training_runs where store_id = $1 and id = $2",
            store_id,
            run_id,
        )
        if found is None:
            raise Missing(f"no training {run_id}")
        return found

    async def bury(self, *, at: datetime) -> None:
        """Marks what an earlier life of this process left running."""
        await self.postgres.execute(
            "update training_runs set status = 'failed', finished_at = $2, result = 'its process died'"
            " where member = $1 and status = 'running'",
            self.member, at,
        )  # fmt: skip
