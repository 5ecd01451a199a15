"""Routing from a rule to a receiver, on real engines and real sockets: what arrives, again and again until it does."""

import asyncio
import base64
import hashlib
import json
import subprocess
import sys
from datetime import timedelta
from uuid import UUID

import pytest
from tests.services.pipeline.builders import NOON, SHOP
from tests.services.pipeline.receiver import Call, receiver
from tests.services.pipeline.routing_desk import ROUTING_GROUP, Office, office, row

from recoup.kit.config import Secret, new_secret
from recoup.kit.runner import Runner
from recoup.kit.service import Consumer
from recoup.messages.topics import EVENTS_ENRICHED
from recoup.services.pipeline.routing.domain.payload import signature

ABANDONED = {"field": "type", "operator": "equals", "value": "cart_abandoned"}
DAY = timedelta(days=1)


def by_hand(secret: str, call: Call) -> str:
    """HMAC-SHA256 over id.timestamp.body from its definition (RFC 2104), without the code that signs."""
    key = base64.b64decode(secret.removeprefix("whsec_")).ljust(64, b"\0")
    said = b".".join([call.headers["webhook-id"].encode(), call.headers["webhook-timestamp"].encode(), call.body])
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + said).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()
    return "v1," + base64.b64encode(outer).decode()


