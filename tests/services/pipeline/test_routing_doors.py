"""Where routing may lead, what topics answer, who sees what, and what is refused; on real engines."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.services.pipeline.builders import SHOP
from tests.services.pipeline.receiver import receiver
from tests.services.pipeline.routing_desk import OTHER, office, row

from recoup.kit.errors import Invalid
from recoup.kit.log import valkey_streams
from recoup.kit.outgoing import check_url, is_public
from recoup.messages.topics import EVENTS_ENRICHED
from recoup.services.pipeline.routing.domain.rules import pause_before_retry, topic_name


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
        await shop.handlers.on_enriched(await shop.batch(3))
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
