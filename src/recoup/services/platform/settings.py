"""Settings of the platform service, each with its default. Read by the command line only."""

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `platform`."""
