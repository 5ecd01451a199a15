"""Deliveries on the real engines: signed, written down, acknowledged, worked on later, and never told twice."""

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from tests.services.pipeline.builders import SHOP, Pipeline, pipeline

from recoup.kit.config import Secret, new_secret
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.log import arrow
from recoup.kit.migrate import migrate
from recoup.kit.postgres import Postgres
from recoup.kit.sealing import Sealer
from recoup.kit.service import Service
from recoup.messages.access import Permission, Principal, service_principal
from recoup.messages.events import DEAD
from recoup.messages.topics import EVENTS_DEAD
from recoup.services.pipeline.settings import Settings
from recoup.services.pipeline.webhooks.actions import Postroom, SecretRing
from recoup.services.pipeline.webhooks.api import router
from recoup.services.pipeline.webhooks.domain.signing import Platform, signed
from recoup.services.pipeline.webhooks.jobs import Rounds
from recoup.services.pipeline.webhooks.store import Deliveries, PrivacyRequests, Secrets

RECORDED = (
    Path(os.environ.get("RECOUP_SHARED", "/nowhere")) / "data/webhooks/shopify/metadatas/2026-07/orders/create.json"
)
SECRET = "shpss_of_the_app"
ORDER: dict[str, Any] = {
    "id": 900, "cart_token": "t1", "currency": "USD", "total_price": "25.00", "created_at": "2026-06-01T11:55:00Z",
    "line_items": [{"product_id": 1, "quantity": 2, "price": "12.50"}], "email": "ada@example.com",
    "customer": {"id": 7},
}  # fmt: skip
CART: dict[str, Any] = {
    "token": "t1", "updated_at": "2026-06-01T11:40:00Z", "line_items": [{"product_id": 1, "price": "12.50"}],
}  # fmt: skip


@dataclass
class Post:
    """A shop's pipeline with a postroom before it; work is done when a test asks for it."""

    running: Pipeline
    postroom: Postroom
    requests: PrivacyRequests
    db: Postgres
    http: httpx.AsyncClient

    async def shopify(self, topic: str, body: Any, *, event: str = "", secret: str = SECRET, store: str = SHOP) -> int:
        """The status a delivery of Shopify's is answered."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {
            "X-Shopify-Topic": topic,
            "X-Shopify-Hmac-Sha256": signed(content, Secret(secret)).decode(),
            **({"X-Shopify-Event-Id": event} if event else {}),
        }
        return (await self.http.post(f"/webhooks/shopify/{store}", content=content, headers=headers)).status_code

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of an answer to the shop itself."""
        answer = await self.http.request(method, path, headers={"X-Recoup-Identity": "shop"}, **options)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def listed(self, status: str = "") -> list[dict[str, Any]]:
        found = await self.ask("GET", "/webhooks/deliveries", params={"status": status} if status else {})
        return found["items"]

    async def work(self) -> int:
        """Works on all that is due."""
        done = 0
        while worked := await self.postroom.work():
            done += worked
        return done


@asynccontextmanager
async def post(valkey_url: str, database: str, **settings: Any) -> AsyncGenerator[Post]:
    await migrate(database, ["pipeline"])
    db = Postgres(database, "pipeline")
    used = Settings(**settings)
    async with pipeline(valkey_url, settings=used) as running:
        ring = SecretRing(Secrets(db), Sealer(new_secret(), "test"), running.clock, again_seconds=0.0)
        postroom = Postroom(Deliveries(db), ring, running.collector, running.clock, used, Secret("salt"))
        requests = PrivacyRequests(db)
        owner = Principal(subject="ada", kind="person", stores={SHOP: list(Permission)})
        app: Any = create_app(
            Service(name="pipeline", routers=[router(postroom, requests)]),
            HttpSettings(),
            lambda token: service_principal("intelligence") if token == "service" else owner,
        )
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://pipeline") as http:
            made = Post(running, postroom, requests, db, http)
            await made.ask("PUT", "/webhooks/secrets/shopify", json={"secret": SECRET})
            try:
                yield made
            finally:
                await db.close()


