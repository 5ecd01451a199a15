"""The workbench over HTTP: filters and pages, a dry run, replay, setting aside, and who may do it."""

from typing import Any

import httpx
import pytest
from tests.services.pipeline.builders import SHOP, event
from tests.services.pipeline.workbench import Bench, bench

from recoup.kit.http import HttpSettings, create_app
from recoup.kit.service import Service
from recoup.messages.access import PUBLISHABLE_KEY, SECRET_KEY, Permission, Principal
from recoup.services.pipeline.deadletters.api import router


def client(desk: Bench, permissions: frozenset[Permission] = SECRET_KEY) -> httpx.AsyncClient:
    caller = Principal(subject="ada", kind="secret_key", stores={SHOP: [*permissions]})
    service = Service(name="pipeline", routers=[router(desk.store, desk.workbench, desk.mender)])
    app: Any = create_app(service, HttpSettings(), lambda _: caller)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://pipeline", headers={"X-Recoup-Identity": "t"})


async def test_letters_are_listed_by_filter_and_page(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk, client(desk) as http:
        await desk.running.send(event(amount="x"), event(amount="y"), event(type="swiped"))
        await desk.arrive(3)

        by_field = (await http.get("/dlq", params={"field": "amount"})).json()
        first = (await http.get("/dlq", params={"limit": 2})).json()
        second = (await http.get("/dlq", params={"limit": 2, "cursor": first["next_cursor"]})).json()
        by_type = (await http.get("/dlq", params={"type": "swiped", "since": "2026-06-01T00:00:00"})).json()
        summary = (await http.get("/dlq/summary")).json()

        assert [len(page["items"]) for page in (by_field, first, second, by_type)] == [2, 2, 1, 1]
        assert {one["id"] for one in first["items"]}.isdisjoint(one["id"] for one in second["items"])
        assert {one["kind"]: one["letters"] for one in summary["counts"]} == {"schema_violation": 2, "unknown_type": 1}


@pytest.mark.parametrize("as_text", [True, False])
async def test_an_edited_event_is_tried_and_then_sent(as_text, valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk, client(desk) as http:
        broken = event(amount="19.99")
        await desk.running.send(broken)
        (letter,) = await desk.arrive(1)
        good = {**broken, "amount": 1999}
        body = httpx.Request("POST", "http://x", json=good).content.decode() if as_text else good

        tried = (await http.post(f"/dlq/{letter.id}/retry", json={"body": body, "dry_run": True})).json()
        sent = (await http.post(f"/dlq/{letter.id}/retry", json={"body": body})).json()
        again = (await http.post(f"/dlq/{letter.id}/retry", json={"body": body})).json()

        assert [(one["valid"], one["sent"], one["status"]) for one in (tried, sent, again)] == [
            (True, False, "open"), (True, True, "replayed"), (True, True, "replayed"),
        ]  # fmt: skip
        assert len(await desk.running.enriched(1)) == 1


async def test_a_letter_is_examined_set_aside_and_taken_up_again(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk, client(desk) as http:
        await desk.running.send(event(occurred_at=1_780_315_200))
        (letter,) = await desk.arrive(1)

        examined = (await http.post(f"/dlq/{letter.id}/examine")).json()
        aside = (await http.delete(f"/dlq/{letter.id}")).json()
        refused = await http.post(f"/dlq/{letter.id}/retry", json={})
        back = (await http.post(f"/dlq/{letter.id}/reopen", json={"note": "no"})).json()

        assert examined["proposals"][0]["changes"][0]["field"] == "occurred_at"
        assert (aside["status"], refused.status_code, back["status"]) == ("dismissed", 409, "open")
        assert [(entry["what"], entry["by"]) for entry in back["history"]] == [
            ("dismissed", "ada"), ("taken up again", "ada"),
        ]  # fmt: skip


async def test_many_are_replayed_by_filter(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk, client(desk) as http:
        await desk.running.send(event(occurred_at=1_780_315_200), event(type="swiped"))
        for letter in await desk.arrive(2):
            await desk.mender.examine(letter)

        dry = (await http.post("/dlq/replay", json={"dry_run": True})).json()
        done = (await http.post("/dlq/replay", json={"filter": {"status": "open"}})).json()

        assert (dry["would_be_sent"], done["sent"], done["refused"]) == (1, 1, {"unknown_type": 1})


async def test_the_key_in_a_page_may_neither_look_nor_act(valkey_url: str, database: str) -> None:
    async with bench(valkey_url, database) as desk, client(desk, PUBLISHABLE_KEY) as http:
        answers = [await http.get("/dlq"), await http.post("/dlq/replay", json={})]

        assert [answer.status_code for answer in answers] == [403, 403]
