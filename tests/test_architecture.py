"""The picture is true, and nothing is written that nobody reads."""

from pathlib import Path

from recoup import permissions
from recoup.kit.service import ArrowTopic
from recoup.messages import topics
from recoup.picture import readers, redrawn, services, writers
from recoup.processes import PROCESSES
from recoup.services.pipeline.overflow.domain import OVERFLOW_GROUP

ROOT = Path(__file__).parent.parent


def test_the_picture_in_the_architecture_is_the_house_as_it_is() -> None:
    document = (ROOT / "ARCHITECTURE.md").read_text()

    assert redrawn(document) == document, "draw it anew: recoup picture ARCHITECTURE.md"


def test_the_page_of_permissions_is_the_table_as_it_is() -> None:
    page = ROOT / "docs/guides/permissions.md"

    assert permissions.page() == page.read_text(), "draw it anew: recoup permissions docs/guides/permissions.md"


def test_every_topic_has_a_writer_and_a_reader() -> None:
    built = services()

    assert set(writers(built)) == set(readers(built))


def test_every_declared_topic_is_used() -> None:
    declared = {value.name for value in vars(topics).values() if isinstance(value, topics.Topic | ArrowTopic)}

    assert declared == set(writers(services()))


def test_the_readers_that_are_shown_are_those_there_are() -> None:
    built = services()
    groups = {"processor": "pipeline"}
    read = {topic: {groups.get(name, name) for name in names} for topic, names in readers(built).items()}
    read[topics.EVENTS_OVERFLOW.name] = {OVERFLOW_GROUP}
    own = {(c.topic.name, name): c.group for name, service in built.items() for c in service.consumes if c.group}
    for (topic, name), group in own.items():
        read[topic] = read[topic] - {name} | {group}

    assert {topic: set(names) for topic, names in topics.READERS.items()} == {
        topic: names for topic, names in read.items() if topic != topics.CONFIG_CHANGES.name
    }


def test_every_process_has_a_service_of_its_name() -> None:
    built = services()

    assert {service.name for service in built.values()} == set(PROCESSES)