async def test_a_delivery_is_acknowledged_once_it_is_written_down_and_worked_on_later(valkey_url, database) -> None:
    async with post(valkey_url, database) as office:
        assert await office.shopify("orders/create", ORDER) == 200
        assert [entry["status"] for entry in await office.listed()] == ["waiting"]
        assert (await office.running.stats.read(SHOP)).accepted == 0

        await office.work()

        (row,) = await office.running.enriched(1)
        assert (row["type"], row["order_id"], row["amount"], row["cart_id"]) == ("order_completed", "900", 2_500, "t1")
        assert [(entry["status"], entry["events"]) for entry in await office.listed()] == [("done", 1)]


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded payloads are not here")
async def test_an_order_of_two_mebibytes_is_taken_as_any_other_and_one_above_the_limit_is_refused(
    valkey_url, database
) -> None:
    order = json.loads(RECORDED.read_text())["response"]
    engraving = [{"name": f"line {line}", "value": "For Ada, " * 40} for line in range(10)]
    lines = [line for line in order["line_items"] if line["product_id"] is not None]
    order["line_items"] = [{**lines[n % len(lines)], "id": n, "properties": engraving} for n in range(480)]
    order |= {"cancelled_at": None, "created_at": CART["updated_at"], "cart_token": "t1"}
    body = json.dumps(order).encode()
    assert 2 * 2**20 < len(body) < 3 * 2**20

    async with post(valkey_url, database) as office:
        assert await office.shopify("orders/create", body) == 200
        assert await office.shopify("orders/create", body + b" " * 2**21) == 413
        secret = {"secret": "x" * 2**20}
        refused = await office.http.put("/webhooks/secrets/shopify", headers={"X-Recoup-Identity": "shop"}, json=secret)
        assert refused.status_code == 413
        await office.work()

        (row,) = await office.running.enriched(1)
        assert (row["type"], row["cart_id"], len(cast("list[object]", row["items"]))) == ("order_completed", "t1", 480)
        assert [(entry["status"], entry["events"]) for entry in await office.listed()] == [("done", 1)]


async def test_a_wrong_signature_is_refused_and_counted_and_nothing_is_kept(valkey_url, database) -> None:
    async with post(valkey_url, database) as office:
        assert await office.shopify("orders/create", ORDER, secret="another") == 401
        assert await office.shopify("orders/create", ORDER, store="no-such-shop") == 401
        unsigned = await office.http.post(f"/webhooks/woocommerce/{SHOP}", content=b"{}")

        assert (unsigned.status_code, await office.listed()) == (401, [])
        assert (await office.running.stats.read(SHOP)).refused == {"bad_signature": 1}


async def test_repeated_deliveries_are_answered_and_double_nothing(valkey_url, database) -> None:
    async with post(valkey_url, database) as office:
        for _ in range(3):
            assert await office.shopify("orders/create", ORDER, event="e-1") == 200
        await office.work()
        assert await office.shopify("orders/create", {**ORDER, "note": "sent again"}, event="e-1") == 200
        assert await office.shopify("orders/paid", ORDER, event="e-2") == 200
        await office.work()
        await office.shopify("carts/create", {**CART, "token": "t2"})
        await office.work()

        rows = await office.running.enriched(3)

        assert sorted(str(row["type"]) for row in rows) == ["cart_updated", "order_completed", "order_updated"]
        assert [entry["repeats"] for entry in await office.listed()] == [0, 0, 3]


async def test_what_was_worked_on_and_not_written_down_is_told_again_without_effect(valkey_url, database) -> None:
    async with post(valkey_url, database) as office:
        await office.shopify("orders/create", ORDER)
        await office.work()
        # As if the process had died between the collector's answer and its own note.
        await office.db.execute("update webhook_deliveries set status = 'waiting'")
        await office.db.execute("delete from webhook_memory")
        office.running.clock.advance(timedelta(minutes=2))
        await office.work()
        await office.shopify("carts/create", {**CART, "token": "t2"})
        await office.work()

        assert sorted(str(row["type"]) for row in await office.running.enriched(2)) == [
            "cart_updated", "order_completed"
        ]  # fmt: skip
        assert (await office.running.stats.read(SHOP)).duplicates == 1


