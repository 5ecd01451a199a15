"""Rows of the dead letter topic become letters on the workbench."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pyarrow as pa

from recoup.kit.metrics import Counter
from recoup.kit.service import Batch
from recoup.services.pipeline.deadletters.domain.letters import arrival
from recoup.services.pipeline.deadletters.store import Store
from recoup.services.pipeline.settings import Settings

ARRIVED: Final = Counter("dead_letters_total", "Dead letters as they arrive", ["kind", "stage"])


@dataclass(frozen=True, slots=True)
class Handlers:
    """The reader of cart-events-dlq."""

    store: Store
    settings: Settings
    told: Sequence[Callable[[pa.Table], None]] = ()
    """Whoever wants to see the rows once they are kept."""

    async def on_dead(self, batch: Batch) -> None:
        """Keeps a batch; the same batch again changes nothing."""
        first = timedelta(seconds=self.settings.dead_letter_pause_seconds)
        arrivals = [arrival(row, first) for row in batch.table.to_pylist()]
        await self.store.keep(arrivals)
        for one in arrivals:
            ARRIVED.labels(one.kind, one.stage).inc()
        for tell in self.told:
            tell(batch.table)
