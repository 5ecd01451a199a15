"""Draws the house from its `Service` records, so that the picture in ARCHITECTURE.md cannot lie. Runs nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from recoup.app import Settings, build, dependencies
from recoup.kit.config import new_secret
from recoup.kit.service import Service
from recoup.messages.changes import CHANGES_MADE, CONFIG_CHANGES
from recoup.messages.topics import RECORDS_PARKED
from recoup.processes import PROCESSES
from recoup.services.pipeline.stream.domain.steps import STEPS

BEGIN = "<!-- drawn by `recoup picture`; do not edit -->"
END = "<!-- end of what is drawn -->"


def services() -> dict[str, Service]:
    """Every process's service, built but not started: building opens nothing."""
    settings = Settings(
        internal_key=new_secret(),
        postgres_url="postgresql://nowhere/none",
        valkey_url="redis://127.0.0.1:1/0",
        warehouse_url="http://127.0.0.1:1/none",
    )
    return {name: build(name, settings, dependencies(name, settings)) for name in PROCESSES}


def writers(built: Mapping[str, Service]) -> dict[str, list[str]]:
    """Which processes write each topic."""
    return _by_topic({name: [topic.name for topic in service.emits] for name, service in built.items()})


def readers(built: Mapping[str, Service]) -> dict[str, list[str]]:
    """Which processes read each topic. Every process reads the changes of settings."""
    return _by_topic(
        {
            name: [
                *(consumer.topic.name for consumer in service.consumes),
                *(topic.name for topic in service.reads),
                CONFIG_CHANGES.name,
            ]
            for name, service in built.items()
        }
    )


def draw(built: Mapping[str, Service]) -> str:
    """A Mermaid flow chart of processes and topics, and the steps of the stream."""
    lines = ["```mermaid", "flowchart LR", "  shop([shop]) --> platform", "  platform --> pipeline"]
    lines += [f"  {name}[{name}]" for name in built]
    written, read = writers(built), readers(built)
    for topic in sorted({*written, *read} - {CONFIG_CHANGES.name, CHANGES_MADE.name, RECORDS_PARKED.name}):
        lines.append(f"  {topic}[({topic})]")
        lines += [f"  {name} --> {topic}" for name in written.get(topic, [])]
        lines += [f"  {topic} --> {name}" for name in read.get(topic, [])]
    lines += [
        "```",
        "",
        f"Every process also reads `{CONFIG_CHANGES.name}`, which the platform writes, and writes what",
    ]
    lines += [f"people and keys change to `{CHANGES_MADE.name}`, which the platform reads. What a reader"]
    lines += [f"cannot handle goes to `{RECORDS_PARKED.name}`, which the pipeline reads.", ""]
    lines += ["The stream's steps: " + " → ".join(f"`{step.__name__}`" for step in STEPS) + ".", ""]
    lines += ["| process | timers it offers to the scheduler |", "|---|---|"]
    lines += [
        f"| {name} | {', '.join(f'{job.name} (`{job.cron}`)' for job in service.jobs)} |"
        for name, service in built.items()
        if service.jobs
    ]
    return "\n".join(lines)


def redrawn(document: str) -> str:
    """The document with its picture drawn anew."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{draw(services())}\n\n{END}{after}"


def redraw(file: Path) -> None:
    """Draws the picture in `file` anew, in place."""
    file.write_text(redrawn(file.read_text()))


def _by_topic(topics: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for process, names in topics.items():
        for name in dict.fromkeys(names):
            found.setdefault(name, []).append(process)
    return found
