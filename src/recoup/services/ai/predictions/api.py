"""Requests for predictions: of a cart we follow, or of feature values the caller brings."""

from collections.abc import Sequence
from typing import Annotated

from litestar import Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct, structs

from recoup.kit.clock import Clock
from recoup.kit.errors import Invalid, Missing, Problem, TooLarge
from recoup.messages.access import Permission
from recoup.messages.events import Id
from recoup.services.ai.features.actions import Features
from recoup.services.ai.features.domain.definitions import Features as Values
from recoup.services.ai.features.domain.definitions import validated
from recoup.services.ai.predictions.actions import Predictor
from recoup.services.ai.predictions.domain import Prediction
from recoup.services.ai.predictions.store import Store

Name = Annotated[str, Meta(max_length=64)]


class Ask(Struct, frozen=True, forbid_unknown_fields=True):
    """One of the two: a cart we follow, or feature values by name (what is left out is not known)."""

    cart_id: Id | None = None
    features: dict[Name, float | None] | None = None


class AskMany(Struct, frozen=True, forbid_unknown_fields=True):
    """Feature values of many carts."""

    rows: list[dict[Name, float | None]]


class Probabilities(Struct, frozen=True, kw_only=True):
    """One probability a row, in the same order."""

    model_version: str
    probabilities: Sequence[float]


@post("/predict", opt={"permission": Permission.PREDICT_READ}, status_code=200)
async def predict_now(
    store_id: NamedDependency[str], data: JSONBody[Ask], features: NamedDependency[Features],
    predictor: NamedDependency[Predictor], clock: NamedDependency[Clock],
) -> Prediction:  # fmt: skip
    """A fresh prediction with its reasons."""
    now = clock.now()
    if (data.cart_id is None) == (data.features is None):
        raise Invalid("give either cart_id or features")
    if data.cart_id is None:
        (prediction,) = await predictor.score(store_id, [validated(data.features or {})], now)
        return prediction
    seen = await features.look(store_id, data.cart_id, now)
    (prediction,) = await predictor.score(store_id, [seen.features], seen.computed_at)
    return structs.replace(prediction, cart_id=data.cart_id)


@post("/predict/batch", opt={"permission": Permission.PREDICT_READ}, status_code=200)
async def predict_many(
    store_id: NamedDependency[str], data: JSONBody[AskMany], predictor: NamedDependency[Predictor],
    row_limit: NamedDependency[int],
) -> Probabilities:  # fmt: skip
    """Probabilities of many carts at once, without reasons."""
    if len(data.rows) > row_limit:
        raise TooLarge(f"{len(data.rows)} rows; at most {row_limit} in one request")
    version, found = await predictor.probabilities(store_id, _validated(data.rows))
    return Probabilities(model_version=version, probabilities=found)


@get("/predict/{cart_id:str}", opt={"permission": Permission.PREDICT_READ})
async def read_prediction(
    store_id: NamedDependency[str], cart_id: FromPath[str], predictions: NamedDependency[Store],
    features: NamedDependency[Features],
) -> Prediction:  # fmt: skip
    """The last prediction of a cart, marked where the cart has changed since."""
    found = await predictions.find(store_id, cart_id)
    if found is None:
        raise Missing(f"there is no prediction for cart {cart_id!r}")
    changed_at = await features.changed_at(store_id, cart_id)
    return structs.replace(found, stale=changed_at is not None and changed_at > found.computed_at)


def router(predictor: Predictor, store: Store, features: Features, clock: Clock, row_limit: int) -> Router:
    return Router(
        "/", route_handlers=[predict_now, predict_many, read_prediction], tags=["predictions"],
        dependencies={
            "predictor": Provide(lambda: predictor, sync_to_thread=False),
            "predictions": Provide(lambda: store, sync_to_thread=False),
            "features": Provide(lambda: features, sync_to_thread=False),
            "clock": Provide(lambda: clock, sync_to_thread=False),
            "row_limit": Provide(lambda: row_limit, sync_to_thread=False),
        },
    )  # fmt: skip


def _validated(rows: Sequence[Values]) -> list[Values]:
    """Every row checked; raises Invalid naming each fault with its row."""
    good: list[Values] = []
    problems: list[Problem] = []
    for index, row in enumerate(rows):
        try:
            good.append(validated(row))
        except Invalid as error:
            problems += [structs.replace(one, index=index) for one in error.problems]
    if problems:
        raise Invalid(
            f"{len(problems)} feature values cannot be right", code="features_invalid", problems=problems[:100]
        )
    return good
