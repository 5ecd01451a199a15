"""The program on one screen: the seven services in the order the data takes, each with the processes it runs as.

Imports nothing of them, so that the supervisor, which only has to know their names, stays small.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the house: its service, the module that builds it, and the section of the settings it gets."""

    service: str
    builder: str
    section: str
    schema: str | None = None
    """Its schema in PostgreSQL, migrated before it starts."""
    needs_pandas: bool = False
    """chDB does; nobody else pays for it."""
    niceness: int = 0
    """How far it steps back for those that answer shops, where they share processors.

    Little, as it counts against everything else on the machine too: at 5 a process still gets a quarter of what a busy
    stranger gets, at 15 it would get a thirtieth and the warehouse would fall behind.
    """


PROCESSES = {
    "platform": Process("platform", "recoup.services.platform.wiring:build", "platform", "platform"),
    "pipeline": Process("pipeline", "recoup.services.pipeline.wiring:build_collector", "pipeline", "pipeline"),
    "processor": Process("pipeline", "recoup.services.pipeline.wiring:build_processor", "pipeline", niceness=1),
    "ai": Process("ai", "recoup.services.ai.wiring:build", "ai", "ai", niceness=4),
    "interventions": Process(
        "interventions", "recoup.services.interventions.wiring:build", "interventions", "interventions", niceness=4
    ),
    "intelligence": Process(
        "intelligence", "recoup.services.intelligence.wiring:build", "intelligence", needs_pandas=True, niceness=10
    ),
    "monitoring": Process(
        "monitoring", "recoup.services.monitoring.wiring:build", "monitoring", "monitoring", niceness=10
    ),
    "scheduler": Process("scheduler", "recoup.services.scheduler.wiring:build", "scheduler", "scheduler", niceness=10),
}
