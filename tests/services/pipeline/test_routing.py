"""Routing from a rule to a receiver, on real engines and real sockets: what arrives, again and again until it does."""

import asyncio
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.services.pipeline.builders import NOON, SHOP
from tests.services.pipeline.receiver import Call, receiver
from tests.services.pipeline.routing_desk import OTHER, ROUTING_GROUP, Office, office, row

from recoup.kit.config import Secret, new_secret
from recoup.kit.errors import Invalid
from recoup.kit.log import valkey_streams
from recoup.kit.outgoing import check_url, is_public
from recoup.kit.runner import Runner, decoded
from recoup.kit.service import Consumer
from recoup.messages.topics import EVENTS_ENRICHED
from recoup.services.pipeline.routing.domain.payload import headers, signature
from recoup.services.pipeline.routing.domain.rules import pause_before_retry, topic_name

ABANDONED = {"field": "type", "operator": "equals", "value": "cart_abandoned"}
DAY = timedelta(days=1)
GUIDE = Path(__file__).parents[3] / "docs/guides/routing.md"


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
            await shop.handlers.on_enriched(await only(shop, number))
        await shop.upkeep.tell()
        await shop.upkeep.tell()

        assert (await shop.state(id_))["dropped"] == 2
        assert len(await shop.listed()) == 2
        ((_, detail),) = shop.reports.told
        assert "2 deliveries wait already" in detail


async def only(shop: Office, partition: int) -> Any:
    records = await shop.log.after(EVENTS_ENRICHED.name, {}, limit=10)
    return decoded([one for one in records if one.partition == partition], EVENTS_ENRICHED.only("store_id").schema)


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
    async with asyncio.timeout(30):
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
        await asyncio.wait_for(waiting, 30)


# --- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x", "https://", "https://user:pw@example.com/", "https://127.0.0.1/", "ftp://example.com/",
        "https://169.254.169.254/latest", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://10.1.2.3/",
        "https://[64:ff9b::a00:1]/", "https://[2002:7f00:1::]/", "https://example.com/#x", "https://exa mple.com/",
        "https://example.com:99999/", "https://100.64.0.1/", "https://0.0.0.0/", "https://[fec0::1]/",
    ],
)  # fmt: skip
def test_an_address_that_may_not_be_called_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        check_url(url, private=False)


def test_public_addresses_may_be_called() -> None:
    check_url("https://example.com/hook?a=b", private=False)
    check_url("https://93.184.216.34:8443/", private=False)
    assert is_public("2606:2800:220:1:248:1893:25c8:1946")


