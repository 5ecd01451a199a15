"""The service's doors: lists, links, unsubscribing, preferences, and the shopper's socket."""

import re
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from httpx import ASGITransport, AsyncClient
from tests.services.interventions.world import NOON, SEED, SHOP, World, identified, order, scored

from recoup.kit.http import HttpSettings, create_app
from recoup.kit.tokens import Signer, Verifier
from recoup.messages.access import PUBLISHABLE_KEY, SECRET_KEY, Permission, Principal
from recoup.services.interventions.settings import Settings
from recoup.services.interventions.tracking.domain import Link, signed
from recoup.services.interventions.wiring import build

FORGED = "AAAA" + "x" * 60


def caller(
    world: World, store_id: str = SHOP, permissions: frozenset[Permission] = SECRET_KEY | PUBLISHABLE_KEY
) -> dict[str, str]:
    who = Principal(subject="key", kind="secret_key", stores={store_id: sorted(permissions)})
    return {"X-Recoup-Identity": Signer(SEED, world.clock, timedelta(minutes=5)).sign(who)}


@pytest.fixture
async def client(world: World) -> AsyncGenerator[AsyncClient]:
    app = create_app(build(world.deps, Settings()), HttpSettings(), Verifier(SEED, Principal, world.clock).verify)
    async with AsyncClient(
        transport=ASGITransport(cast("Any", app)), base_url="http://recoup.test", headers=caller(world)
    ) as made:
        yield made


async def sent(world: World) -> str:
    """One delivered message; its id."""
    await world.happen(identified())
    await world.score(scored())
    await world.deliver()
    return (await world.told())[0].intervention_id


async def test_a_decision_can_be_looked_up_with_everything_that_followed(world: World, client: AsyncClient):
    identity = await sent(world)
    page = (await client.get("/interventions?limit=10")).json()
    assert [(each["id"], each["status"], len(each["rules"])) for each in page["items"]] == [(identity, "delivered", 8)]
    await world.happen(order(at=NOON + timedelta(hours=1)))
    story = (await client.get(f"/interventions/{identity}")).json()
    assert [each["order_id"] for each in story["conversions"]] == ["order-1"]
    assert story["delivery"]["status"] == "delivered"
    assert [each["kind"] for each in story["touches"]] == ["delivered"]
    assert (await client.get("/interventions?status=cancelled")).json()["items"] == []


