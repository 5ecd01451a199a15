"""What must be at hand before a batch can be judged: its stores' settings and schemas."""

from collections.abc import Mapping

from recoup.kit.errors import Missing
from recoup.messages.stores import StoreDirectory, StoreSettings
from recoup.services.pipeline.schemas.actions import Catalogs
from recoup.services.pipeline.schemas.domain.catalog import Catalog
from recoup.services.pipeline.stream.domain.planned import types_and_versions
from recoup.services.pipeline.stream.domain.work import Work


async def settings_of(stores: StoreDirectory, store_id: str) -> StoreSettings:
    """A store's settings; the defaults for one that is gone."""
    try:
        return await stores.settings(store_id)
    except Missing:
        return StoreSettings()


async def consult(schemas: Catalogs, work: Work, stores: Mapping[str, StoreSettings]) -> dict[str, Catalog]:
    """The schemas of those stores in the batch that have any, or that want to hear of events without one."""
    found: dict[str, Catalog] = {}
    for code, store_id in enumerate(work.store_names):
        catalog = await schemas.find(store_id)
        strict = stores[store_id].unplanned_events != "accept"
        if catalog is not None or strict:
            wanted = types_and_versions(work, code)
            found[store_id] = await schemas.ready(store_id, catalog or Catalog(), wanted, strict=strict)
    return found
