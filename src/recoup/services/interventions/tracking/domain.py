"""Signed links, and telling machines from people. Pure: the key comes in as an argument.

A link's token carries the store, the intervention, what following it means and where it leads, under an HMAC-SHA256:
a link that was not made here leads nowhere. Tokens don't expire,
since an unsubscription must work for as long as the mail
exists.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from recoup.kit.ids import derived_id
from recoup.messages.facts import InterventionEvent

Kind = Literal["delivered", "seen", "opened", "clicked", "dismissed", "unsubscribed", "visited"]
"""`visited`: the page where one can unsubscribe was looked at; a scanner's habit, and nobody else's business."""
_SIGNATURE_BYTES = 16
BURST = timedelta(seconds=1)
"""Two different links within so short a time were not followed by hand."""


class Link(Struct, frozen=True, array_like=True):
    """What a signed link means; `address` is the mailbox an unsubscription is about."""

    kind: Literal["clicked", "opened", "unsubscribed"]
    store_id: str
    intervention_id: UUID
    target: str = ""
    address: str = ""


class Touch(Struct, frozen=True, kw_only=True):
    """Somebody, or something, did something with a message."""

    id: UUID
    store_id: str
    intervention_id: UUID
    person_id: str
    cart_id: str
    cart_number: int
    kind: Kind
    channel: str | None
    target: str = ""
    at: datetime
    """On the store's clock."""
    received_at: datetime
    user_agent: str = ""
    machine: bool | None = None
    """None until the touches around it have been looked at."""


def signed(key: bytes, link: Link) -> str:
    """The token of a link."""
    body = msgspec.msgpack.encode(link)
    return base64.urlsafe_b64encode(_signature(key, body) + body).rstrip(b"=").decode()


def opened(key: bytes, token: str) -> Link | None:
    """The link behind a token, or None for one that was not made with this key."""
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, _signature(key, body)):
            return None
        return msgspec.msgpack.decode(body, type=Link)
    except (ValueError, msgspec.MsgspecError):
        return None


def key_from(seed: str) -> bytes:
    """The key for links, from the installation's secret and of no other use."""
    return hashlib.sha256(b"recoup links\x1f" + seed.encode()).digest()


def touch_id(intervention_id: UUID, kind: Kind, target: str, second: datetime) -> UUID:
    """The same for the same thing within the same second: a reload is not a second reader."""
    return derived_id("touch", str(intervention_id), kind, target, f"{second:%Y-%m-%dT%H:%M:%S}")


def by_machine(touches: Sequence[Touch]) -> set[UUID]:
    """Which touches of one message were made by a mail scanner: those within a second of two different links."""
    links = sorted((touch for touch in touches if touch.target), key=lambda touch: touch.received_at)
    bursts = [
        (first.received_at, second.received_at)
        for first in links
        for second in links
        if first.target != second.target and timedelta(0) <= second.received_at - first.received_at <= BURST
    ]
    return {
        touch.id
        for touch in touches
        if touch.kind in {"opened", "clicked"}
        and any(start - BURST <= touch.received_at <= end + BURST for start, end in bursts)
    }


def event(touch: Touch, *, machine: bool) -> InterventionEvent | None:
    """What the other services are told of a touch; None for what is told otherwise or not at all."""
    if touch.kind == "delivered" or touch.kind == "visited":  # noqa: PLR1714 - narrows the type
        return None
    return InterventionEvent(
        id=str(touch.id),
        store_id=touch.store_id,
        occurred_at=touch.at,
        intervention_id=str(touch.intervention_id),
        kind=touch.kind,
        cart_id=touch.cart_id,
        cart_number=touch.cart_number,
        person_id=touch.person_id,
        channel=touch.channel,
        machine=machine,
    )


def _signature(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()[:_SIGNATURE_BYTES]
