"""What a channel is given and what it answers, and the shape of a frame on the socket. Opens nothing."""

from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr
from typing import Literal, Protocol
from uuid import UUID

import msgspec
from msgspec import Struct

from recoup.messages.facts import Action, Cart
from recoup.services.interventions.templates.domain import Mail, Notice


class Parcel(Struct, frozen=True, kw_only=True):
    """A message for somebody, with the words for every channel it may take."""

    intervention_id: UUID
    store_id: str
    person_id: str
    seats: Sequence[str]
    """The pages it may be shown on."""
    address: str
    """The mailbox; empty where there is none."""
    sender: str
    shop: str
    cart: Cart
    action: Action
    percent: int
    coupon: str | None
    mail: Mail | None
    notice: Notice | None
    links: dict[str, str]
    store_time: datetime
    sent_at: datetime
    expires_at: datetime


class Receipt(Struct, frozen=True):
    """What became of a parcel: `offered` waits for the page's acknowledgement, `failed` may be tried again."""

    status: Literal["delivered", "offered", "failed", "refused"]
    detail: str = ""


class Channel(Protocol):
    """One way to shoppers. A parcel's intervention id is its idempotency key."""

    async def send(self, parcels: Sequence[Parcel]) -> Sequence[Receipt]:
        """A receipt for each, in order; one that fails says so and harms no other."""
        ...


class Payload(Struct, frozen=True, kw_only=True):
    """What the shop's page shows."""

    intervention_id: str
    cart_id: str
    action: Action
    title: str
    body: str
    button: str
    url: str
    discount_percent: int
    coupon: str | None
    cart: Cart
    expires_at: datetime


class Frame(Struct, frozen=True, kw_only=True):
    """One message on a socket."""

    type: Literal["intervention", "heartbeat", "tracking", "config"]
    payload: Payload | dict[str, str] = {}
    timestamp: datetime
    message_id: str


def frame(parcel: Parcel) -> str:
    """The intervention as the page gets it; the same bytes each time it is offered."""
    notice = parcel.notice or Notice(title="", body="", button="")
    payload = Payload(
        intervention_id=str(parcel.intervention_id),
        cart_id=parcel.cart.cart_id,
        action=parcel.action,
        title=notice.title,
        body=notice.body,
        button=notice.button,
        url=parcel.links["restore"],
        discount_percent=parcel.percent,
        coupon=parcel.coupon,
        cart=parcel.cart,
        expires_at=parcel.expires_at,
    )
    whole = Frame(
        type="intervention", payload=payload, timestamp=parcel.store_time, message_id=str(parcel.intervention_id)
    )
    return msgspec.json.encode(whole).decode()


def heartbeat(at: datetime) -> str:
    """Shows both ends that the socket lives."""
    return msgspec.json.encode(Frame(type="heartbeat", timestamp=at, message_id="")).decode()


def headers(parcel: Parcel) -> dict[str, str]:
    """What makes a mail recognisable, answerable and easy to be rid of. A retry carries the same Message-ID."""
    domain = parcel.sender.rpartition("@")[2] or "localhost"
    return {
        "Message-ID": f"<{parcel.intervention_id}@{domain}>",
        "List-Unsubscribe": f"<{parcel.links['unsubscribe']}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Auto-Submitted": "auto-generated",
        "X-Recoup-Intervention": str(parcel.intervention_id),
    }


def mail_of(parcel: Parcel, mail: Mail) -> EmailMessage:
    """The e-mail as it leaves: plain text and HTML."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = mail.subject
    message["From"] = formataddr((parcel.shop, parcel.sender))
    message["To"] = parcel.address
    message["Date"] = parcel.sent_at
    for name, value in headers(parcel).items():
        message[name] = value
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message
