"""Every service's HTTP face: health, metrics, OpenAPI, request ids, traces, identity, limits, problems.

It knows callers and permissions as words it compares, not what they mean: a route without a declared permission stops
the start, and a handler that asks for the tenant gets one the caller may act for, or the request ends. How a failure
is said stands in `kit.problems`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from typing import Any, Protocol, cast

import msgspec
from litestar import Litestar, MediaType, Request, Response, Router, WebSocket, get, post
from litestar.config.response_cache import ResponseCacheConfig
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.params import FromPath, JSONBody
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter, Gauge, Histogram, generate_latest
from typing_extensions import override

from recoup import __version__
from recoup.kit.bodies import demand_json, demand_shape, is_plain
from recoup.kit.clock import stopwatch
from recoup.kit.errors import Busy, Failure, Invalid, TooMany, Unauthenticated, Unavailable
from recoup.kit.idempotency import Answers, Repeats
from recoup.kit.ids import new_id
from recoup.kit.jobs import Runs
from recoup.kit.paths import segmented, whole_parameters
from recoup.kit.peers import IDENTITY_HEADER
from recoup.kit.problems import ProblemDocument, blamed, problem, send_problem
from recoup.kit.service import Check, Job, Service
from recoup.kit.telemetry import logger, traced
from recoup.kit.trail import Trail, note_begin

log = logger(__name__)

HttpRequest = Request[Any, Any, Any]
Socket = WebSocket[Any, Any, Any]

PUBLIC = "public"
"""The permission of routes that ask for no identity."""
INTERNAL = "internal"
"""The permission only our own services have."""

DURATION = Histogram(
    "request_duration_seconds",
    "Time from the first byte of a request to the last of its answer",
    ["service", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
REQUESTS = Counter("request_count_total", "Requests answered", ["service", "route", "status"])
FAULTS = Counter("error_count_total", "Requests refused or failed, by problem code", ["service", "code"])
CONNECTIONS = Gauge("active_connections", "Requests and sockets open now", ["service"])


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one service's doors."""

    body_limit_bytes: int = 1_048_576
    """Largest request body that is read; more is refused with 413."""
    json_depth: int = 32
    """How deep a JSON body may be nested; deeper is refused with 400."""
    json_members: int = 50_000
    """Most members and items of a JSON body, in all its objects and arrays; more is refused with 400."""
    timeout_seconds: float = 30.0
    """A request that takes longer is answered with 503."""
    header_seconds: float = 30.0
    """How long a client may take for the head of a request, and how long a connection may be idle."""


