"""Requests about models: what there is, what was live when, and going back."""

from collections.abc import Sequence

from litestar import Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from msgspec import Struct

from recoup.kit.clock import Clock
from recoup.messages.access import Permission, Principal
from recoup.services.ai.models.actions import Serving
from recoup.services.ai.models.domain import Model
from recoup.services.ai.models.store import Deployed, Store

_NEWEST = 100


class Models(Struct, frozen=True, kw_only=True):
    """A store's models, newest first, which one serves, and what served before."""

    serving: str
    models: Sequence[Model]
    history: Sequence[Deployed]


class Serves(Struct, frozen=True):
    """The version that answers from now on."""

    serving: str


class ModelStatus(Struct, frozen=True, kw_only=True):
    """One model, and whether it is in this process's memory."""

    model: Model
    loaded: bool


@get("/models", opt={"permission": Permission.MODELS_READ})
async def list_models(
    store_id: NamedDependency[str], models: NamedDependency[Store], serving: NamedDependency[Serving]
) -> Models:
    """The store's models with their metrics and verdicts; `prior-…` serves while there is no better."""
    live = await serving.live(store_id)
    return Models(
        serving=live.version,
        models=await models.models(store_id, _NEWEST),
        history=await models.history(store_id, _NEWEST),
    )


@get("/models/{version:str}/status", opt={"permission": Permission.MODELS_READ})
async def model_status(
    store_id: NamedDependency[str],
    version: FromPath[str],
    models: NamedDependency[Store],
    serving: NamedDependency[Serving],
) -> ModelStatus:
    """One model of the store."""
    model = await models.model(store_id, version)
    return ModelStatus(model=model, loaded=serving.is_loaded(version))


@post("/models/{version:str}/rollback", opt={"permission": Permission.MODELS_WRITE}, status_code=200)
async def roll_back(
    store_id: NamedDependency[str], version: FromPath[str], serving: NamedDependency[Serving],
    caller: NamedDependency[Principal], clock: NamedDependency[Clock],
) -> Serves:  # fmt: skip
    """Lets an earlier version, or `prior-1`, serve again, at once."""
    scorer = await serving.roll_back(store_id, version, at=clock.now(), by=caller.subject)
    return Serves(scorer.version)


def router(store: Store, serving: Serving, clock: Clock) -> Router:
    return Router(
        "/", route_handlers=[list_models, model_status, roll_back], tags=["models"],
        dependencies={
            "models": Provide(lambda: store, sync_to_thread=False),
            "serving": Provide(lambda: serving, sync_to_thread=False),
            "clock": Provide(lambda: clock, sync_to_thread=False),
        },
    )  # fmt: skip
