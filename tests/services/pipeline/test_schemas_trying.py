"""An event is tried on the schemas of its type, and on migrations that are not set yet; nothing is kept of it."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.services.pipeline.builders import SHOP
from tests.services.pipeline.registry import Registry

from recoup.kit.http import HttpSettings, create_app
from recoup.kit.peers import Peers, TokenSource
from recoup.kit.service import Service
from recoup.messages.access import Permission, Principal
from recoup.messages.schemas import Convert, OnViolation
from recoup.messages.stores import StoreDirectory
from recoup.services.pipeline.schemas.actions import Catalogs
from recoup.services.pipeline.schemas.api import router

SHELF_1 = {"properties": {"shelf": {"type": "string"}}, "required": ["shelf"]}
SHELF_2 = {"properties": {"shelf": {"type": "integer", "maximum": 9}}, "required": ["shelf"]}
STEPS = [{"op": "rename", "path": "rack", "to": "shelf"}, {"op": "convert", "path": "shelf", "to": "integer"}]
NAME = "shelf_dusted"


async def tried(registry: Registry, body: dict[str, Any], name: str = NAME) -> tuple[int, dict[str, Any]]:
    """The answer of the door, with its status."""
    stores = StoreDirectory(Peers({}, TokenSource(str, 60)), lifetime=timedelta(days=1))
    await registry.announce(stores, SHOP)
    catalogs = Catalogs(registry, stores, 20, 0)
    app: Any = create_app(
        Service(name="pipeline", routers=[router(catalogs)]),
        HttpSettings(),
        lambda store: Principal(subject="ada", kind="person", stores={store: [Permission.SCHEMAS_READ]}),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pipeline") as http:
        answer = await http.post(f"/events/schemas/{name}/try", headers={"X-Recoup-Identity": SHOP}, json=body)
    await catalogs.close()
    return answer.status_code, answer.json()


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.register(NAME, SHELF_1)
    made.register(NAME, SHELF_2)
    return made


async def test_a_migration_is_seen_before_it_is_set(registry: Registry) -> None:
    event = {"properties": {"rack": "7"}}
    _, without = await tried(registry, {"event": event})
    assert (without["outcome"], without["violations"][0]["kind"]) == ("dead_letter", "required_missing")
    assert without["properties"] is None

    _, found = await tried(registry, {"event": event, "steps": STEPS, "on_violation": "migrate"})
    assert found == {
        "outcome": "taken", "version": 2, "against": 0, "violations": [], "raised_to": 2, "properties": {"shelf": 7},
    }  # fmt: skip


async def test_what_the_steps_make_is_held_against_the_newer_schema(registry: Registry) -> None:
    body = {"event": {"properties": {"rack": "12"}}, "steps": STEPS, "on_violation": "migrate"}
    _, found = await tried(registry, body)
    assert (found["outcome"], found["against"], found["properties"]) == ("dead_letter", 2, {"shelf": 12})
    assert [(one["kind"], one["field"]) for one in found["violations"]] == [("range", "properties.shelf")]


async def test_steps_to_a_version_that_is_not_there_yet_are_shown_all_the_same(registry: Registry) -> None:
    event = {"schema_version": 2, "properties": {"shelf": 3}}
    _, found = await tried(registry, {"event": event, "steps": [{"op": "drop", "path": "shelf"}]})
    assert (found["outcome"], found["version"], found["raised_to"]) == ("taken", 2, 3)
    assert found["properties"] == {}


async def test_what_is_set_decides_where_nothing_else_is_tried(registry: Registry) -> None:
    registry.rule(NAME, OnViolation.WARN)
    registry.migrate(NAME, 1, Convert("shelf", "integer"))
    _, found = await tried(registry, {"event": {"properties": {"shelf": "12"}}})
    assert (found["outcome"], found["version"]) == ("warned", 1)


@pytest.mark.parametrize(
    ("event", "field"),
    [({"schema_version": "1"}, "event.schema_version"), ({"schema_version": 0}, "event.schema_version"),
     ({"properties": [1]}, "event.properties")],
)  # fmt: skip
async def test_what_no_event_could_be_is_refused(registry: Registry, event: dict[str, object], field: str) -> None:
    status, answer = await tried(registry, {"event": event})
    assert (status, answer["problems"][0]["field"]) == (400, field)


async def test_a_type_of_which_nothing_is_registered_is_missing(registry: Registry) -> None:
    status, answer = await tried(registry, {"event": {}}, "shelf_painted")
    assert (status, answer["code"]) == (404, "schema_missing")
