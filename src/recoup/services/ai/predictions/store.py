"""The last prediction of each cart, in Valkey, until the cart's features expire."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from recoup.kit.valkey import Valkey, settled
from recoup.messages.keys import PREDICTION
from recoup.services.ai.predictions.domain import Prediction

_KEEP = """
for place = 1, #KEYS do redis.call('SET', KEYS[place], ARGV[place + 1], 'PX', ARGV[1]) end
"""


@dataclass(frozen=True, slots=True)
class Store:
    """Predictions by store and cart."""

    valkey: Valkey

    async def keep(self, predictions: Sequence[tuple[str, str, Prediction]]) -> None:
        """Remembers (store, cart, prediction), each instead of the one before."""
        if not predictions:
            return
        keys = [PREDICTION.key(store_id=store_id, cart_id=cart_id) for store_id, cart_id, _ in predictions]
        values = [msgspec.json.encode(prediction) for _, _, prediction in predictions]
        lifetime = PREDICTION.lifetime
        milliseconds = str(round(lifetime.total_seconds() * 1000) if lifetime else 0)
        await settled(self.valkey.eval(_KEEP, len(keys), *keys, milliseconds, *values))

    async def find(self, store_id: str, cart_id: str) -> Prediction | None:
        found = await settled(self.valkey.get(PREDICTION.key(store_id=store_id, cart_id=cart_id)))
        return None if found is None else msgspec.json.decode(found, type=Prediction)
