"""Settings of the intelligence service, each with its default. Read by the command line only."""

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `intelligence`."""

    batch_rows: int = 200_000
    """Most rows of all tables in one turn."""
    batch_bytes: int = 32_000_000
    """Stop reading and load once so many bytes of records have come; bounds the loader's memory."""
    gather_seconds: float = 1.5
    """How long a busy loader lets records pile up; larger inserts cost less an event."""
    idle_gather_seconds: float = 0.05
    """How long an idle one does."""
    busy_rows_per_second: float = 20_000.0
    """From this rate on it counts as busy."""
    query_threads: int = 2
    """Threads of one question to the warehouse."""
