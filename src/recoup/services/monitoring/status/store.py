"""Who is connected to PostgreSQL. The only thing this feature asks a database."""

from msgspec import Struct

from recoup.kit.postgres import Postgres


class _Count(Struct):
    name: str
    count: int


class Store:
    """All of the feature's SQL."""

    def __init__(self, postgres: Postgres) -> None:
        self._db = postgres

    async def connections(self) -> dict[str, int]:
        """Connections to our database by the name their owner gave itself."""
        rows = await self._db.rows(
            _Count,
            """select coalesce(nullif(application_name, ''), 'unnamed') as name, count(*) as count
               from pg_stat_activity where datname = current_database() group by 1 order by 1""",
        )
        return {row.name: row.count for row in rows}
