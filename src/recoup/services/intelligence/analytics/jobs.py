"""Nightly: what the messages of each store brought that would not have come anyway."""

from dataclasses import dataclass

from recoup.kit.peers import Peers
from recoup.messages.stores import StoreConfigured
from recoup.services.intelligence.analytics.actions import Analytics
from recoup.services.intelligence.analytics.domain import SUSPICIOUS, Incremental


@dataclass(frozen=True, slots=True)
class Jobs:
    """What the scheduler may ask of analytics."""

    analytics: Analytics
    peers: Peers

    async def evaluate_holdouts(self) -> str:
        """Compares the arms of every store and writes the figures down."""
        stores = await self.peers.get("platform", "/internal/stores", list[StoreConfigured])
        found = [await self.analytics.evaluate(store.store_id) for store in stores]
        known = [each for each in found if each.amount is not None]
        doubtful = sum(_unequal(each) for each in known)
        sentence = f"compared the arms of {len(stores)} stores; {len(known)} of them have people in both"
        return f"{sentence}; in {doubtful} the arms' sizes are not what chance gives" if doubtful else sentence


def _unequal(found: Incremental) -> bool:
    return found.sample_ratio_p is not None and found.sample_ratio_p < SUSPICIOUS
