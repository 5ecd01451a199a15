"""Builds the ai service."""

from pathlib import Path

from recoup.kit.postgres import Postgres
from recoup.kit.service import Check, Consumer, Service
from recoup.messages.deps import Deps
from recoup.messages.topics import EVENTS_ENRICHED, PREDICTION_RESULTS
from recoup.services.ai.features import api as features_api
from recoup.services.ai.features.actions import Features
from recoup.services.ai.features.store import Store as FeatureStore
from recoup.services.ai.models import api as models_api
from recoup.services.ai.models.actions import Serving
from recoup.services.ai.models.store import Artifacts
from recoup.services.ai.models.store import Store as ModelStore
from recoup.services.ai.predictions import api as predictions_api
from recoup.services.ai.predictions.actions import Predictor
from recoup.services.ai.predictions.handlers import Handlers
from recoup.services.ai.predictions.store import Store as PredictionStore
from recoup.services.ai.settings import Settings


def build(deps: Deps, settings: Settings) -> Service:
    postgres = Postgres(deps.postgres_url, "ai")
    registry = ModelStore(postgres)
    artifacts = Artifacts(Path(deps.data) / "models")
    serving = Serving(registry, artifacts, settings.registry_seconds, settings.models_in_memory)
    features = Features(FeatureStore(deps.valkey))
    predictor = Predictor(serving.live, deps.stores)
    predictions = PredictionStore(deps.valkey)
    handlers = Handlers(features, predictor, predictions, deps.publish)
    return Service(
        name="ai",
        routers=(
            features_api.router(features, deps.clock),
            models_api.router(registry, serving, deps.clock),
            predictions_api.router(predictor, predictions, features, deps.clock, settings.predict_batch),
        ),
        consumes=(Consumer(EVENTS_ENRICHED, on_batch=handlers.on_enriched, gather_seconds=settings.gather_seconds),),
        emits=(PREDICTION_RESULTS,),
        checks=(Check("postgresql", postgres.ping), Check("valkey", deps.valkey.ping)),
        on_stop=(postgres.close,),
    )
