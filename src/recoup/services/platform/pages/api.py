"""Pages over HTTP: `/`, `/console/…`, `/shop`, `/sdk/recoup.js`."""

from collections.abc import Mapping
from typing import Annotated

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter

from recoup.kit.http import PUBLIC
from recoup.services.platform.pages import domain
from recoup.services.platform.pages.store import Page, Pages

IfNoneMatch = Annotated[str | None, HeaderParameter(name="If-None-Match")]


@get("/", opt={"permission": PUBLIC}, include_in_schema=False, sync_to_thread=False)
def index(console: NamedDependency[Pages], if_none_match: IfNoneMatch = None) -> Response[bytes]:
    """The console."""
    return _sent(console.page("index.html"), if_none_match, domain.SECURITY)


@get("/console/{path:path}", opt={"permission": PUBLIC}, include_in_schema=False, sync_to_thread=False)
def console_file(
    path: FromPath[str], console: NamedDependency[Pages], if_none_match: IfNoneMatch = None
) -> Response[bytes]:
    """One of the console's files."""
    return _sent(console.page(path), if_none_match, domain.SECURITY)


@get("/sdk/recoup.js", opt={"permission": PUBLIC}, include_in_schema=False, sync_to_thread=False)
def script(storefront: NamedDependency[Pages], if_none_match: IfNoneMatch = None) -> Response[bytes]:
    """The shop's script, for pages of any site."""
    return _sent(storefront.page("recoup.js"), if_none_match, domain.FOR_ANYBODY)


@get("/shop", opt={"permission": PUBLIC}, include_in_schema=False, sync_to_thread=False)
def shop(storefront: NamedDependency[Pages], if_none_match: IfNoneMatch = None) -> Response[bytes]:
    """The demo shop."""
    return _sent(storefront.page("shop/index.html"), if_none_match, domain.SECURITY)


@get("/shop/{path:path}", opt={"permission": PUBLIC}, include_in_schema=False, sync_to_thread=False)
def shop_file(
    path: FromPath[str], storefront: NamedDependency[Pages], if_none_match: IfNoneMatch = None
) -> Response[bytes]:
    """One of the demo shop's files."""
    return _sent(storefront.page(f"shop{path}"), if_none_match, domain.SECURITY)


def _sent(page: Page, if_none_match: str | None, headers: Mapping[str, str]) -> Response[bytes]:
    known = domain.matches(if_none_match, page.tag)
    return Response(
        b"" if known else page.content,
        status_code=304 if known else 200,
        media_type=page.content_type,
        headers={**headers, "ETag": f'"{page.tag}"', "Cache-Control": "no-cache"},
    )


HANDLERS = (index, console_file, script, shop, shop_file)
