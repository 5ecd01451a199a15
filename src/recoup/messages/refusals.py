"""What the gateway tells the collector of requests that it turned away at the door."""

from msgspec import Struct


class RefusedBefore(Struct, frozen=True, kw_only=True):
    """A request with events was refused before it reached the collector."""

    store_id: str
    code: str
    """As in the problem document that the client got."""
