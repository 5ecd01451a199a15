"""Where a request goes, and what must not come in with it."""

import base64
import binascii
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple
from urllib.parse import unquote, unquote_plus

from recoup.kit.errors import Invalid
from recoup.services.platform.access.domain import from_one_of
from recoup.services.platform.ratelimits.domain import Standing

PEERS: Final = {
    segment: peer
    for peer, segments in {
        "pipeline": ("events", "pipeline", "dlq", "v1", "webhooks", "routing"),
        "ai": ("predict", "features", "models"),
        "interventions": (
            "interventions", "outbox", "track", "conversions", "templates", "preferences", "unsubscribe", "ws",
        ),
        "intelligence": ("analytics", "carts", "training", "export"),
        "monitoring": ("services", "infrastructure", "anomalies", "monitoring", "metrics", "status"),
        "scheduler": ("jobs", "runs", "workflows"),
    }.items()
    for segment in segments
}  # fmt: skip
"""Which process answers what stands behind `/api/`; everything else is the platform's own."""

AS_THEY_ARE: Final = frozenset({"v1", "webhooks"})
"""Segments that are also served without `/api`: stock clients of others put their own paths behind a host."""

WEBHOOKS: Final = ("/webhooks/shopify/", "/webhooks/woocommerce/")
"""Where shop platforms deliver. How long one order is, they say: a refusal costs the shop its subscription."""

PUBLIC: Final = ("/track/open/", "/track/click/", "/unsubscribe/", *WEBHOOKS, "/events/events.proto")
"""Proxied paths that need no identity: people come to them from a mail, shop platforms sign what they send, and a
published format is for everybody."""

KEY_MAY_BE_INSIDE: Final = ("/v1/",)
"""Proxied paths whose bodies may carry the key: without one in the headers the service looks for itself."""

BROWSERS: Final = frozenset({"events", "track", "v1", "ws"})
"""What pages of any shop may call with a publishable key."""

COLLECTING: Final = frozenset({"events", "v1", "webhooks"})
"""What waits for the event log before its answer begins,"""

PATIENT: Final = frozenset({"analytics", "carts", "dlq", "export", "jobs", "models", "runs", "training", "workflows"})
"""and what may work long; everything else is a call that should be answered at once."""

REPEATABLE: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PUT"})
"""Methods of which asking twice does no more than asking once,"""

REPEATABLE_SEGMENTS: Final = frozenset({"events"})
"""and services' paths where it is so whatever the method: an event is known by its id."""

FORGETFUL: Final = frozenset({
    "/auth/login", "/auth/refresh", "/auth/logout", "/auth/password/forgotten", "/auth/password/reset",
    "/auth/invitations/read", "/auth/invitations/accept",
})  # fmt: skip
"""Where an identity that is no longer good does no harm."""

SECRET_PARAMETERS: Final = frozenset({"key", "token"})

CREDENTIALS: Final = frozenset({b"authorization", b"x-api-key"})
FORGEABLE: Final = CREDENTIALS | {b"x-recoup-identity", b"forwarded"}
"""Headers that never travel on: only we say who asks."""

EXPOSED: Final = (
    (
        b"access-control-expose-headers",
        b"x-request-id, retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset",
    ),
)
ASKED_WITH: Final = (
    b"authorization, x-api-key, content-type, content-encoding, idempotency-key, x-request-id, traceparent, anonymousid"
)
"""Headers a page may send; the last is of RudderStack's library."""
PREFLIGHT_ANSWER: Final = (
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", ASKED_WITH),
    (b"access-control-max-age", b"600"),
    (b"content-length", b"0"),
)


SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
    (b"cache-control", b"no-store"),
)
"""On every answer that does not say otherwise itself."""
CLOSED: Final = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PLAIN_PAGE: Final = (
    b"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'self';"
    b" frame-ancestors 'none'"
)
"""For pages that shoppers come to from a mail: words, a form and their style."""
SCHEMES: Final = frozenset({"http", "https"})
Networks = tuple[IPv4Network | IPv6Network, ...]
LASTING_TLS: Final = (b"strict-transport-security", b"max-age=31536000")


class Way(NamedTuple):
    """Where a path leads: to a peer, or to the platform itself."""

    segment: str
    peer: str | None
    path: str
    """As the service sees it, still percent-encoded."""


def laid_over(changed: Mapping[str, str], known: Collection[str]) -> Mapping[str, str]:
    """The built-in routes with others laid over them; raises Invalid for what leads nowhere.

    An empty service closes a segment.
    """
    for segment, service in changed.items():
        if not segment or segment == "internal" or unquote(segment) != segment or "/" in segment:
            raise Invalid(f"{segment!r} is no segment that can be led anywhere")
        if service and service not in known:
            raise Invalid(f"segment {segment!r} leads to {service!r}, which is none of our services")
    return {**PEERS, **changed}


def way(raw_path: str, peers: Mapping[str, str] = PEERS) -> Way | None:
    """The way of a path as it came over the wire; None where there is none from outside."""
    if any(unquote(part) in {".", ".."} for part in raw_path.split("/")):
        return None
    if not raw_path.startswith("/api/"):
        first = _first(raw_path)
        return _open(Way(first, peers[first] if first in AS_THEY_ARE else None, raw_path))
    path = raw_path[len("/api") :]
    segment = _first(path)
    if segment in {"", "internal"}:
        return None
    return _open(Way(segment, peers.get(segment), path))