class Caller(Protocol):
    """Who is asking."""

    @property
    def subject(self) -> str:
        """A name for the caller that is nobody else's."""
        ...

    @property
    def kind(self) -> str:
        """What sort of caller it is: a person, a key of a named kind, a service."""
        ...

    def tenant(self, requested: str | None, permission: str) -> str:
        """The tenant this request is about; raises Forbidden, Invalid or Missing."""
        ...

    def demand(self, permission: str) -> None:
        """Raises Forbidden unless this caller has the permission for any tenant at all."""
        ...


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body may be any bytes: what can't be read as JSON for whatever reason is the caller's mistake."""

    @override
    async def json(self) -> object:
        body = await self.body()
        if body:
            demand_json(self.headers.get("content-type", ""))
        try:
            document = await super().json()
        except (UnicodeDecodeError, RecursionError) as error:
            raise Invalid(f"the body is not JSON that can be read: {error}", code="malformed") from error
        depth, members = cast("tuple[int, int]", self.app.state["json_limits"])
        if not is_plain(body, depth, members):
            demand_shape(document, depth, members)
        return document


def create_app(
    service: Service,
    settings: HttpSettings,
    identify: Callable[[str], Caller],
    *,
    answers: Answers | None = None,
    trail: Trail | None = None,
    tenant: str = "store_id",
) -> Litestar:
    """The ASGI application of a service; raises Invalid when a route declares no permission.

    `answers` keeps what POSTs with an `Idempotency-Key` were answered; without it the header means nothing. `trail`
    notices what is changed, but not what is only answered again.
    """
    repeats = () if answers is None else (Repeats(answers, identify, settings.body_limit_bytes, tenant),)
    app = Litestar(
        route_handlers=[_standard_routes(service.checks), _job_routes(service.jobs), *service.routers],
        guards=[_guard(identify), *((note_begin,) if trail is not None else ())],
        middleware=[whole_parameters, *repeats, *((trail,) if trail is not None else ())],
        dependencies={tenant: Provide(_tenant(tenant)), "caller": Provide(_caller, sync_to_thread=False)},
        exception_handlers={Exception: to_response},
        openapi_config=OpenAPIConfig(
            title=f"Recoup {service.name}",
            version=__version__,
            path="/schema",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            use_handler_docstrings=True,
        ),
        request_class=JsonRequest,
        request_max_body_size=settings.body_limit_bytes,
        logging_config=None,
        response_cache_config=ResponseCacheConfig(),
    )
    app.state["json_limits"] = (settings.json_depth, settings.json_members)
    _demand_declarations(app, service.name)
    # Around everything, so that a path nobody serves is observed too; Litestar's own middleware starts behind the
    # routing.
    app.asgi_handler = _observed(service.name, settings.timeout_seconds)(segmented(app.asgi_handler))
    if service.front is not None:
        app.asgi_handler = service.front(app.asgi_handler)
    return app


def caller_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """The verified caller of a request or socket; raises Unauthenticated on public routes."""
    caller = connection.scope.get("user")
    if caller is None:
        raise Unauthenticated("this needs an identity")
    return cast("Caller", caller)


# Looking a series up by its labels costs more than counting in it; routes and statuses are few.
@cache
def _duration(service: str, route: str) -> Histogram:
    return DURATION.labels(service, route)


@cache
def _requests(service: str, route: str, status: int) -> Counter:
    return REQUESTS.labels(service, route, str(status))


def answered(service: str, route: str, status: int, seconds: float) -> None:
    """Counts one answer and the time it took."""
    _duration(service, route).observe(seconds)
    _requests(service, route, status).inc()


def to_response(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemDocument]:
    """How any failure is answered."""
    error = blamed(error)
    trace_id = str(request.scope.get("state", {}).get("trace_id", ""))
    document = problem(error, trace_id)
    FAULTS.labels(str(request.app.state.get("service", "")), document.code).inc()
    if document.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request failed", exc_info=error, path=request.scope["path"])
    waits = isinstance(error, TooMany | Busy)
    headers = {"Retry-After": str(max(1, round(error.retry_after.total_seconds())))} if waits else {}
    if document.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": "1"}
        log.warning("cannot answer", why=str(error), path=request.scope["path"])
    return Response(document, status_code=document.status, media_type="application/problem+json", headers=headers)


def _guard(
    identify: Callable[[str], Caller],
) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]:
    # A coroutine although it awaits nothing: Litestar would run a plain function in a thread, at every request.
    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        # Only the OpenAPI document comes without a declaration; for any other route the start would have failed.
        permission = handler.opt.get("permission", PUBLIC)
        token = connection.headers.get(IDENTITY_HEADER)
        if permission == PUBLIC and token is None:
            return
        if token is None:
            raise Unauthenticated("this needs an identity; ask through the gateway")
        caller = identify(token)
        connection.scope["user"] = caller
        if permission != PUBLIC:
            caller.demand(str(permission))

    return guard


def _caller(request: Request[Any, Any, Any]) -> Caller:
    return caller_of(request)


def _tenant(parameter: str) -> Callable[..., Any]:
    async def tenant(scope: Scope, request: ASGIConnection[Any, Any, Any, Any]) -> str:
        permission = str(scope["route_handler"].opt["permission"])
        return caller_of(request).tenant(request.query_params.get(parameter), permission)

    return tenant


def _demand_declarations(app: Litestar, service: str) -> None:
    app.state["service"] = service
    for route in app.routes:
        handlers = getattr(route, "route_handlers", None) or [getattr(route, "route_handler", None)]
        for handler in handlers:
            if handler is None or (route.path + "/").startswith("/schema/"):
                continue
            if "permission" not in handler.opt and "OPTIONS" not in getattr(handler, "http_methods", ()):
                raise Invalid(f"route {route.path} of {service} declares no permission")


class Health(msgspec.Struct, frozen=True):
    """Whether this process answers, and each of its engines when asked for readiness."""

    status: str
    checks: dict[str, str] = {}


def _standard_routes(checks: Sequence[Check]) -> Router:
    @get("/health", opt={"permission": PUBLIC}, sync_to_thread=False)
    def live() -> Health:
        """Liveness: this process answers."""
        return Health("ok")

    @get("/health/ready", opt={"permission": PUBLIC})
    async def ready() -> Response[Health]:
        """Readiness: each engine this service stands on answers."""
        states = dict(await asyncio.gather(*(_checked(check) for check in checks)))
        good = all(state == "ok" for state in states.values())
        status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(Health("ok" if good else "unavailable", states), status_code=status)

    @get("/metrics", opt={"permission": PUBLIC}, media_type=MediaType.TEXT, sync_to_thread=False)
    def metrics() -> bytes:
        """Prometheus text."""
        return generate_latest()

    return Router("/", route_handlers=[live, ready, metrics], tags=["health"])


class JobEntry(msgspec.Struct, frozen=True):
    """A job this service offers to the scheduler."""

    name: str
    cron: str
    timeout_seconds: float


class JobCall(msgspec.Struct, frozen=True):
    """Which run of a job is asked for."""

    run_id: str = ""
    """A run asked for twice under the same id is done once; empty for one of its own."""


class JobResult(msgspec.Struct, frozen=True):
    """What came of a job, in one sentence."""

    result: str


def _job_routes(jobs: Sequence[Job]) -> Router:
    runs = Runs(jobs)

    @get("/", opt={"permission": INTERNAL}, sync_to_thread=False)
    def offered() -> list[JobEntry]:
        """The jobs this service wants to be run, with their times."""
        return [JobEntry(job.name, job.cron, job.timeout.total_seconds()) for job in jobs]

    @post("/{name:str}", opt={"permission": INTERNAL})
    async def run_job(name: FromPath[str], data: JSONBody[JobCall]) -> JobResult:
        """Runs a job and waits for it."""
        return JobResult(await runs.run(name, data.run_id))

    return Router("/internal/jobs", route_handlers=[offered, run_job], tags=["jobs"])


async def _checked(check: Check) -> tuple[str, str]:
    try:
        async with asyncio.timeout(2):
            await check.ping()
    except TimeoutError:
        return check.name, "no answer within 2 s"
    except Failure as error:
        return check.name, error.said
    return check.name, "ok"


def _observed(service: str, timeout_seconds: float) -> Callable[[ASGIApp], ASGIApp]:
    def wrap(app: ASGIApp) -> ASGIApp:
        async def observed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] not in {"http", "websocket"}:
                return await app(scope, receive, send)
            headers = dict(scope["headers"])
            request_id = headers.get(b"x-request-id", b"")[:128] or str(new_id()).encode()
            status = [0]
            with traced(f"{service} {scope['path']}", headers.get(b"traceparent", b"").decode("latin1")) as here:
                scope.setdefault("state", {})["trace_id"] = here.trace_id
                marked = _marking(send, request_id, status)
                with _timed(service, scope, status):
                    if scope["type"] == "websocket" or scope["path"].startswith("/internal/jobs/"):
                        await app(scope, receive, marked)
                    else:
                        await _within(app, scope, receive, marked, timeout_seconds)
            return None

        return cast("ASGIApp", observed)

    return wrap


@contextmanager
def _timed(service: str, scope: Scope, status: list[int]) -> Generator[None]:
    started = stopwatch()
    CONNECTIONS.labels(service).inc()
    try:
        yield
    finally:
        CONNECTIONS.labels(service).dec()
        route = str(scope.get("path_template") or "unknown")
        answered(service, route, status[0], stopwatch() - started)


async def _within(app: ASGIApp, scope: Scope, receive: Receive, send: Send, timeout_seconds: float) -> None:
    try:
        async with asyncio.timeout(timeout_seconds):
            await app(scope, receive, send)
    except TimeoutError:
        trace_id = str(scope.get("state", {}).get("trace_id", ""))
        document = problem(Unavailable(f"no answer within {timeout_seconds:g} s", code="timed_out"), trace_id)
        await send_problem(send, document)


def _marking(send: Send, request_id: bytes, status: list[int]) -> Send:
    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            status[0] = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
        await send(message)

    return marked
