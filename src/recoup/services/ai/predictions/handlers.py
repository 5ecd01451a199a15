"""A batch of enriched events arrived: features first, then a prediction for each cart that was abandoned in it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from recoup.kit.service import Batch, Publish
from recoup.messages.facts import CartScored
from recoup.messages.topics import PREDICTION_RESULTS
from recoup.services.ai.features.actions import Features
from recoup.services.ai.features.domain.findings import Abandoned
from recoup.services.ai.predictions.actions import Predictor
from recoup.services.ai.predictions.domain import Prediction, announce
from recoup.services.ai.predictions.store import Store


@dataclass(frozen=True, slots=True)
class Handlers:
    """The consumer of `cart-events-enriched`."""

    features: Features
    predictor: Predictor
    store: Store
    publish: Publish

    async def on_enriched(self, batch: Batch) -> None:
        advanced = await self.features.advance(batch)
        scored = await self._scored(advanced.abandoned)

        facts: list[CartScored] = [announce(cart, prediction) for cart, prediction in scored]
        # Published before the records are saved: a crash in between repeats both, with the same ids and values.
        await self.publish(PREDICTION_RESULTS, facts)
        await self.store.keep([(cart.store_id, cart.cart.cart_id, prediction) for cart, prediction in scored])
        await self.features.save(advanced)

    async def _scored(self, abandoned: Sequence[Abandoned]) -> list[tuple[Abandoned, Prediction]]:
        by_store: dict[str, list[Abandoned]] = defaultdict(list)
        for cart in abandoned:
            by_store[cart.store_id].append(cart)
        found: list[tuple[Abandoned, Prediction]] = []
        for store_id, carts in by_store.items():
            predictions = await self.predictor.score_abandoned(store_id, carts)
            found += zip(carts, predictions, strict=bool(predictions))
        return found
