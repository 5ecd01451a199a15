"""The routes of predictions with one trained model, and no engines: what `bench/predict.py` asks over HTTP.

`python bench/lib/predictor.py MODEL SEED PORT`
"""

import asyncio
import sys
from pathlib import Path

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from recoup.kit.clock import SystemClock
from recoup.kit.config import Secret
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.service import Service
from recoup.kit.tokens import Verifier
from recoup.kit.valkey import connect
from recoup.messages.access import Principal
from recoup.messages.stores import StoreSettings
from recoup.services.ai.features.actions import Features
from recoup.services.ai.features.store import Store as FeatureStore
from recoup.services.ai.models.trained import load
from recoup.services.ai.predictions import api
from recoup.services.ai.predictions.actions import Predictor
from recoup.services.ai.predictions.store import Store as PredictionStore


def serve(model: bytes, seed: str, port: int) -> None:
    """Until it is killed."""

    class Stores:
        async def settings(self, _: str) -> StoreSettings:
            return StoreSettings()

    scorer = load("bench", model)

    async def live(_: str):
        return scorer

    clock, unused = SystemClock(), connect("redis://127.0.0.1:1")
    predictor = Predictor(live, Stores())  # pyright: ignore[reportArgumentType] - it only asks for settings
    router = api.router(predictor, PredictionStore(unused), Features(FeatureStore(unused)), clock, 10_000)
    verifier = Verifier(Secret(seed), Principal, clock)
    app = create_app(Service(name="ai", routers=(router,)), HttpSettings(body_limit_bytes=10**8), verifier.verify)
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False)
    uvloop.install()
    asyncio.run(server.serve())


if __name__ == "__main__":
    serve(Path(sys.argv[1]).read_bytes(), sys.argv[2], int(sys.argv[3]))