async def test_lists_go_on_where_they_stopped(world: World, client: AsyncClient):
    await world.score(*(scored(f"cart-{number}", user_id=f"u{number}") for number in range(5)))
    first = (await client.get("/interventions?limit=3")).json()
    rest = (await client.get("/interventions", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert len({each["id"] for each in [*first["items"], *rest["items"]]}) == 5
    assert rest["next_cursor"] is None
    assert (await client.get("/interventions?cursor=nonsense")).status_code == 400


async def test_another_store_reads_nothing(world: World, client: AsyncClient):
    identity = await sent(world)
    foreign = caller(world, "shop-2")
    world.configure(world.deps.stores._known[SHOP][1], "shop-2")
    assert (await client.get(f"/interventions/{identity}", headers=foreign)).status_code == 404
    assert (await client.get("/outbox", headers=foreign)).json()["items"] == []
    assert (await client.get("/interventions", headers=foreign)).json()["items"] == []
    assert (await client.post(f"/track/{identity}", json={"kind": "seen"}, headers=foreign)).status_code == 404


async def test_a_click_leads_where_the_link_says_and_a_forged_one_nowhere(world: World, client: AsyncClient):
    await sent(world)
    (letter,) = (await client.get("/outbox")).json()["items"]
    path = urlsplit(letter["links"][0]).path.removeprefix("/api")
    answer = await client.get(path, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/cart?cart=cart-1")
    forged = await client.get(f"/track/click/{FORGED}", follow_redirects=False)
    assert (forged.status_code, forged.headers["content-type"]) == (404, "application/problem+json")
    opened = world.parts.tracking.opened(path.rpartition("/")[2])
    assert opened is not None
    stolen = signed(
        b"another key",
        Link(
            "clicked",
            SHOP,
            opened.intervention_id,
            "https://evil.example",
        ),
    )
    assert (await client.get(f"/track/click/{stolen}", follow_redirects=False)).status_code == 404

    world.clock.advance(timedelta(seconds=5))
    assert await world.parts.settler.settle() == 1
    clicked = (await world.told())[-1]
    assert (clicked.kind, clicked.machine) == ("clicked", False)


async def test_an_open_is_noted_once_a_second_and_machines_are_marked(world: World, client: AsyncClient):
    await sent(world)
    (letter,) = (await client.get("/outbox")).json()["items"]
    (pixel,) = re.findall(r'src="[^"]*/api(/track/open/[^"]+\.gif)"', letter["html"])
    answer = await client.get(pixel)
    assert (answer.headers["content-type"], answer.content[:3]) == ("image/gif", b"GIF")
    await client.get(pixel)
    for link in letter["links"][:2]:
        await client.get(urlsplit(link).path.removeprefix("/api"), follow_redirects=False)
    world.clock.advance(timedelta(seconds=5))
    await world.parts.settler.settle()
    marked = [(event.kind, event.machine) for event in await world.told() if event.kind in {"opened", "clicked"}]
    assert sorted(marked) == [("clicked", True), ("clicked", True), ("opened", True)]


async def test_only_the_post_unsubscribes_and_then_for_good(world: World, client: AsyncClient):
    await sent(world)
    (letter,) = (await client.get("/outbox")).json()["items"]
    assert letter["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    path = urlsplit(letter["headers"]["List-Unsubscribe"].strip("<>")).path.removeprefix("/api")
    page = await client.get(path)
    assert "ann@example.com" in page.text
    await world.score(scored("later", at=NOON + timedelta(hours=2)))
    assert next(a for a in (await world.told())[-1].rules if a.rule == "permission").passed
    one_click = await client.post(
        path, content="List-Unsubscribe=One-Click", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert one_click.status_code == 200
    assert (await client.post(path)).status_code == 200
    await world.score(scored("much-later", at=NOON + timedelta(days=2)))
    last = next(event for event in await world.told() if event.cart_id == "much-later")
    assert not next(answer for answer in last.rules if answer.rule == "permission").passed
    world.clock.advance(timedelta(seconds=5))
    await world.parts.settler.settle()
    assert (await world.kinds()).count("unsubscribed") == 1
    assert (await client.post(f"/unsubscribe/{FORGED}")).status_code == 404


async def test_preferences_are_kept_and_asked(world: World, client: AsyncClient):
    assert (await client.get("/preferences/ann")).json()["opted_out"] is False
    kept = await client.put(
        "/preferences/ann", json={"channels": ["websocket"], "quiet_from": "20:00", "quiet_until": "09:00"}
    )
    assert kept.status_code == 200
    assert (await client.get("/preferences/ann")).json()["channels"] == ["websocket"]
    await world.happen(identified())
    await world.score(scored())
    assert [answer.rule for answer in (await world.told())[0].rules if not answer.passed] == ["reachable"]
    assert (await client.put("/preferences/ann", json={"quiet_from": "25:00"})).status_code == 400
    assert (await client.get("/preferences/a%00b")).status_code == 400


async def test_a_message_can_be_called_off_before_it_leaves_and_not_after(world: World, client: AsyncClient):
    await world.happen(identified())
    await world.score(scored())
    identity = (await world.told())[0].intervention_id
    assert (await client.delete(f"/interventions/{identity}")).status_code == 204
    assert await world.deliver() == 0
    assert await world.kinds() == ["decided", "cancelled"]
    assert (await client.delete(f"/interventions/{identity}")).status_code == 409


async def test_progress_says_what_waits(world: World, client: AsyncClient):
    await sent(world)
    assert (await client.get("/interventions/progress")).json() == {
        "clock": round(NOON.timestamp() * 1000), "outstanding": 0, "pending": 0,
    }  # fmt: skip


async def test_a_route_without_an_identity_is_closed(world: World, client: AsyncClient):
    publishable = caller(world, permissions=PUBLISHABLE_KEY)
    for path in ("/interventions", "/outbox", "/preferences/ann", "/interventions/progress"):
        assert (await client.get(path, headers=publishable)).status_code == 403