def cors(lists: Collection[Sequence[str]], origin: str | None) -> Sequence[tuple[bytes, bytes]]:
    """What lets a page read an answer, by the lists of pages that stores allow; an empty list allows any."""
    if not all(lists) or not lists:
        return ((b"access-control-allow-origin", b"*"), *EXPOSED)
    if origin is None or not any(from_one_of(each, origin) for each in lists):
        return ((b"vary", b"origin"),)
    return ((b"access-control-allow-origin", origin.encode("latin1")), (b"vary", b"origin"), *EXPOSED)


def secured(headers: Collection[tuple[bytes, bytes]], *, is_api: bool, is_secure: bool) -> list[tuple[bytes, bytes]]:
    """What is missing among an answer's headers for browsers to be careful with it."""
    said = {name.lower(): value for name, value in headers}
    missing = [pair for pair in SECURITY if pair[0] not in said]
    if b"content-security-policy" not in said:
        is_page = said.get(b"content-type", b"").startswith(b"text/html")
        missing.append((b"content-security-policy", PLAIN_PAGE if is_page else CLOSED))
    if is_api and b"cross-origin-resource-policy" not in said:
        missing.append((b"cross-origin-resource-policy", b"same-origin"))
    return [*missing, LASTING_TLS] if is_secure else missing


def _open(way: Way) -> Way | None:
    return None if way.peer == "" else way


def is_public(path: str) -> bool:
    """Whether a peer's path may be asked by anybody."""
    return path.startswith(PUBLIC)


def is_webhook(path: str) -> bool:
    """Whether a shop platform delivers here."""
    return path.startswith(WEBHOOKS)


def may_hold_key(path: str) -> bool:
    """Whether who asks may be said in the body."""
    return path.startswith(KEY_MAY_BE_INSIDE)


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The token or key a request carries."""
    found: str | None = None
    for name, value in headers:
        if name == b"x-api-key":
            return value.decode("latin1").strip()
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            found = value[7:].decode("latin1").strip()
        if name == b"authorization" and value[:6].lower() == b"basic ":
            found = _key_in_basic(value[6:])
    return found


def _key_in_basic(encoded: bytes) -> str | None:
    """A key or token in basic authentication: the user name of Segment's clients, the password of schema registries'.

    Whatever else stands there is ignored.
    """
    try:
        name, _, password = base64.b64decode(encoded.strip(), validate=True).decode("latin1").partition(":")
    except binascii.Error:
        return None
    return next((part for part in (name, password) if part.startswith(("rk_", "v4.public."))), None)


def parameters(query: str) -> tuple[str | None, str]:
    """The key or token in a query string, and the query string without it."""
    credential: str | None = None
    kept: list[str] = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name in SECRET_PARAMETERS:
            credential = unquote_plus(value)
        elif pair:
            kept.append(pair)
    return credential, "&".join(kept)


def parameter(query: str, name: str) -> str | None:
    """What a query string says under a name, if anything."""
    found = (unquote_plus(pair[len(name) + 1 :]) for pair in query.split("&") if pair.startswith(f"{name}="))
    return next(found, None)


def rate_headers(standing: Standing) -> Iterable[tuple[bytes, bytes]]:
    """What an answer says of the limit that leaves its caller least."""
    limit = (b"ratelimit-limit", b"%d" % standing.limit.per_minute)
    remaining = (b"ratelimit-remaining", b"%d" % standing.remaining)
    seconds = b"%d" % standing.reset_seconds
    if standing.allowed:
        return limit, remaining, (b"ratelimit-reset", seconds)
    return limit, remaining, (b"ratelimit-reset", seconds), (b"retry-after", seconds)


def networks(written: str) -> Networks:
    """Addresses and networks with commas between them; raises Invalid for what is neither."""
    try:
        return tuple(ip_network(part.strip()) for part in written.split(",") if part.strip())
    except ValueError as error:
        raise Invalid(f"trusted_proxies: {error}") from error


@lru_cache(maxsize=10_000)
def is_trusted(address: str, trusted: Networks) -> bool:
    """Whether a neighbour is one of ours, whose word about others counts."""
    try:
        known = ip_address(address)
    except ValueError:
        return False
    known = getattr(known, "ipv4_mapped", None) or known
    return any(known in network for network in trusted)


def client_address(peer: str, forwarded_for: str, trusted: Networks) -> str:
    """Who really asks: the last address in the chain that was not written by somebody we don't trust."""
    if not forwarded_for or not trusted:
        return peer
    chain = [part.strip() for part in forwarded_for.split(",") if part.strip()]
    while chain and is_trusted(peer, trusted):
        peer = chain.pop()
    return peer


def request_id(given: bytes) -> str | None:
    """The client's own id, if it is one that can stand in a log."""
    return given.decode() if 0 < len(given) <= 128 and given.isascii() and given.decode().isprintable() else None  # noqa: PLR2004


def _first(path: str) -> str:
    """The first segment as the service will read it; a percent sign hides nothing from us."""
    return unquote(path)[1:].partition("/")[0]
