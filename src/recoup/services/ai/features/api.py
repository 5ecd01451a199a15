"""Requests about features: their definitions, and one cart's values now."""

from collections.abc import Sequence

from litestar import Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from msgspec import Struct

from recoup.kit.clock import Clock
from recoup.messages.access import Permission
from recoup.services.ai.features.actions import Features
from recoup.services.ai.features.domain.definitions import DEFINITIONS, DIGEST, Definition
from recoup.services.ai.features.domain.findings import Looked


class DefinitionEntry(Struct, frozen=True, kw_only=True):
    """One feature as it is defined."""

    name: str
    group: str
    meaning: str
    type: str
    kind: str
    source: str
    depends: tuple[str, ...]
    freshness_seconds: float
    low: float
    high: float
    categories: tuple[str, ...]
    digest: str


class Definitions(Struct, frozen=True, kw_only=True):
    """Every feature; `digest` names this list as a whole and is kept with each model."""

    digest: str
    definitions: Sequence[DefinitionEntry]


@get("/features/definitions", opt={"permission": Permission.MODELS_READ}, sync_to_thread=False)
def list_definitions() -> Definitions:
    """What every feature means, where it comes from and how fresh it is."""
    return Definitions(digest=DIGEST, definitions=[_entry(definition) for definition in DEFINITIONS])


@get("/features/{cart_id:str}", opt={"permission": Permission.PREDICT_READ})
async def read_features(
    store_id: NamedDependency[str],
    cart_id: FromPath[str],
    features: NamedDependency[Features],
    clock: NamedDependency[Clock],
) -> Looked:
    """A cart's features now; null is a value that is not known."""
    return await features.look(store_id, cart_id, clock.now())


def router(features: Features, clock: Clock) -> Router:
    return Router(
        "/", route_handlers=[list_definitions, read_features], tags=["features"],
        dependencies={
            "features": Provide(lambda: features, sync_to_thread=False),
            "clock": Provide(lambda: clock, sync_to_thread=False),
        },
    )  # fmt: skip


def _entry(one: Definition) -> DefinitionEntry:
    return DefinitionEntry(
        name=one.name, group=one.group, meaning=one.meaning, type=one.type, kind=one.kind, source=one.source,
        depends=one.depends, freshness_seconds=one.freshness.total_seconds(), low=one.low, high=one.high,
        categories=one.categories, digest=one.digest,
    )  # fmt: skip
