"""Webhooks over HTTP: the platforms' doors, where a signature over the raw bytes is the credential, and the shop's."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from litestar import Response, Router, delete, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from recoup.kit.clock import Clock
from recoup.kit.config import Secret
from recoup.kit.errors import Conflict
from recoup.kit.http import PUBLIC, HttpRequest
from recoup.kit.idempotency import ITSELF
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page
from recoup.messages.access import Permission
from recoup.services.pipeline.webhooks.actions import Postroom
from recoup.services.pipeline.webhooks.domain.signing import Platform, is_ping
from recoup.services.pipeline.webhooks.store import (
    Deliveries,
    Entry,
    KnownSecret,
    PrivacyRequest,
    PrivacyRequests,
    Status,
)

_SIGNED: Final = {"permission": PUBLIC, ITSELF: True}


class NewSecret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the platform signs with: an app's client secret at Shopify, the webhook's own secret at WooCommerce."""

    secret: Annotated[str, Meta(min_length=8, max_length=512)]


class Opened(Struct, frozen=True, kw_only=True):
    """A delivery with what came."""

    id: UUID
    platform: Platform
    topic: str
    said: dict[str, str]
    body: str
    """As text; bytes that are none are shown as U+FFFD."""


class Received(Struct, frozen=True):
    """Nothing more to say."""

    received: bool = True


@dataclass  # or its `__post_init__` would never be called
class _Raw(Operation):
    """The body is taken as bytes and described by hand."""

    def __post_init__(self) -> None:
        schema = Schema(type=OpenAPIType.OBJECT, description="Whatever the platform sends; the signature is over it")
        self.request_body = RequestBody(content={"application/json": OpenAPIMediaType(schema=schema)}, required=True)


@post("/shopify/{store:str}", status_code=200, opt=_SIGNED, operation_class=_Raw)
async def receive_shopify(
    store: FromPath[str], request: HttpRequest, postroom: NamedDependency[Postroom]
) -> Response[Received]:
    """A webhook of Shopify's: durable when this answers 200, worked on afterwards."""
    return await _received(Platform.SHOPIFY, store, request, postroom)


@post("/woocommerce/{store:str}", status_code=200, opt=_SIGNED, operation_class=_Raw)
async def receive_woocommerce(
    store: FromPath[str], request: HttpRequest, postroom: NamedDependency[Postroom]
) -> Response[Received]:
    """A webhook of WooCommerce's: durable when this answers 200, worked on afterwards."""
    return await _received(Platform.WOOCOMMERCE, store, request, postroom)


async def _received(platform: Platform, store: str, request: HttpRequest, postroom: Postroom) -> Response[Received]:
    body = await request.body()
    if not is_ping(platform, request.headers, body):
        await postroom.receive(platform, store, request.headers, body)
    return Response(Received(), status_code=200)


@put("/secrets/{platform:str}", opt={"permission": Permission.SETTINGS_WRITE}, status_code=204)
async def set_secret(
    platform: FromPath[Platform],
    data: JSONBody[NewSecret],
    store_id: NamedDependency[str],
    postroom: NamedDependency[Postroom],
) -> None:
    """Sets what a platform signs with; the one before it is believed for some hours more."""
    grace = timedelta(hours=postroom.settings.webhook_secret_hours)
    await postroom.ring.set(store_id, platform, Secret(data.secret), grace)


@get("/secrets", opt={"permission": Permission.SETTINGS_READ})
async def list_secrets(
    store_id: NamedDependency[str], postroom: NamedDependency[Postroom], clock: NamedDependency[Clock]
) -> Page[KnownSecret]:
    """For which platforms a secret is set, and since when; never the secret."""
    return Page(await postroom.ring.secrets.known(store_id, clock.now()))


@delete("/secrets/{platform:str}", opt={"permission": Permission.SETTINGS_WRITE})
async def remove_secret(
    platform: FromPath[Platform], store_id: NamedDependency[str], postroom: NamedDependency[Postroom]
) -> None:
    """Believes nothing of this platform any more."""
    await postroom.ring.remove(store_id, platform)


