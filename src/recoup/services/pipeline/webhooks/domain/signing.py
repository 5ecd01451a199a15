"""What the headers of a delivery say, and whether its bytes were signed with one of a store's secrets."""

import base64
import hmac
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Final

from msgspec import Struct

from recoup.kit.config import Secret


class Platform(StrEnum):
    """Whose webhooks we understand."""

    SHOPIFY = "shopify"
    WOOCOMMERCE = "woocommerce"


class Envelope(Struct, frozen=True, kw_only=True):
    """A delivery's headers, as far as anybody asks for them."""

    signature: str
    topic: str
    key: str
    """The same for the same delivery however often it comes, and for the same event by another subscription."""
    said: dict[str, str]
    """What is kept of the headers: ids, version, source, times."""


_KEPT: Final = {
    Platform.SHOPIFY: ("shop-domain", "api-version", "webhook-id", "event-id", "triggered-at", "test"),
    Platform.WOOCOMMERCE: ("source", "resource", "event", "id", "delivery-id"),
}
_PREFIXES: Final = {
    # Shopify's newer product sends the same names without `X-`.
    Platform.SHOPIFY: ("x-shopify-", "shopify-"),
    Platform.WOOCOMMERCE: ("x-wc-webhook-", "wc-webhook-"),
}
_SIGNATURES: Final = {Platform.SHOPIFY: "hmac-sha256", Platform.WOOCOMMERCE: "signature"}
_LONGEST: Final = 255
_PING: Final = re.compile(rb"webhook_id=[0-9]{1,20}")


def envelope(platform: Platform, headers: Mapping[str, str], body: bytes) -> Envelope:
    """The headers of a delivery; names in any case. What is missing is empty."""

    def of(name: str) -> str:
        found = (headers.get(prefix + name, "") for prefix in _PREFIXES[platform])
        return next((value.strip()[:_LONGEST] for value in found if value), "")

    topic = of("topic").lower()
    said = {name.replace("-", "_"): value for name in _KEPT[platform] if (value := of(name))}
    # WooCommerce's delivery id is not unique within a second, but its bodies say when they were made.
    same = said.get("event_id") or said.get("webhook_id") if platform is Platform.SHOPIFY else None
    key = f"{topic}/{same or sha256(body).hexdigest()}"
    return Envelope(signature=of(_SIGNATURES[platform]), topic=topic, key=key, said=said)


def is_ping(platform: Platform, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether this is WooCommerce's way of asking, unsigned, if anybody is there when a webhook is made."""
    return platform is Platform.WOOCOMMERCE and "x-wc-webhook-topic" not in headers and bool(_PING.fullmatch(body))


def is_signed(body: bytes, signature: str, secrets: Iterable[Secret]) -> bool:
    """Whether one of the secrets made this signature of these bytes; takes as long whichever did not."""
    given = signature.encode("utf-8", "replace")
    matches = [hmac.compare_digest(given, signed(body, secret)) for secret in secrets]
    return any(matches)


def signed(body: bytes, secret: Secret) -> bytes:
    """The signature both platforms use: base64 of HMAC-SHA256 over the raw bytes."""
    return base64.b64encode(hmac.new(secret.reveal().encode(), body, sha256).digest())
