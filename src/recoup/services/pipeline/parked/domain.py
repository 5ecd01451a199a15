"""A parked record, and what may become of it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct


class Status(StrEnum):
    """Where a record is."""

    OPEN = "open"
    PUT_BACK = "put_back"
    """On its topic again. Where it is parked once more, that is another record."""
    DISMISSED = "dismissed"


class Kept(Struct, frozen=True, kw_only=True):
    """A parked record as it is kept."""

    id: UUID
    reader: str
    """The group that could not handle it."""
    topic: str
    partition: int
    position: int
    """Its offset."""
    reason: str
    body: bytes
    headers: dict[str, str]
    stores: list[str]
    """Whose rows are in it; empty where that cannot be told."""
    status: Status = Status.OPEN
    parked_at: datetime
    settled_at: datetime | None = None
    settled_by: str | None = None

    @property
    def error(self) -> str:
        """The kind of error, which quotes nothing of the record."""
        return self.reason.partition(":")[0]
