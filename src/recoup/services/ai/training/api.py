"""Requests to train, and how far a training is."""

from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from recoup.messages.access import Permission, Principal
from recoup.services.ai.training.actions import Training
from recoup.services.ai.training.store import Run

WAIT_SECONDS = 20.0
"""An answer comes after so long even if the training is not done yet; `GET /models/train/{id}` says how it goes on."""


@post("/models/train", opt={"permission": Permission.MODELS_WRITE}, status_code=200)
async def train(
    store_id: NamedDependency[str], training: NamedDependency[Training], caller: NamedDependency[Principal]
) -> Run:
    """Trains the store's model on what became of its carts; the new model serves only if it is better."""
    return await training.start(store_id, by=caller.subject, wait_seconds=WAIT_SECONDS)


@get("/models/train/{run_id:uuid}", opt={"permission": Permission.MODELS_READ})
async def read_run(store_id: NamedDependency[str], run_id: FromPath[UUID], training: NamedDependency[Training]) -> Run:
    """How far a training is, or what came of it."""
    return await training.runs.run(store_id, run_id)


def router(training: Training) -> Router:
    return Router(
        "/", route_handlers=[train, read_run], tags=["training"],
        dependencies={"training": Provide(lambda: training, sync_to_thread=False)},
    )  # fmt: skip
