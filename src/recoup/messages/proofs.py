"""How a shop proves who a shopper is: asked by whoever lets pages in, answered by whoever keeps the shop's keys."""

from msgspec import Struct


class ProofAsked(Struct, frozen=True, kw_only=True):
    """Whether this hash was made for this user by this store."""

    store_id: str
    user_id: str
    user_hash: str


class ProofAnswer(Struct, frozen=True, kw_only=True):
    """Yes or no, and nothing that would help to guess."""

    proven: bool
