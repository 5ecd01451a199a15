"""How far each store's event time has come. A partition's clock never goes back.

Every partition of the event topics carries the store's `clock` rows, so the store's time is that of the partition that
is furthest behind: whatever happened before it has been read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from recoup.kit.clock import Clock
from recoup.kit.postgres import Postgres
from recoup.messages.stores import StoreSettings


@dataclass(frozen=True, slots=True)
class Clocks:
    """Store time, whichever clock a store goes by."""

    postgres: Postgres
    clock: Clock
    partitions: int

    async def advance(self, reached: Mapping[tuple[str, int], datetime]) -> None:
        """Notes how far stores have come, by store and partition."""
        if not reached:
            return
        keys = sorted(reached)
        await self.postgres.execute(
            """
            insert into clocks (store_id, partition, reached)
            select * from unnest($1::text[], $2::int[], $3::timestamptz[])
            on conflict (store_id, partition) do update set reached = greatest(clocks.reached, excluded.reached)
            """,
            [store_id for store_id, _ in keys],
            [partition for _, partition in keys],
            [reached[key] for key in keys],
        )

    async def now(self, store_id: str, settings: StoreSettings) -> datetime | None:
        """The store's time; None while a store on event time has not said how far it is in every partition."""
        if settings.clock == "wall":
            return self.clock.now()
        return await self.postgres.find(
            datetime,
            "select min(reached) from clocks where store_id = $1 group by store_id having count(*) >= $2",
            store_id,
            self.partitions,
        )
