"""The way of a batch, step by step. Each is timed and counted under its own name by the processor."""

from collections.abc import Callable
from typing import Final

from recoup.services.pipeline.stream.domain.checking import deduplicate, validate
from recoup.services.pipeline.stream.domain.enriching import enrich
from recoup.services.pipeline.stream.domain.identities import link_visitors
from recoup.services.pipeline.stream.domain.risks import mark_risks
from recoup.services.pipeline.stream.domain.routing import route
from recoup.services.pipeline.stream.domain.tracking import track_carts
from recoup.services.pipeline.stream.domain.visits import follow_sessions
from recoup.services.pipeline.stream.domain.work import Known, Work

Step = Callable[[Work, Known], None]

STEPS: Final[tuple[Step, ...]] = (
    deduplicate, validate, enrich, follow_sessions, link_visitors, track_carts, mark_risks, route,
)  # fmt: skip
