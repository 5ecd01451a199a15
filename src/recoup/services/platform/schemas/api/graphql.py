"""Schemas by GraphQL, as a subgraph of a federation; the library is loaded when somebody first asks."""

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from recoup.messages.access import Permission
from recoup.services.platform.schemas.actions import Registry
from recoup.services.platform.schemas.store import Schemas


class Asked(Struct, frozen=True, kw_only=True, rename="camel"):
    """A GraphQL request."""

    query: str
    variables: dict[str, object] | None = None
    operation_name: str | None = None


class GraphLimits(Struct, frozen=True, kw_only=True):
    """How much one query may ask for."""

    depth: int
    cost: int


@post("/graphql", opt={"permission": Permission.SCHEMAS_READ}, status_code=200)
async def graphql(
    data: JSONBody[Asked],
    store_id: NamedDependency[str],
    registry: NamedDependency[Registry],
    schemas: NamedDependency[Schemas],
    graph_limits: NamedDependency[GraphLimits],
) -> Response[dict[str, object]]:
    """Answers a query about the store's schemas; reading only."""
    from recoup.services.platform.schemas.api import graph  # noqa: PLC0415 - 18 MB that most processes never need

    context = graph.Context(store_id, registry, schemas)
    limits = (graph_limits.depth, graph_limits.cost)
    return Response(await graph.answer(data.query, data.variables, data.operation_name, context, limits))


HANDLERS = (graphql,)
