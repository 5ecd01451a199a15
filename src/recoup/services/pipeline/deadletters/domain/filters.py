"""Which letters a question is about: one shape for the list, for replaying many, and for the counts."""

from datetime import datetime

from msgspec import Struct

from recoup.services.pipeline.deadletters.domain.letters import Kind, Status


class Filter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is given must hold; nothing given means every letter."""

    kind: Kind | None = None
    stage: str | None = None
    field: str | None = None
    code: str | None = None
    type: str | None = None
    status: Status | None = None
    since: datetime | None = None
    until: datetime | None = None
