"""Settings of the interventions service, each with its default. Read by the command line only."""

from msgspec import Struct

from recoup.kit.config import Secret


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `interventions`."""

    smtp_url: Secret = Secret("")
    """smtp://user:password@host:port or smtps://…; empty lays e-mails into the local outbox."""
    connections: int = 6
    """Connections to PostgreSQL at most."""
    gather_seconds: float = 0.1
    """How long events pile up before a batch of them is looked at."""
    patience_seconds: float = 10.0
    """How long a decision waits, if need be, for the events behind its prediction to be read here too: without them an
    address just given is not known. Where they stay away longer it is taken with what is known, and the log says so."""
