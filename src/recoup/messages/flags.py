"""The flags that Recoup itself asks for, with what it goes by where a store has none of that name.

Every other flag is the store's own: served to whoever asks for it, by the API or an OpenFeature provider.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from recoup.messages.stores import Channel


class KnownFlag(Struct, frozen=True, kw_only=True):
    """A flag of truth values that Recoup asks for, and what it tells about the person."""

    key: str
    description: str
    default: bool
    targeting_key: str
    """What is hashed for shares."""
    attributes: dict[str, str]
    """What conditions can ask, by name."""


_CONTACT_ATTRIBUTES: Final = {
    "identified": "whether the shop has said who the person is (a user id)",
    "cart_value": "value of the cart, in minor units",
    "currency": "currency of the cart",
    "probability": "predicted probability of an order, 0 to 1",
    "model_version": "the model that predicted it",
}


def _contact(channel: str, name: str) -> KnownFlag:
    return KnownFlag(
        key=f"contact.{channel}",
        description=f"Whether a person may be contacted by {name}: asked when it is decided, and again before sending.",
        default=True,
        targeting_key="the person's id, the one under which they were first seen",
        attributes=_CONTACT_ATTRIBUTES,
    )


CONTACT: Final[Mapping[Channel, KnownFlag]] = {
    "websocket": _contact("websocket", "a message in the shop's open page"),
    "email": _contact("email", "e-mail"),
}
KNOWN: Final[Mapping[str, KnownFlag]] = {flag.key: flag for flag in CONTACT.values()}
