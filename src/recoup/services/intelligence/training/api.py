"""Training sets over HTTP, as Arrow, for our own services."""

from datetime import timedelta

import pyarrow as pa
from litestar import Response, Router, get
from litestar.di import NamedDependency, Provide

from recoup.messages.access import Permission
from recoup.messages.stores import StoreDirectory
from recoup.services.intelligence.training.store import Store

ARROW = "application/vnd.apache.arrow.stream"


@get("/carts", opt={"permission": Permission.INTERNAL}, media_type=ARROW)
async def carts(
    store_id: NamedDependency[str], training: NamedDependency[Store], stores: NamedDependency[StoreDirectory]
) -> Response[bytes]:
    """One row for each prediction that was followed by an order or whose window is over: an Arrow IPC stream."""
    settings = await stores.settings(store_id)
    table = await training.carts(store_id, timedelta(days=settings.recovery_days))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes(), media_type=ARROW)


def router(training: Store, stores: StoreDirectory) -> Router:
    """The routes under /training."""
    return Router(
        "/training", route_handlers=[carts], tags=["training"],
        dependencies={
            "training": Provide(lambda: training, sync_to_thread=False),
            "stores": Provide(lambda: stores, sync_to_thread=False),
        },
    )  # fmt: skip
