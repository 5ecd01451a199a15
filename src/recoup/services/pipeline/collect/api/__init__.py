"""The collector's doors: requests, and a socket."""

from litestar import Router

from recoup.services.pipeline.collect.api import http
from recoup.services.pipeline.collect.api.socket import stream_events


def router() -> Router:
    """Everything under /events."""
    return Router("/events", route_handlers=[*http.HANDLERS, stream_events], tags=["events"])
