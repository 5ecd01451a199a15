"""Segment's calls over HTTP, at their own paths. Decodes and says who asks; decides nothing.

A key is believed as the user name of basic authentication, as a bearer token, in `X-Api-Key`, or in the body, where
Segment's browser library puts it; so the routes are public and the handler asks for the permission.
"""

from dataclasses import dataclass
from typing import Final, cast

from litestar import Response, Router, post
from litestar.di import NamedDependency, Provide
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from msgspec import Struct

from recoup.kit import loose
from recoup.kit.compression import unpacked
from recoup.kit.errors import Invalid, Problem, Refused, TooLarge, Unauthenticated
from recoup.kit.http import PUBLIC, HttpRequest, to_response
from recoup.kit.idempotency import ITSELF
from recoup.kit.loose import Table
from recoup.kit.problems import ProblemDocument, with_message
from recoup.messages.access import Permission, Principal
from recoup.services.pipeline.collect.domain.origin import origin_of
from recoup.services.pipeline.segment.actions import Batch, Intake, WriteKeys

LONGEST_MESSAGE: Final = 32 * 1024
"""As Segment documents it."""
LONGEST_BATCH: Final = 4 * 1024 * 1024
"""As RudderStack's clients make them, before compression; Segment's stop at 500 KB by themselves."""
_CALLS: Final = {"t": "track", "p": "page", "s": "screen", "i": "identify", "a": "alias", "g": "group"}
_SINGLE: Final = ["/track", "/page", "/screen", "/identify", "/alias", "/group", *(f"/{short}" for short in _CALLS)]
_BATCHES: Final = ["/batch", "/import", "/b"]
_OPEN: Final = {"permission": PUBLIC, ITSELF: True}


class Taken(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What clients of Segment look for, and what of the request is among the dead letters now, and why."""

    success: bool
    refused: list[Problem] = []


@dataclass  # or its `__post_init__` would never be called
class _Described(Operation):
    """The body is read raw and described by hand."""

    def __post_init__(self) -> None:
        schema = Schema(
            type=OpenAPIType.OBJECT, description="A message, or `{batch: [messages]}`, as Segment's clients"
        )
        self.request_body = RequestBody(content={"application/json": OpenAPIMediaType(schema=schema)}, required=True)


@post(_SINGLE, status_code=200, opt=_OPEN, operation_class=_Described)
async def take_message(
    request: HttpRequest, intake: NamedDependency[Intake], write_keys: NamedDependency[WriteKeys]
) -> Taken:
    """One call: track, page, screen, identify, alias or group; durable when this answers."""
    kind = request.url.path.rpartition("/")[2]
    message = await _object(request, LONGEST_MESSAGE, intake)
    caller = await _caller(request, message, write_keys)
    store_id = _store_of(request, caller)
    batch = Batch(
        [{**message, "type": _CALLS.get(kind, kind)}], client_ip=_client(request), origin=origin_of(caller.kind)
    )
    return Taken(success=True, refused=await intake.take(store_id, batch))


@post(_BATCHES, status_code=200, opt=_OPEN, operation_class=_Described)
async def take_batch(
    request: HttpRequest, intake: NamedDependency[Intake], write_keys: NamedDependency[WriteKeys]
) -> Taken:
    """Many calls at once; good ones are kept whatever their neighbours are."""
    body = await _object(request, LONGEST_BATCH, intake)
    messages = body.get("batch")
    if not isinstance(messages, list):
        raise Invalid("a batch is {batch: [messages]}", code="not_a_batch")
    caller = await _caller(request, body, write_keys)
    store_id = _store_of(request, caller)
    batch = Batch(
        cast("list[object]", messages), loose.moment(body.get("sentAt")), loose.table(body.get("context")),
        _client(request), origin_of(caller.kind),
    )  # fmt: skip
    return Taken(success=True, refused=await intake.take(store_id, batch))


async def _object(request: HttpRequest, limit: int, intake: Intake) -> Table:
    """The body; what is too large is a 400 here, as it is at Segment's."""
    body = await request.body()
    try:
        body = unpacked(body, request.headers.get("content-encoding", ""), limit)
        found = loose.decode(body)
    except TooLarge as large:
        raise Invalid(large.detail, code="too_large") from large
    except Refused as refusal:
        await _set_aside(request, body, refusal, intake)
        raise
    if not isinstance(found, dict):
        raise Invalid("a call is a JSON object", code="not_an_object")
    return cast("Table", found)


async def _set_aside(request: HttpRequest, body: bytes, refusal: Refused, intake: Intake) -> None:
    """Keeps a body that cannot be read as a dead letter; one that hides its key in there is nobody's."""
    caller: Principal | None = request.scope.get("user")
    if caller is not None:
        await intake.collector.set_aside(_store_of(request, caller), body, refusal, origin_of(caller.kind))


async def _caller(request: HttpRequest, body: Table, write_keys: WriteKeys) -> Principal:
    caller: Principal | None = request.scope.get("user")
    if caller is not None:
        return caller
    key = loose.text(body.get("writeKey"))
    if key is None:
        raise Unauthenticated("this needs a write key: a publishable or secret key of the store")
    return await write_keys.principal(key, request.headers.get("origin"))


def _store_of(request: HttpRequest, caller: Principal) -> str:
    return caller.tenant(request.query_params.get("store_id"), Permission.EVENTS_WRITE)


def _client(request: HttpRequest) -> str | None:
    """The address the gateway saw."""
    return request.headers.get("x-forwarded-for")


def refused(request: HttpRequest, error: Exception) -> Response[ProblemDocument]:
    """As everywhere, in these clients' words."""
    answer = to_response(request, error)
    answer.content = with_message(answer.content)
    return answer


def router(intake: Intake, write_keys: WriteKeys) -> Router:
    """Everything under /v1."""
    return Router(
        "/v1",
        route_handlers=[take_message, take_batch],
        dependencies={
            "intake": Provide(lambda: intake, sync_to_thread=False),
            "write_keys": Provide(lambda: write_keys, sync_to_thread=False),
        },
        exception_handlers={Exception: refused},
        tags=["segment"],
    )
