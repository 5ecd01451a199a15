"""Monitoring over HTTP: how services are, and one store's anomalies and nobody else's."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from granian.constants import Interfaces
from granian.server.embed import Server

from recoup.kit.children import State, Status
from recoup.kit.errors import Unavailable
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.ports import free_port
from recoup.kit.service import Check, Service
from recoup.messages.access import Permission, Principal

OTHER = Principal(
    subject="eve", kind="person", stores={"rival": [Permission.MONITORING_READ, Permission.MONITORING_WRITE]}
)


async def fine() -> None: ...


async def broken() -> None:
    raise Unavailable("the warehouse is on fire")


@asynccontextmanager
async def serving(name: str, check: Check) -> AsyncGenerator[str]:
    app = create_app(Service(name=name, checks=[check]), HttpSettings(), lambda _: OTHER)
    port = free_port()
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False)
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        await asyncio.wait([running], timeout=10)


@pytest.fixture
async def client(world):
    async with world.client() as client:
        yield client


def supervised(world, name: str, state: State, restarts: int = 0) -> Status:
    return Status(name=name, state=state, since=world.clock.now(), pid=1, restarts=restarts, detail="why")


async def test_status_combines_what_services_answer_with_what_their_supervisor_says(world, client) -> None:
    async with serving("good", Check("postgres", fine)) as good, serving("ill", Check("warehouse", broken)) as ill:
        dead = f"http://127.0.0.1:{free_port()}"
        world.deps.peers.addresses = {"good": good, "ill": ill, "dead": dead, "crashed": dead}
        statuses = [
            supervised(world, "postgres", State.READY),
            supervised(world, "good", State.READY),
            supervised(world, "ill", State.READY),
            supervised(world, "dead", State.READY),
            supervised(world, "crashed", State.BACKOFF, restarts=3),
        ]
        (Path(world.deps.data) / "status.json").write_bytes(msgspec.json.encode(statuses))

        seen = {status["service"]: status for status in (await client.get("/services/status")).json()}
        await world.deps.peers.close()
    assert {name: status["status"] for name, status in seen.items()} == {
        "good": "ready", "ill": "degraded", "dead": "down", "crashed": "restarting", "postgres": "ready",
    }  # fmt: skip
    assert seen["good"]["latency_ms"] > 0
    assert seen["ill"]["checks"] == {"warehouse": "the warehouse is on fire"}
    assert seen["crashed"]["restarts"] == 3


async def test_status_without_a_supervisor_leaves_its_fields_empty(world, client) -> None:
    world.deps.peers.addresses = {"far": f"http://127.0.0.1:{free_port()}"}
    (far,) = (await client.get("/services/status")).json()
    assert (far["status"], far["pid"], far["restarts"], far["since"]) == ("down", None, None, None)


async def test_infrastructure_says_what_machine_and_database_bear(world, client) -> None:
    seen = (await client.get("/infrastructure")).json()
    assert seen["machine"]["memory_total_bytes"] > seen["machine"]["memory_usage_bytes"] > 0
    assert seen["database_connections"]["recoup-monitoring"] >= 1

    exported = (await client.get("/metrics")).text
    for name in ("cpu_usage_percent", "memory_usage_bytes", "disk_usage_percent", "network_io_bytes"):
        assert f"\n{name}" in exported


async def test_gathered_metrics_are_kept_by_service_and_name(world, client) -> None:
    (worker,) = [worker for worker in world.service.workers if worker.name == "gather metrics"]
    timers = worker.run.__self__
    async with serving("good", Check("postgres", fine)) as good:
        world.deps.peers.addresses = {"good": good, "dead": f"http://127.0.0.1:{free_port()}"}
        await timers.gatherer.gather()
        await timers.gatherer.keep()
        await world.deps.peers.close()
    world.clock.advance(timedelta(minutes=1))

    series = await client.get("/metrics/history", params={"service": "good", "metric": "process_resident_memory_bytes"})
    (point,) = series.json()["points"]
    assert point["value"] > 1_000_000
    assert "dead" not in (await client.get("/metrics/latest")).json()


async def test_a_reported_anomaly_is_listed_handled_and_nobody_else_s(world, client) -> None:
    report = {"subject": "checkout", "detail": "the button is gone"}
    first = await client.post("/anomalies/report", json=report, headers={"Idempotency-Key": "k1"})
    again = await client.post("/anomalies/report", json=report, headers={"Idempotency-Key": "k1"})
    assert first.status_code == 201
    assert first.json()["id"] == again.json()["id"]
    path = f"/anomalies/{first.json()['id']}"

    handled = await client.put(path, json={"status": "handled", "note": "it is back"})
    assert (handled.json()["status"], handled.json()["handled_by"]) == ("handled", "ada")
    assert [row["status"] for row in (await client.get("/anomalies")).json()["items"]] == ["handled"]
    assert (await client.get("/anomalies", params={"status": "open"})).json()["items"] == []

    eve = world.token(OTHER)
    assert (await client.get("/anomalies", headers=eve)).json()["items"] == []
    assert (await client.get(path, headers=eve)).status_code == 404
    assert (await client.put(path, json={"status": "ignored"}, headers=eve)).status_code == 404
    assert (await client.get("/anomalies", params={"store_id": "shop"}, headers=eve)).status_code == 403


async def test_anomalies_come_page_by_page(client) -> None:
    for number in range(5):
        await client.post("/anomalies/report", json={"subject": f"s{number}", "detail": "x"})
    first = (await client.get("/anomalies", params={"limit": 3})).json()
    rest = (await client.get("/anomalies", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert len({row["id"] for row in (*first["items"], *rest["items"])}) == 5
    assert rest["next_cursor"] is None
    refused = await client.get("/anomalies", params={"cursor": "nonsense"})
    assert (refused.status_code, refused.json()["code"]) == (400, "cursor_invalid")
