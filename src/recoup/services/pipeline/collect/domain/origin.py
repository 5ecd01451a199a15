"""Who speaks when events come in, and so what they may change."""

from datetime import datetime
from typing import NamedTuple


class Origin(NamedTuple):
    """Where a body came from."""

    proven: bool
    """Whether the shop vouches for the user the events name; a publishable key is known to all who read its pages."""
    from_shop: bool = False
    """Whether the shop itself speaks, and may so change what is known of more than this user."""
    arrived: datetime | None = None
    """When the body first came, where that is not now."""


SHOP = Origin(proven=True, from_shop=True)
PAGE = Origin(proven=False)


def origin_of(kind: str) -> Origin:
    """From the kind of caller: a person of the shop's team and its servers speak for the shop, a page does not."""
    return PAGE if kind == "publishable_key" else SHOP