async def test_a_name_that_leads_into_our_own_network_is_not_called(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop, receiver() as there:
        id_, _ = await shop.webhook(f"https://localhost:{there.port}/ok")
        await shop.enriched(row())
        await shop.route()
        shop.sender.outgoing.private = False
        await shop.send()
        assert there.calls == []
        (entry,) = await shop.listed()
        assert "localhost is not at a public address" in entry["note"]
        assert (await shop.state(id_))["failures"] == 1


async def test_a_private_address_is_refused_when_it_is_written_down(valkey_url, database) -> None:
    async with office(valkey_url, database, routing_private_addresses=False) as shop:
        body = {"name": "inside", "kind": "webhook", "url": "https://127.0.0.1/"}
        answer = await shop.ask("POST", "/destinations", json=body, status=400)
        assert answer["code"] == "address_private"


# --- topics -------------------------------------------------------------------------------------------------------


async def test_a_topic_is_read_page_by_page_and_its_cursor_goes_on(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop:
        made = await shop.destination("carts")
        await shop.rule(made["destination"]["id"], name="all")
        rows = [row(cart_id=f"c{number}") for number in range(7)]
        await shop.enriched(*rows[:5])
        await shop.enriched(*rows[5:], partition=1)
        await shop.route()
        seen: list[str] = []
        cursor = ""
        for _ in range(4):
            page = await shop.ask("GET", "/topics/carts/events", params={"limit": 2, "cursor": cursor})
            seen += [event["cart_id"] for event in page["items"]]
            assert all(event["routed_by"] == ["all"] for event in page["items"])
            cursor = page["next_cursor"]
        assert seen == [f"c{number}" for number in range(7)]
        again = await shop.ask("GET", "/topics/carts/events", params={"cursor": cursor})
        assert again == {"items": [], "next_cursor": cursor}

        await shop.enriched(row(cart_id="late"), partition=3)
        await shop.handlers.on_enriched(await only(shop, 3))
        page = await shop.ask("GET", "/topics/carts/events", params={"cursor": cursor})
        assert [event["cart_id"] for event in page["items"]] == ["late"]


async def test_a_topic_forgets_what_is_older_than_its_retention(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop:
        made = await shop.destination("carts", retention_hours=1)
        await shop.rule(made["destination"]["id"])
        await shop.enriched(row())
        await shop.route()
        await shop.upkeep.trim()
        assert len((await shop.ask("GET", "/topics/carts/events"))["items"]) == 1
        shop.clock.advance(timedelta(hours=2))
        assert (await shop.ask("GET", "/topics/carts/events"))["items"] == []


async def test_a_topic_over_its_limit_keeps_less_long(valkey_url, database, monkeypatch) -> None:
    monkeypatch.setattr(valkey_streams, "SETTLE_MS", 1)
    async with office(valkey_url, database, routing_topic_records=0) as shop:
        made = await shop.destination("carts")
        await shop.rule(made["destination"]["id"])
        for _ in range(300):
            await shop.enriched(row())
        await shop.route()
        name = topic_name(SHOP, "carts")
        before = await shop.log.size(name)
        reader = shop.log.reader("any", "any", [EVENTS_ENRICHED.name])
        await reader.read(wait_seconds=0.01, limit=1)
        await reader.close()
        await shop.upkeep.trim()
        assert await shop.log.size(name) < before


@pytest.mark.parametrize(
    "cursor", ["x", "0.1", "0.1.2.3", "0.-1.2", "0.1.1e9", "-", "0.1.2-", "0.99999999999999999999.0"]
)
async def test_a_cursor_that_is_not_ours_is_refused(valkey_url, database, cursor: str) -> None:
    async with office(valkey_url, database) as shop:
        await shop.destination("carts")
        answer = await shop.ask("GET", "/topics/carts/events", params={"cursor": cursor}, status=400)
        assert answer["code"] == "cursor_invalid"


# --- tenants ------------------------------------------------------------------------------------------------------


async def test_no_store_sees_or_reaches_what_is_another_s(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop, receiver() as there:
        hook, _ = await shop.webhook(there.url("/theirs"), store=OTHER)
        topic = (await shop.destination("carts", store=OTHER))["destination"]["id"]
        rule = await shop.rule(topic, store=OTHER)
        await shop.destination("carts")
        await shop.enriched(row(), row(store_id=OTHER, cart_id="theirs"))
        await shop.route()
        (entry,) = (await shop.ask("GET", "/deliveries", store=OTHER))["items"]

        await shop.ask("POST", "/rules", json={"name": "mine", "to": [topic]}, status=409)
        for method, path in [
            ("GET", f"/rules/{rule['id']}"), ("DELETE", f"/rules/{rule['id']}"), ("GET", f"/destinations/{hook}"),
            ("DELETE", f"/destinations/{hook}"), ("POST", f"/destinations/{hook}/secret"),
            ("POST", f"/destinations/{hook}/pause"), ("POST", f"/destinations/{hook}/resume"),
            ("GET", f"/deliveries/{entry['id']}"), ("POST", f"/deliveries/{entry['id']}/redeliver"),
            ("POST", "/versions/1/restore"),
        ]:  # fmt: skip
            await shop.ask(method, path, status=404)
        assert (await shop.listed(), await shop.ask("GET", "/rules")) == ([], {"version": 0, "items": []})
        assert (await shop.ask("GET", "/topics/carts/events"))["items"] == []
        theirs = await shop.ask("GET", "/topics/carts/events", store=OTHER)
        assert [event["cart_id"] for event in theirs["items"]] == ["theirs"]
        await shop.send()
        (call,) = there.calls
        assert [event["cart_id"] for event in json.loads(call.body)["data"]["events"]] == ["theirs"]


# --- what is refused ----------------------------------------------------------------------------------------------


async def test_what_cannot_be_a_rule_or_a_destination_is_refused_with_its_place(valkey_url, database) -> None:
    async with office(valkey_url, database, routing_rules=1, routing_destinations=2) as shop:
        one = (await shop.destination("one"))["destination"]["id"]
        bad = await shop.ask(
            "POST",
            "/rules",
            json={"name": "r", "to": [one], "when": {"field": "colour", "operator": "exists"}},
            status=400,
        )
        assert [(problem["field"], problem["code"]) for problem in bad["problems"]] == [("when.field", "unknown_field")]
        await shop.ask("POST", "/rules", json={"name": "r", "to": [str(uuid4())]}, status=409)
        await shop.ask("POST", "/destinations", json={"name": "one", "kind": "topic"}, status=409)
        await shop.ask("POST", "/destinations", json={"name": "../etc", "kind": "topic"}, status=400)
        await shop.ask("POST", "/destinations", json={"name": "w", "kind": "webhook"}, status=400)
        await shop.ask("PATCH", f"/destinations/{one}", json={"url": "https://example.com/"}, status=400)
        await shop.rule(one)
        await shop.ask("POST", "/rules", json={"name": "r", "to": [one]}, status=409)
        await shop.ask("DELETE", f"/destinations/{one}", status=409)
        await shop.destination("two")
        await shop.ask("POST", "/destinations", json={"name": "three", "kind": "topic"}, status=409)


def test_pauses_double_up_to_the_longest_and_do_not_fall_together() -> None:
    first, longest = timedelta(seconds=5), timedelta(hours=6)
    pauses = [pause_before_retry("a", failures, first, longest) for failures in range(1, 40)]
    for failures, pause in enumerate(pauses, start=1):
        whole = min(first * 2 ** (failures - 1), longest)
        assert whole / 2 <= pause <= whole
    assert len({pause_before_retry(str(cause), 3, first, longest) for cause in range(100)}) == 100


async def test_old_deliveries_are_forgotten(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop, receiver() as there:
        await shop.webhook(there.url("/ok"), name="well")
        id_, _ = await shop.webhook(there.url("/ok"), name="paused")
        await shop.ask("POST", f"/destinations/{id_}/pause")
        await shop.enriched(row())
        await shop.route()
        await shop.send()
        shop.clock.advance(timedelta(hours=25))
        assert await shop.upkeep.forget() == "forgot 1 routed deliveries"
        shop.clock.advance(timedelta(days=14))
        assert await shop.upkeep.forget() == "forgot 1 routed deliveries"


# --- the guide ----------------------------------------------------------------------------------------------------


def example(language: str) -> str:
    """The code of the guide in a language."""
    return GUIDE.read_text().partition(f"```{language}\n")[2].partition("```")[0]


def signed_call(secret: str, timestamp: int) -> tuple[dict[str, str], bytes]:
    """The headers of a call as it is received, signed by two secrets."""
    body = '{"type": "events.routed", "data": {"é": 1}}'.encode()
    both = [Secret("whsec_" + base64.b64encode(b"another").decode()), Secret(secret)]
    return headers(both, "msg-1", timestamp, body), body


SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
CALLS = {
    "as sent": (0, SECRET, b"", True),
    "changed": (0, SECRET, b" ", False),
    "another secret": (0, "whsec_" + base64.b64encode(b"stranger").decode(), b"", False),
    "too old": (-301, SECRET, b"", False),
}


@pytest.mark.parametrize(("age", "secret", "more", "good"), CALLS.values(), ids=CALLS)
def test_the_guide_s_python_believes_our_calls_and_no_others(age: int, secret: str, more: bytes, good: bool) -> None:
    names: dict[str, Any] = {}
    exec(example("python"), names)  # noqa: S102 - the guide's own words
    sent, body = signed_call(SECRET, int(time.time()) + age)
    assert names["verify"](secret, sent, body + more) is good


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
@pytest.mark.parametrize(("age", "secret", "more", "good"), CALLS.values(), ids=CALLS)
def test_the_guide_s_javascript_believes_our_calls_and_no_others(
    age: int, secret: str, more: bytes, good: bool
) -> None:
    sent, body = signed_call(SECRET, int(time.time()) + age)
    asked = json.dumps([secret, sent, base64.b64encode(body + more).decode()])
    asking = f'const [s, h, b] = {asked}; process.stdout.write(String(verify(s, h, Buffer.from(b, "base64"))));'
    answer = subprocess.run(
        ["node", "-e", example("javascript") + asking], capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout == str(good).lower()