async def test_deliveries_of_one_round_know_each_other(valkey_url, database) -> None:
    async with post(valkey_url, database) as office:
        await office.shopify("carts/create", CART)
        await office.shopify("carts/update", {**CART, "updated_at": "2026-06-01T11:41:00Z"})
        await office.shopify("orders/create", ORDER)
        await office.shopify("carts/update", {**CART, "updated_at": "2026-06-01T11:42:00Z", "note": "late"})

        await office.work()

        assert [entry["status"] for entry in await office.listed()] == ["ignored", "done", "ignored", "done"]


async def test_woocommerce_pings_without_a_signature_and_signs_what_it_means(valkey_url, database) -> None:
    async with post(valkey_url, database) as office:
        ping = await office.http.post(f"/webhooks/woocommerce/{SHOP}", data={"webhook_id": "7"})
        await office.ask("PUT", "/webhooks/secrets/woocommerce", json={"secret": "woo-secret"})
        content = json.dumps({"id": 1, "status": "processing", "total": "5.00", "created_via": "checkout"}).encode()
        headers = {"X-WC-Webhook-Topic": "order.created",
                   "X-WC-Webhook-Signature": signed(content, Secret("woo-secret")).decode()}  # fmt: skip
        order = await office.http.post(f"/webhooks/woocommerce/{SHOP}", content=content, headers=headers)
        await office.work()

        assert (ping.status_code, order.status_code) == (200, 200)
        assert [(entry["topic"], entry["status"]) for entry in await office.listed()] == [("order.created", "done")]


async def test_a_new_secret_takes_over_and_the_old_one_is_believed_for_a_while(valkey_url, database) -> None:
    async with post(valkey_url, database, webhook_secret_hours=1) as office:
        await office.ask("PUT", "/webhooks/secrets/shopify", json={"secret": "rotated-secret"})
        old = await office.shopify("orders/create", ORDER)
        new = await office.shopify("orders/paid", ORDER, secret="rotated-secret")
        office.running.clock.advance(timedelta(hours=1, seconds=1))
        office.postroom.ring.fresh_seconds = 0.0
        late = await office.shopify("orders/updated", ORDER)

        assert (old, new, late) == (200, 200, 401)


async def test_a_secret_is_never_shown_and_lies_sealed(valkey_url, database) -> None:
    async with post(valkey_url, database) as office:
        listed = await office.ask("GET", "/webhooks/secrets")
        sealed = await office.db.row(bytes, "select sealed from webhook_secrets")

        assert [entry["platform"] for entry in listed["items"]] == ["shopify"]
        assert SECRET not in json.dumps(listed)
        assert SECRET.encode() not in sealed
        assert SECRET not in repr(office.postroom.ring)
        await office.ask("DELETE", "/webhooks/secrets/shopify")
        assert await office.shopify("orders/create", ORDER) == 401


async def test_bytes_nobody_can_read_are_kept_and_are_a_dead_letter(valkey_url, database) -> None:
    async with post(valkey_url, database) as office:
        broken = b'{"id": 900,\n "total_price": '
        assert await office.shopify("orders/create", broken) == 200
        assert await office.shopify("carts/create", CART) == 200
        await office.work()

        (dead,) = await office.listed("dead")
        opened = await office.ask("GET", f"/webhooks/deliveries/{dead['id']}")
        assert (opened["body"].encode(), dead["topic"]) == (broken, "orders/create")
        assert "JSON" in dead["note"]
        assert [row["type"] for row in await office.running.enriched(1)] == ["cart_updated"]
        (letter,) = await letters(office)
        assert letter["body"] == broken.replace(b"\n", b" ").decode()
        await office.ask("POST", f"/webhooks/deliveries/{dead['id']}/retry")
        office.running.clock.advance(timedelta(minutes=1))
        assert await office.work() == 1


async def letters(office: Post) -> list[dict[str, object]]:
    """What stands on the topic of dead letters."""
    reader = office.running.log.reader("test-dead", "test", [EVENTS_DEAD.name])
    try:
        records = await reader.read(wait_seconds=5, limit=100)
        return arrow.joined([record.value for record in records], DEAD)[0].to_pylist()
    finally:
        await reader.close()


