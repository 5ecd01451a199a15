"""`/docs`."""

from litestar import MediaType, Response, get
from litestar.di import NamedDependency

from recoup.kit.http import PUBLIC
from recoup.services.platform.docs.actions import Library
from recoup.services.platform.docs.domain import pages
from recoup.services.platform.pages.domain import SECURITY


@get("/docs", opt={"permission": PUBLIC}, include_in_schema=False)
async def docs(library: NamedDependency[Library]) -> Response[str]:
    """Every route of every service, and every error code."""
    document, silent = await library.document()
    return Response(pages.page(document, silent), media_type=MediaType.HTML, headers=SECURITY)


@get("/docs/openapi.json", opt={"permission": PUBLIC}, include_in_schema=False)
async def openapi(library: NamedDependency[Library]) -> dict[str, object]:
    """The OpenAPI documents of all services as one."""
    document, _ = await library.document()
    return document


@get("/docs/style.css", opt={"permission": PUBLIC}, include_in_schema=False, sync_to_thread=False)
def style() -> Response[str]:
    """How the page looks."""
    return Response(pages.STYLE, media_type="text/css")


HANDLERS = (docs, openapi, style)