def test_the_published_example_of_standard_webhooks_is_signed_as_published() -> None:
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_rule_copies_what_it_means_to_a_signed_webhook(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop, receiver() as there:
        made = await shop.destination("hook", url=there.url("/ok"))
        await shop.rule(made["destination"]["id"], when=ABANDONED, name="abandoned")
        await shop.enriched(row(), row(type="cart_abandoned", cart_id="c", properties='{"plan": "gold"}'))
        await shop.route()
        await shop.send()

        (call,) = there.calls
        assert call.headers["webhook-signature"] == by_hand(made["secret"], call)
        assert call.headers["webhook-timestamp"] == str(int(NOON.timestamp()))
        body = json.loads(call.body)
        assert body["type"] == "events.routed"
        (event,) = body["data"]["events"]
        assert event["type"] == "cart_abandoned"
        assert event["cart_id"] == "c"
        assert event["properties"] == {"plan": "gold"}
        assert event["routed_by"] == ["abandoned"]
        assert UUID(event["event_id"])
        assert event["occurred_at"] == "2026-06-01T12:01:00Z"
        assert "user_id" not in event
        (entry,) = await shop.listed()
        assert (entry["status"], entry["events"], entry["id"]) == ("delivered", 1, call.headers["webhook-id"])


async def test_a_webhook_that_takes_single_events_gets_one_a_call(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop, receiver() as there:
        await shop.webhook(there.url("/ok"), form="single")
        rows = [row() for _ in range(3)]
        await shop.enriched(*rows)
        await shop.route()
        await shop.send()

        got = [json.loads(call.body) for call in there.calls]
        assert {one["type"] for one in got} == {"page_viewed"}
        assert {UUID(one["data"]["event_id"]).bytes for one in got} == {one["event_id"] for one in rows}


async def test_reading_the_same_events_again_queues_nothing_twice(valkey_url, database) -> None:
    async with office(valkey_url, database, routing_batch_events=2) as shop, receiver() as there:
        await shop.webhook(there.url("/ok"))
        await shop.enriched(*(row() for _ in range(3)))
        await shop.enriched(*(row() for _ in range(2)), partition=1)
        await shop.route()
        await shop.send()
        await shop.route()
        await shop.send()

        assert sorted(len(json.loads(call.body)["data"]["events"]) for call in there.calls) == [1, 2, 2]


async def test_a_changed_rule_is_in_force_when_the_book_is_next_opened(valkey_url, database) -> None:
    async with office(valkey_url, database, routing_refresh_seconds=0) as shop, receiver() as there:
        made = await shop.destination("hook", url=there.url("/ok"))
        rule = await shop.rule(made["destination"]["id"], when=ABANDONED)
        await shop.enriched(row())
        await shop.route()
        changed = {"name": "all", "to": [made["destination"]["id"]]}
        after = await shop.ask("PUT", f"/rules/{rule['id']}", json=changed)
        assert after["since"] == rule["since"]
        await shop.route()
        assert len(await shop.listed()) == 1

        await shop.ask("POST", "/versions/1/restore")
        found = await shop.ask("GET", "/rules")
        assert (found["version"], found["items"]) == (3, [rule])
        versions = await shop.ask("GET", "/versions", params={"limit": 2})
        assert [one["version"] for one in versions["items"]] == [3, 2]
        assert versions["items"][0]["changed_by"] == "ada"


async def test_a_slow_receiver_holds_up_nobody_else(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop, receiver() as there:
        await shop.webhook(there.url("/slow"), name="slow", form="single", concurrency=3)
        await shop.webhook(there.url("/ok"), name="quick", form="single")
        await shop.enriched(*(row() for _ in range(20)))
        await shop.route()

        sending = asyncio.create_task(shop.send())
        await there.wait_for("/ok", 20)
        assert len(there.to("/slow")) == 3
        assert not sending.done()

        await shop.enriched(row(), partition=2)
        await shop.route()
        await shop.sender.start_lanes()
        await there.wait_for("/ok", 21)
        assert len(there.to("/slow")) == 3
        there.released.set()
        await sending
        assert len(there.to("/slow")) == 21


async def test_a_receiver_that_fails_is_tried_later_and_the_id_stays(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop, receiver() as there:
        id_, _ = await shop.webhook(there.url("/flaky"))
        there.answers["/flaky"] = 500
        await shop.enriched(row())
        await shop.route()
        await shop.send()
        await shop.send()
        assert len(there.calls) == 1
        (entry,) = await shop.listed()
        assert (entry["status"], entry["attempts"], entry["note"]) == ("waiting", 1, "answered 500")
        assert (await shop.state(id_))["failures"] == 1

        there.answers["/flaky"] = 200
        shop.clock.advance(timedelta(seconds=10))
        await shop.send()
        first, second = there.calls
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert first.body == second.body
        assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 10
        assert (await shop.state(id_))["failures"] == 0


async def test_while_a_receiver_is_down_one_call_at_a_time_finds_out_whether_it_is_back(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop, receiver() as there:
        await shop.webhook(there.url("/flaky"), form="single", concurrency=4)
        there.answers["/flaky"] = 503
        await shop.enriched(*(row() for _ in range(30)))
        await shop.route()
        await shop.send()
        assert len(there.calls) == 4
        shop.clock.advance(timedelta(minutes=5))
        await shop.send()
        assert len(there.calls) == 5
        there.answers["/flaky"] = 200
        shop.clock.advance(timedelta(minutes=5))
        await shop.send()
        assert {entry["status"] for entry in await shop.listed()} == {"delivered"}
        assert len({call.headers["webhook-id"] for call in there.calls}) == 30


@pytest.mark.parametrize(
    ("path", "note"),
    [("/elsewhere", "answered 302"), ("/endless", "answered 500"), ("/teapot", "answered 418")],
)
async def test_what_is_no_2xx_was_not_received_and_is_given_up_in_the_end(
    valkey_url, database, path: str, note: str
) -> None:
    async with office(valkey_url, database, routing_attempts=3) as shop, receiver() as there:
        there.answers["/teapot"] = 418
        await shop.webhook(there.url(path))
        await shop.enriched(row())
        await shop.route()
        for _ in range(5):
            await shop.send()
            shop.clock.advance(DAY)

        assert [call.path for call in there.calls] == [path] * 3
        (entry,) = await shop.listed(status="dead")
        assert entry["note"].startswith(f"given up after 3 calls: {note}")


async def test_a_dead_delivery_is_sent_again_by_hand_under_its_id(valkey_url, database) -> None:
    async with office(valkey_url, database, routing_attempts=1) as shop, receiver() as there:
        await shop.webhook(there.url("/flaky"))
        there.answers["/flaky"] = 500
        await shop.enriched(row())
        await shop.route()
        (waiting,) = await shop.listed()
        await shop.ask("POST", f"/deliveries/{waiting['id']}/redeliver", status=409)
        await shop.send()
        (dead,) = await shop.listed(status="dead")
        there.answers.clear()
        shop.clock.advance(timedelta(minutes=5))
        await shop.ask("POST", f"/deliveries/{dead['id']}/redeliver")
        await shop.send()
        assert [entry["status"] for entry in await shop.listed()] == ["delivered"]
        opened = await shop.ask("GET", f"/deliveries/{dead['id']}")
        assert opened["body"].encode() == there.calls[-1].body


async def test_a_receiver_that_keeps_failing_is_paused_and_the_shop_told_once(valkey_url, database) -> None:
    async with office(valkey_url, database, routing_failures=3) as shop, receiver() as there:
        id_, _ = await shop.webhook(there.url("/flaky"), name="crm")
        there.answers["/flaky"] = 500
        await shop.enriched(row())
        await shop.route()
        for _ in range(5):
            await shop.send()
            await shop.upkeep.tell()
            shop.clock.advance(DAY)

        assert len(there.calls) == 3
        assert (await shop.state(id_))["state"] == "paused"
        ((path, detail),) = shop.reports.told
        assert path.endswith(SHOP)
        assert detail == "routing to 'crm': 3 calls failed one after the other: answered 500"

        there.answers.clear()
        await shop.ask("POST", f"/destinations/{id_}/resume")
        await shop.send()
        assert [entry["status"] for entry in await shop.listed()] == ["delivered"]


async def test_a_receiver_that_is_gone_is_paused_at_once(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop, receiver() as there:
        id_, _ = await shop.webhook(there.url("/gone"))
        there.answers["/gone"] = 410
        await shop.enriched(row())
        await shop.route()
        await shop.send()
        assert (await shop.state(id_))["state"] == "paused"


async def test_a_full_queue_takes_no_more_and_the_shop_is_told(valkey_url, database) -> None:
    async with office(valkey_url, database, routing_queue=2) as shop, receiver() as there:
        id_, _ = await shop.webhook(there.url("/ok"), form="single")
        await shop.ask("POST", f"/destinations/{id_}/pause")
        for number in range(4):
            await shop.enriched(row(), partition=number)
            await shop.handlers.on_enriched(await shop.batch(number))
        await shop.upkeep.tell()
        await shop.upkeep.tell()

        assert (await shop.state(id_))["dropped"] == 2
        assert len(await shop.listed()) == 2
        ((_, detail),) = shop.reports.told
        assert "2 deliveries wait already" in detail


async def test_while_a_secret_is_replaced_both_sign_and_later_the_new_one_alone(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop, receiver() as there:
        id_, old = await shop.webhook(there.url("/ok"))
        new = (await shop.ask("POST", f"/destinations/{id_}/secret"))["secret"]
        await shop.enriched(row())
        await shop.route()
        await shop.send()
        (call,) = there.calls
        assert call.headers["webhook-signature"].split() == [by_hand(new, call), by_hand(old, call)]

        shop.clock.advance(timedelta(hours=25))
        (entry,) = await shop.listed()
        await shop.ask("POST", f"/deliveries/{entry['id']}/redeliver")
        await shop.send()
        assert there.calls[1].headers["webhook-signature"] == by_hand(new, there.calls[1])


async def test_a_sender_that_is_killed_in_the_middle_of_a_call_loses_nothing(valkey_url, database) -> None:
    key = new_secret()
    async with office(valkey_url, database, key=key) as shop, receiver() as there:
        await shop.webhook(there.url("/slow"), concurrency=2, form="single")
        await shop.enriched(*(row() for _ in range(5)))
        await shop.route()
        command = [sys.executable, "-m", "tests.services.pipeline.routing_sender", database, valkey_url, key.reveal()]
        with subprocess.Popen(command) as other:
            await there.wait_for("/slow", 2)
            other.kill()
        there.released.set()
        await shop.send()
        shop.clock.advance(timedelta(minutes=5))
        await shop.send()

        assert [entry["status"] for entry in await shop.listed()] == ["delivered"] * 5
        ids = [call.headers["webhook-id"] for call in there.calls]
        assert len(set(ids)) == 5
        assert len(ids) == 7


async def test_events_that_were_not_looked_at_before_a_crash_are_looked_at_after_it(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop, receiver() as there:
        await shop.webhook(there.url("/ok"), form="single")
        await shop.enriched(*(row() for _ in range(4)))
        await shop.log.trim(EVENTS_ENRICHED.name, keep_seconds=0)
        first = asyncio.create_task(_runner(shop).run())
        await _until_queued(shop, 4)
        first.cancel()
        await shop.enriched(*(row() for _ in range(3)), partition=3)
        second = asyncio.create_task(_runner(shop).run())
        await _until_queued(shop, 7)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        await shop.send()
        assert len(there.calls) == 7


def _runner(shop: Office) -> Runner:
    consumer = Consumer(
        EVENTS_ENRICHED.only("store_id"), on_batch=shop.handlers.on_enriched, group=ROUTING_GROUP,
        starts=shop.handlers.wanted,
    )  # fmt: skip
    return Runner(shop.log, ROUTING_GROUP, "test", consumer)


async def _until_queued(shop: Office, count: int) -> None:
    async with asyncio.timeout(60):
        while len(await shop.listed()) < count:
            await asyncio.sleep(0.02)


async def test_without_rules_the_group_does_not_read_and_holds_nothing_up(valkey_url, database) -> None:
    async with office(valkey_url, database, routing_refresh_seconds=0.01) as shop:
        waiting = asyncio.create_task(shop.handlers.wanted())
        made = await shop.destination("copy")
        assert not await shop.log.reads(ROUTING_GROUP, EVENTS_ENRICHED.name)
        assert not waiting.done()
        await shop.ask("POST", "/rules", json={"name": "r", "to": [made["destination"]["id"]]})
        assert await shop.log.reads(ROUTING_GROUP, EVENTS_ENRICHED.name)
        await asyncio.wait_for(waiting, 60)