@get("/deliveries", opt={"permission": Permission.EVENTS_READ})
async def list_deliveries(
    store_id: NamedDependency[str],
    deliveries: NamedDependency[Deliveries],
    status: FromQuery[Status | None] = None,
    cursor: FromQuery[UUID | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[Entry]:
    """What came and what became of it, newest first."""
    page = await deliveries.page(store_id, status, cursor, limit)
    return Page(page, str(page[-1].id) if len(page) == limit else None)


@get("/deliveries/{delivery_id:uuid}", opt={"permission": Permission.DLQ_READ})
async def open_delivery(
    delivery_id: FromPath[UUID], store_id: NamedDependency[str], deliveries: NamedDependency[Deliveries]
) -> Opened:
    """One delivery with what came; empty once a privacy request has been acted on."""
    found = await deliveries.delivery(store_id, delivery_id)
    return Opened(
        id=found.id, platform=found.platform, topic=found.topic, said=found.said,
        body=found.body.decode("utf-8", "replace"),
    )  # fmt: skip


@post("/deliveries/{delivery_id:uuid}/retry", opt={"permission": Permission.DLQ_WRITE}, status_code=202)
async def retry_delivery(
    delivery_id: FromPath[UUID],
    store_id: NamedDependency[str],
    postroom: NamedDependency[Postroom],
    clock: NamedDependency[Clock],
) -> Received:
    """Has a dead delivery worked on again; what it told before, it does not tell twice."""
    await postroom.deliveries.delivery(store_id, delivery_id)
    if not await postroom.deliveries.revive(store_id, delivery_id, clock.now()):
        raise Conflict("only a dead delivery is tried again", code="not_dead")
    postroom.news.set()
    return Received()


@get("/privacy-requests", opt={"permission": Permission.SETTINGS_READ})
async def list_privacy_requests(
    store_id: NamedDependency[str], requests: NamedDependency[PrivacyRequests]
) -> Page[PrivacyRequest]:
    """What platforms asked for by law, and whether somebody has taken it over."""
    return Page(await requests.of_store(store_id))


@get("/internal/privacy-requests", opt={"permission": Permission.INTERNAL})
async def open_privacy_requests(requests: NamedDependency[PrivacyRequests]) -> list[PrivacyRequest]:
    """Every store's requests that nobody has taken over, for the service that acts on them."""
    return await requests.open()


@post("/internal/privacy-requests/{request_id:uuid}/taken", opt={"permission": Permission.INTERNAL}, status_code=204)
async def take_privacy_request(
    request_id: FromPath[UUID], requests: NamedDependency[PrivacyRequests], clock: NamedDependency[Clock]
) -> None:
    """Says that one has been taken over and need not be handed on again."""
    await requests.take(request_id, clock.now())


def router(postroom: Postroom, requests: PrivacyRequests) -> Router:
    """Everything under /webhooks, and what our own services ask."""
    given = {
        "postroom": postroom,
        "deliveries": postroom.deliveries,
        "requests": requests,
        "clock": postroom.clock,
    }
    platforms = Router(
        "/", route_handlers=[receive_shopify, receive_woocommerce],
        request_max_body_size=postroom.settings.webhook_bytes,
    )  # fmt: skip
    outside = Router(
        "/webhooks",
        route_handlers=[
            platforms, set_secret, list_secrets, remove_secret, list_deliveries, open_delivery, retry_delivery,
            list_privacy_requests,
        ],
    )  # fmt: skip
    return Router(
        "/",
        route_handlers=[outside, open_privacy_requests, take_privacy_request],
        dependencies={name: Provide(_constant(value), sync_to_thread=False) for name, value in given.items()},
        tags=["webhooks"],
    )


def _constant(value: object) -> Callable[[], object]:
    return lambda: value
