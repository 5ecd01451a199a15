"""Requests: single events, batches, the counts, and the format of Protobuf.

Decodes transfer encodings; decides nothing.

Bodies are taken raw and read by one prepared decoder: half the cost of a typed parameter at 500 events a request.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final, cast

from litestar import MediaType, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import JSONBody
from msgspec import Struct
from msgspec.structs import replace

from recoup.kit.compression import unpacked
from recoup.kit.errors import Invalid, Problem, Refused, Unsupported
from recoup.kit.http import PUBLIC, HttpRequest, caller_of
from recoup.kit.idempotency import ITSELF
from recoup.messages.access import Permission
from recoup.messages.refusals import RefusedBefore
from recoup.services.pipeline.collect.actions import Collector
from recoup.services.pipeline.collect.domain import protobuf
from recoup.services.pipeline.collect.domain.origin import origin_of
from recoup.services.pipeline.collect.domain.reading import Form, Outcome
from recoup.services.pipeline.collect.store import EventStats, Stats

_JSON_TYPES: Final = ("application/json", "text/plain", "")
_PROTOBUF_TYPES: Final = ("application/x-protobuf", "application/protobuf")
_SINGLE: Final[Mapping[str, Form]] = {
    **dict.fromkeys(_JSON_TYPES, Form.ONE),
    **dict.fromkeys(_PROTOBUF_TYPES, Form.PROTOBUF),
}
_BATCH: Final[Mapping[str, Form]] = {
    **dict.fromkeys(_JSON_TYPES, Form.ARRAY),
    **dict.fromkeys(("application/x-ndjson", "application/ndjson", "application/jsonl"), Form.LINES),
    **dict.fromkeys(_PROTOBUF_TYPES, Form.PROTOBUF),
}
_WRITE: Final = {"permission": Permission.EVENTS_WRITE, ITSELF: True}


class Receipt(Struct, frozen=True, kw_only=True):
    """What became of a request: how many events are durable now, and which are not taken and why."""

    accepted: int
    refused: list[Problem] = []


def _body(schema: dict[str, object], *types: str) -> type[Operation]:
    """An operation whose body is described by hand, as it is read raw."""

    class Described(Operation):
        def __post_init__(self) -> None:
            media = OpenAPIMediaType(schema=Schema(**schema))  # pyright: ignore[reportArgumentType] - plain JSON Schema
            self.request_body = RequestBody(content=dict.fromkeys(types, media), required=True)

    return Described


_EVENT_SCHEMA: Final[dict[str, object]] = {
    "type": "object",
    "description": "One event; see the event vocabulary for types and fields.",
    "required": ["event_id", "type", "occurred_at"],
    "properties": {
        "event_id": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID),
        "type": Schema(type=OpenAPIType.STRING),
        "occurred_at": Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME),
        "cart_id": Schema(type=OpenAPIType.STRING, min_length=1, max_length=128),
        "anonymous_id": Schema(type=OpenAPIType.STRING, min_length=1, max_length=128),
    },
}
"""Enough to write a first event by; every field is in the guide."""


@post("/", status_code=202, opt=_WRITE, operation_class=_body(_EVENT_SCHEMA, "application/json"))
async def post_event(
    request: HttpRequest, store_id: NamedDependency[str], collector: NamedDependency[Collector]
) -> Receipt:
    """Takes one event, in JSON or as an Event of events.proto; it is durable when this answers 202."""
    content, form = await _content(request, collector, store_id, _SINGLE)
    if form is Form.PROTOBUF:
        content = protobuf.alone(content)
    return _receipt(request, await collector.accept(store_id, content, form, origin_of(caller_of(request).kind)))


@post(
    "/batch",
    status_code=202,
    opt=_WRITE,
    operation_class=_body({"type": "array", "items": Schema(**_EVENT_SCHEMA)}, "application/json"),  # pyright: ignore[reportArgumentType] - plain JSON Schema
)
async def post_batch(
    request: HttpRequest, store_id: NamedDependency[str], collector: NamedDependency[Collector]
) -> Receipt:
    """Takes a JSON array, lines of JSON (NDJSON), or an EventBatch of events.proto; gzip and zstd allowed.

    Good events are kept whatever their neighbours are.
    """
    content, form = await _content(request, collector, store_id, _BATCH)
    return _receipt(request, await collector.accept(store_id, content, form, origin_of(caller_of(request).kind)))


@get("/events.proto", opt={"permission": PUBLIC}, media_type=MediaType.TEXT, sync_to_thread=False)
def read_proto() -> bytes:
    """The messages that `application/x-protobuf` is about."""
    return (files("recoup.messages") / "events.proto").read_bytes()


@get("/stats", opt={"permission": Permission.EVENTS_READ})
async def read_stats(
    store_id: NamedDependency[str], stats: NamedDependency[Stats], collector: NamedDependency[Collector]
) -> EventStats:
    """What the store's events came to since the first one, and who flooded it lately."""
    return replace(await stats.read(store_id), flooding=await collector.lane.lately(store_id))


@post("/refusals", opt={"permission": Permission.INTERNAL}, status_code=200)
async def count_refused(data: JSONBody[RefusedBefore], collector: NamedDependency[Collector]) -> RefusedBefore:
    """A request for these doors was refused on the way; counted with those we refuse ourselves."""
    collector.count_refusal(data.store_id, Refused("refused on the way", code=data.code))
    return data


def _receipt(request: HttpRequest, outcome: Outcome) -> Receipt:
    problems = [refusal.problem for refusal in outcome.refusals]
    if problems and not outcome.ids:
        raise Invalid(f"no event of this request can be taken: {problems[0].detail}", problems=problems)
    kind = next((kind for kind in _PROTOBUF_TYPES if kind in request.headers.get("accept", "")), None)
    if kind is None:
        return Receipt(accepted=len(outcome.ids), refused=problems)
    # Litestar sends a response of our own as it is, whatever the handler says that it returns.
    return cast("Receipt", Response(protobuf.receipt(len(outcome.ids), problems), media_type=kind))


def _form(request: HttpRequest, forms: Mapping[str, Form]) -> Form:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = forms.get(kind)
    if form is None:
        known = ", ".join(filter(None, forms))
        raise Unsupported(f"cannot read a body of type {kind!r}; taken are {known}", code="unsupported_media_type")
    return form


async def _content(
    request: HttpRequest, collector: Collector, store_id: str, forms: Mapping[str, Form]
) -> tuple[bytes, Form]:
    """The body without its transfer coding, never longer than the limit; what cannot be read is set aside."""
    body = await request.body()
    try:
        form = _form(request, forms)
        coding = request.headers.get("content-encoding", "")
        return unpacked(body, coding, collector.settings.batch_bytes), form
    except Refused as refusal:
        await collector.set_aside(store_id, body, refusal, origin_of(caller_of(request).kind))
        raise


HANDLERS: Final = (post_event, post_batch, read_stats, count_refused, read_proto)
