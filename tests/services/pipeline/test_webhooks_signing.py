"""Whose a webhook is and what its headers say: signatures, topics, deliveries, pings."""

import json
import os
from pathlib import Path

import pytest

from recoup.kit.config import Secret
from recoup.services.pipeline.webhooks.domain.signing import Platform, envelope, is_ping, is_signed, signed

FOLDER = Path(os.environ.get("RECOUP_SHARED", "/nowhere")) / "data/webhooks"
recorded = pytest.mark.skipif(not FOLDER.exists(), reason="the recorded payloads are not here")


@recorded
def test_the_platforms_own_vector_verifies() -> None:
    (vector, *_) = json.loads((FOLDER / "hmac_vectors.json").read_text())
    body, secret = vector["raw_body"].encode(), Secret(vector["secret"])

    assert is_signed(body, vector["signature"], [Secret("another"), secret])
    assert not is_signed(body + b" ", vector["signature"], [secret])
    assert not is_signed(body, vector["signature"], [Secret("another")])
    assert not is_signed(body, "", [secret])
    assert not is_signed(body, "ü", [secret])


@pytest.mark.parametrize("prefix", ["x-shopify-", "shopify-"])
def test_both_families_of_headers_are_read(prefix: str) -> None:
    headers = {f"{prefix}topic": "orders/create", f"{prefix}hmac-sha256": "sig", f"{prefix}event-id": "e",
               f"{prefix}webhook-id": "w", f"{prefix}triggered-at": "2026-06-01T11:00:00Z"}  # fmt: skip
    found = envelope(Platform.SHOPIFY, headers, b"{}")

    assert (found.topic, found.signature, found.key) == ("orders/create", "sig", "orders/create/e")
    assert found.said == {"event_id": "e", "webhook_id": "w", "triggered_at": "2026-06-01T11:00:00Z"}


def test_without_ids_the_same_bytes_are_the_same_delivery() -> None:
    woo = {"x-wc-webhook-topic": "order.updated", "x-wc-webhook-delivery-id": "1"}
    first = envelope(Platform.WOOCOMMERCE, woo, b"1")

    assert envelope(Platform.WOOCOMMERCE, {**woo, "x-wc-webhook-delivery-id": "2"}, b"1").key == first.key
    assert envelope(Platform.WOOCOMMERCE, woo, b"2").key != first.key


def test_a_ping_is_only_what_woocommerce_sends_when_a_webhook_is_made() -> None:
    assert is_ping(Platform.WOOCOMMERCE, {}, b"webhook_id=17")
    assert not is_ping(Platform.WOOCOMMERCE, {"x-wc-webhook-topic": "order.created"}, b"webhook_id=17")
    assert not is_ping(Platform.WOOCOMMERCE, {}, b"webhook_id=17&status=completed")
    assert not is_ping(Platform.SHOPIFY, {}, b"webhook_id=17")


def test_a_signature_is_base64_over_the_raw_bytes() -> None:
    assert is_signed(b"\xff\x00", signed(b"\xff\x00", Secret("s")).decode(), [Secret("s")])