async def test_an_event_that_is_refused_is_seen_with_its_reason_and_the_others_go_on(valkey_url, database) -> None:
    async with post(valkey_url, database) as office:
        await office.shopify("orders/create", {**ORDER, "id": 1, "total_price": "9" * 17})
        await office.shopify("orders/create", {**ORDER, "id": 2})
        await office.work()

        (refused,) = await office.listed("refused")
        assert refused["note"].startswith("out_of_range amount")
        assert [row["order_id"] for row in await office.running.enriched(1)] == ["2"]
        assert (await office.running.stats.read(SHOP)).refused == {"out_of_range": 1}


async def test_while_the_log_pushes_back_deliveries_wait_and_nothing_dies(valkey_url, database) -> None:
    async with post(valkey_url, database, webhook_attempts=1) as office:
        office.running.collector._overloaded = True
        assert await office.shopify("orders/create", ORDER) == 200
        for _ in range(5):
            await office.work()
            office.running.clock.advance(timedelta(seconds=6))
        assert [(entry["status"], entry["attempts"]) for entry in await office.listed()] == [("waiting", 0)]

        office.running.collector._overloaded = False
        await office.work()

        assert [row["type"] for row in await office.running.enriched(1)] == ["order_completed"]


async def test_what_is_refused_as_a_whole_is_tried_later_and_later_and_then_left_to_a_person(
    valkey_url, database
) -> None:
    async with post(valkey_url, database, webhook_attempts=2) as office:
        await office.postroom.ring.set("gone-shop", Platform.SHOPIFY, Secret(SECRET), timedelta())
        assert await office.shopify("orders/create", ORDER, store="gone-shop") == 200
        await office.work()
        assert await office.work() == 0, "it is not due yet"
        office.running.clock.advance(timedelta(minutes=1))
        await office.work()

        found = await office.db.row(str, "select status || ': ' || note from webhook_deliveries")
        assert found.startswith("dead: ")
        assert "platform" in found


async def test_a_delivery_that_ends_whoever_works_on_it_is_given_up(valkey_url, database) -> None:
    async with post(valkey_url, database, webhook_attempts=2) as office:
        await office.shopify("orders/create", ORDER)
        for _ in range(2):
            # As a process does that is killed by what it reads: it claims, and never comes to a verdict.
            await office.postroom.deliveries.claim(office.running.clock.now(), timedelta(minutes=1), 10)
            office.running.clock.advance(timedelta(minutes=2))
        await office.work()

        assert [entry["status"] for entry in await office.listed()] == ["dead"]


async def test_a_privacy_request_is_handed_on_once_and_what_was_kept_goes(valkey_url, database) -> None:
    async with post(valkey_url, database) as office:
        await office.shopify("orders/create", ORDER)
        await office.work()
        assert await office.shopify("customers/redact", {"customer": {"id": 7}, "orders_to_redact": [900]}) == 200
        await office.work()

        (asked,) = await office.requests.open()
        assert (asked.store_id, asked.kind, asked.subject.user_id) == (SHOP, "customers/redact", "7")
        opened = [await office.ask("GET", f"/webhooks/deliveries/{entry['id']}") for entry in await office.listed()]
        assert [each["body"] for each in opened] == ["", ""]
        assert await office.db.rows(str, "select name from webhook_memory") == []
        path = f"/internal/privacy-requests/{asked.id}/taken"
        answer = await office.http.post(path, headers={"X-Recoup-Identity": "service"})
        assert (answer.status_code, await office.requests.open()) == (204, [])
        assert len((await office.ask("GET", "/webhooks/privacy-requests"))["items"]) == 1


async def test_what_is_old_is_forgotten(valkey_url, database) -> None:
    async with post(valkey_url, database, webhook_days=3) as office:
        await office.shopify("orders/create", ORDER)
        await office.work()
        office.running.clock.advance(timedelta(days=4))

        assert await Rounds(office.postroom).forget() == "forgot 1 webhook deliveries"
        assert await office.listed() == []
