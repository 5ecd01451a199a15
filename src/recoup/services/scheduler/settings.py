"""Settings of the scheduler, each with its default. Read by the command line only."""

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `scheduler`."""

    tick_seconds: float = 0.5
    """How often it looks for jobs that are due."""
    discover_seconds: float = 30.0
    """How often the services are asked which jobs they offer."""
    lease_seconds: float = 15.0
    """A scheduler that was not heard of for so long is dead: another takes over its runs."""
    concurrency: int = 8
    """Runs that one scheduler has going on at once."""
    attempts: int = 6
    """How often a run is tried while its service does not answer, with pauses of 1, 2, 4, … seconds."""
    keep_days: int = 90
    """How long runs are remembered."""
