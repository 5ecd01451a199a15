"""Scoring, for the consumer and the API alike: features in, prediction out, by the store's live model."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from recoup.kit.errors import Refused
from recoup.kit.telemetry import logger
from recoup.messages.stores import StoreDirectory, StoreSettings
from recoup.services.ai.features.domain.definitions import Features
from recoup.services.ai.features.domain.findings import Abandoned
from recoup.services.ai.models.domain import Scorer
from recoup.services.ai.predictions.domain import Prediction, predict

log = logger(__name__)
LiveModel = Callable[[str], Awaitable[Scorer]]
"""The model that serves a store now."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """Scores carts of a store with its live model."""

    live: LiveModel
    stores: StoreDirectory

    async def score(self, store_id: str, vectors: Sequence[Features], now: datetime) -> list[Prediction]:
        """Predictions for feature values that are valid already."""
        settings = await self.stores.settings(store_id)
        model = await self.live(store_id)
        return [
            predict(vector, scored, settings, now=now, version=model.version, cart_id=None)
            for vector, scored in zip(vectors, model.explain(vectors), strict=True)
        ]

    async def probabilities(self, store_id: str, vectors: Sequence[Features]) -> tuple[str, list[float]]:
        """The model's version and one probability a vector."""
        model = await self.live(store_id)
        return model.version, model.probabilities(vectors)

    async def score_abandoned(self, store_id: str, carts: Sequence[Abandoned]) -> list[Prediction]:
        """Predictions for abandoned carts of one store, each as of its own moment; none for a store that is gone."""
        settings = await self._settings(store_id)
        if settings is None:
            return []
        model = await self.live(store_id)
        answers = model.explain([cart.features for cart in carts])
        return [
            predict(
                cart.features, scored, settings, now=cart.occurred_at, version=model.version, cart_id=cart.cart.cart_id
            )
            for cart, scored in zip(carts, answers, strict=True)
        ]

    async def _settings(self, store_id: str) -> StoreSettings | None:
        try:
            return await self.stores.settings(store_id)
        except Refused as error:
            # Other stores' carts are in the same batch: a store that was removed must not hold them up.
            log.warning("no prediction for a store nobody knows", store_id=store_id, why=error.detail)
            return None
