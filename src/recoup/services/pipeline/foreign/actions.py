"""Hands mapped events to the collector, in portions it takes; every refusal comes back with its place."""

from collections.abc import Sequence

import msgspec

from recoup.kit.errors import Problem
from recoup.messages.events import Event
from recoup.services.pipeline.collect.actions import Collector
from recoup.services.pipeline.collect.domain.origin import Origin
from recoup.services.pipeline.collect.domain.reading import Form
from recoup.services.pipeline.foreign.domain import body_of


async def collect(collector: Collector, store_id: str, parts: Sequence[Event | bytes], origin: Origin) -> list[Problem]:
    """Makes events durable; those refused are among the dead letters and not in the way of the others."""
    step = collector.settings.batch_events
    problems: list[Problem] = []
    for start in range(0, len(parts), step):
        outcome = await collector.accept(store_id, body_of(parts[start : start + step]), Form.ARRAY, origin)
        problems += [
            msgspec.structs.replace(refusal.problem, index=start + (refusal.problem.index or 0))
            for refusal in outcome.refusals
        ]
    return problems
