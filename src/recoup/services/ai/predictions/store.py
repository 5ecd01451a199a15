"""The last prediction of each cart, in Valkey, until the cart's features expire."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from recoup.kit.valkey import Valkey, set_many, settled
from recoup.messages.keys import PREDICTION
from recoup.services.ai.predictions.domain import Prediction


@dataclass(frozen=True, slots=True)
class Store:
    """Predictions by store and cart."""

    valkey: Valkey

    async def keep(self, predictions: Sequence[tuple[str, str, Prediction]]) -> None:
        """Remembers (store, cart, prediction), each instead of the one before."""
        pairs = [
            (PREDICTION.key(store_id=store_id, cart_id=cart_id), msgspec.json.encode(prediction))
            for store_id, cart_id, prediction in predictions
        ]
        await set_many(self.valkey, pairs, PREDICTION.lifetime or timedelta())

    async def find(self, store_id: str, cart_id: str) -> Prediction | None:
        found = await settled(self.valkey.get(PREDICTION.key(store_id=store_id, cart_id=cart_id)))
        return None if found is None else msgspec.json.decode(found, type=Prediction)
