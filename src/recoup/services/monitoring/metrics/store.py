"""The history of gathered metrics. They belong to the installation, so no row has a store."""

from collections.abc import Mapping
from datetime import datetime

from recoup.kit.postgres import Postgres
from recoup.services.monitoring.metrics.domain import Point


class Store:
    """All of the feature's SQL."""

    def __init__(self, postgres: Postgres) -> None:
        self._db = postgres

    async def keep(self, at: datetime, values: Mapping[str, Mapping[str, float]]) -> None:
        """Writes one row a service."""
        await self._db.execute_many(
            "insert into points (at, service, metrics) values ($1, $2, $3) on conflict do nothing",
            [(at, service, dict(metrics)) for service, metrics in values.items()],
        )

    async def series(self, service: str, metric: str, since: datetime, until: datetime) -> list[Point]:
        """One metric over time, oldest first."""
        return await self._db.rows(
            Point,
            """select at, (metrics ->> $2)::double precision as value from points
               where service = $1 and at >= $3 and at < $4 and metrics ? $2 order by at limit 20000""",
            service,
            metric,
            since,
            until,
        )

    async def forget(self, before: datetime) -> int:
        """Drops what is older, and says how many rows."""
        return await self._db.execute("delete from points where at < $1", before)
