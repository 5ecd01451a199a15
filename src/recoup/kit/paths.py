"""Segments of a path as they were sent: an id may hold a slash, and a path must not fall apart at it.

A server hands over the path decoded, where `%2F` looks like a boundary. So routes are found on a path whose segments
keep their slashes and percent signs escaped, and handlers get the parameters whole.
"""

from typing import cast
from urllib.parse import unquote

from litestar.types import ASGIApp, Receive, Scope, Send


def segmented(app: ASGIApp) -> ASGIApp:
    """Around the routing: the path by its segments, as they came over the wire."""

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path")
        if raw and b"%" in raw:
            scope["path"] = "/".join(_escaped(unquote(part)) for part in raw.decode("latin1").split("?")[0].split("/"))
        await app(scope, receive, send)

    return cast("ASGIApp", routed)


def whole_parameters(app: ASGIApp) -> ASGIApp:
    """Behind the routing: parameters as the caller meant them."""

    async def handled(scope: Scope, receive: Receive, send: Send) -> None:
        parameters = cast("dict[str, object]", scope.get("path_params") or {})
        if any(isinstance(value, str) and "%" in value for value in parameters.values()):
            cast("dict[str, object]", scope)["path_params"] = {
                name: _unescaped(value) if isinstance(value, str) else value for name, value in parameters.items()
            }
        await app(scope, receive, send)

    return cast("ASGIApp", handled)


def _escaped(segment: str) -> str:
    return segment.replace("%", "%25").replace("/", "%2F")


def _unescaped(segment: str) -> str:
    return segment.replace("%2F", "/").replace("%25", "%")
