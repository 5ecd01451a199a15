"""Builds the ai service."""

from functools import partial
from pathlib import Path

from recoup.kit.postgres import Postgres
from recoup.kit.service import Check, Consumer, Service
from recoup.kit.valkey import ping
from recoup.messages.deps import Deps
from recoup.messages.topics import EVENTS_ENRICHED, PREDICTION_RESULTS
from recoup.services.ai.features import api as features_api
from recoup.services.ai.features.actions import Features
from recoup.services.ai.features.domain.rows import COLUMNS
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
from recoup.services.ai.training import api as training_api
from recoup.services.ai.training.actions import Limits, Training
from recoup.services.ai.training.jobs import nightly
from recoup.services.ai.training.store import Store as RunStore


def build(deps: Deps, settings: Settings) -> Service:
    postgres = Postgres(deps.postgres_url, "ai")
    registry = ModelStore(postgres)
    artifacts = Artifacts(Path(deps.data) / "models")
    serving = Serving(registry, artifacts, settings.registry_seconds, settings.models_in_memory)
    features = Features(FeatureStore(deps.valkey))
    predictor = Predictor(serving.live, deps.stores)
    predictions = PredictionStore(deps.valkey)
    handlers = Handlers(features, predictor, predictions, deps.publish)
    training = Training(
        RunStore(postgres, deps.member), registry, artifacts, serving, deps.peers, deps.clock, _limits(settings)
    )
    return Service(
        name="ai",
        routers=(
            features_api.router(features, deps.clock),
            models_api.router(registry, serving, deps.clock),
            training_api.router(training),
            predictions_api.router(predictor, predictions, features, deps.clock, settings.predict_batch),
        ),
        consumes=(
            Consumer(
                EVENTS_ENRICHED.only(*COLUMNS), on_batch=handlers.on_enriched, gather_seconds=settings.gather_seconds
            ),
        ),
        emits=(PREDICTION_RESULTS,),
        checks=(Check("postgresql", postgres.ping), Check("valkey", partial(ping, deps.valkey))),
        jobs=(nightly(training, settings.training_cron),),
        on_start=(training.bury,),
        on_stop=(postgres.close, training.stop),
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        min_rows=settings.training_min_rows,
        min_positives=settings.training_min_positives,
        max_rows=settings.training_max_rows,
        seconds=settings.training_seconds,
    )
