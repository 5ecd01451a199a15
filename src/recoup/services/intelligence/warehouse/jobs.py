"""Nightly: what is past its lifetime goes, and repeated messages are merged into one row."""

from dataclasses import dataclass
from typing import Final

from recoup.kit.clock import Clock
from recoup.services.intelligence.warehouse.store import Store

KEPT_MONTHS: Final = {"events_raw": 18, "events_errors": 18}
MERGED: Final = ("prediction_logs", "interventions_log", "conversions_log", "carts", "holdout_evaluations")


@dataclass(frozen=True, slots=True)
class Jobs:
    """What the scheduler may ask of the warehouse."""

    store: Store
    clock: Clock

    async def retain(self) -> str:
        """Drops whole months that are past their lifetime; the engine does the rest row by row when it merges."""
        now = self.clock.now()
        dropped = 0
        for table, months in KEPT_MONTHS.items():
            last = now.year * 12 + now.month - 1 - months - 1
            dropped += await self.store.drop_until(table, last // 12 * 100 + last % 12 + 1)
        for table in MERGED:
            await self.store.merge(table)
        return f"dropped {dropped} months past their lifetime, merged {len(MERGED)} tables"
