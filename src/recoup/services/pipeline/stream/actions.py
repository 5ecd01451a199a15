"""What must be at hand before a batch can be held against its stores' schemas."""

from collections.abc import Mapping

from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.schemas.actions import Catalogs
from recoup.services.pipeline.schemas.domain.catalog import Catalog
from recoup.services.pipeline.stream.domain.planned import types_and_versions
from recoup.services.pipeline.stream.domain.work import Work


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
