"""Settings of the monitoring service, each with its default. Read by the command line only."""

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `monitoring`."""

    gather_seconds: float = 10.0
    """How often every service's metrics are gathered."""
    patience_seconds: float = 2.0
    """A service that has not answered by then counts as down."""
    keep_every_seconds: float = 60.0
    """How often what was gathered is written to the history."""
    keep_days: int = 7
    """How long that history is kept."""
    look_seconds: float = 2.0
    """How often the detector looks for store minutes that have ended."""
    late_seconds: float = 90.0
    """How long after its end a bucket of a store on our clock is judged: events come late."""
    history_days: int = 35
    """How long a store's buckets are kept: what the detector learns from."""
    cart_value_limit: int = 10_000
    """A cart worth more than this, in units of its currency, is a risk."""
    adds_a_minute_limit: int = 100
    """A visitor who adds more pieces than this within a minute is a risk."""
