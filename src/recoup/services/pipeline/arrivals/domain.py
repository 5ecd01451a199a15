"""What is known of the last day."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct


class Lately(Struct, frozen=True, kw_only=True):
    """What reached us from a store."""

    day: Mapping[str, int]
    """By name: the running hour and the 23 before it."""
    last: Mapping[str, datetime]
    """By name: when it was last seen, however long ago."""
