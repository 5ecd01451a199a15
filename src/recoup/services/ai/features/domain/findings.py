"""What the features hand to others: an abandoned cart as it stood, and a cart as it stands now."""

from datetime import datetime

from msgspec import Struct

from recoup.messages.facts import Cart
from recoup.services.ai.features.domain.definitions import Features


class Abandoned(Struct, frozen=True, kw_only=True):
    """A cart that was abandoned: its snapshot and what was known of it at that moment."""

    event_id: str
    store_id: str
    occurred_at: datetime
    cart: Cart
    features: Features


class Looked(Struct, frozen=True, kw_only=True):
    """One cart's features as of a moment."""

    cart_id: str
    person_id: str
    computed_at: datetime
    features: Features
