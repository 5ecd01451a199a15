"""What looks wrong about an event is said in its row, and by what rule; nothing is refused."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from tests.services.pipeline.builders import NOON, added, event, ordered, pipeline

from recoup import __version__
from recoup.kit.errors import Invalid
from recoup.services.pipeline.settings import Settings
from recoup.services.pipeline.wiring import domains

BOT = {"user_agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}


def signals(row: Mapping[str, object]) -> object:
    assert row["pipeline_version"] == __version__
    return row["risk_signals"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"context": BOT}, "crawler"),
        ({"at": 9}, None),
        ({"at": 11}, "time_off"),
        ({"at": -60 * 23}, None),
        ({"at": -60 * 25}, "time_off"),
        ({"at": 11, "context": BOT}, "crawler,time_off"),
    ],
)
async def test_one_event_by_itself(valkey_url: str, fields: dict[str, object], expected: str | None) -> None:
    async with pipeline(valkey_url) as running:
        await running.send(event(**fields))
        (row,) = await running.enriched(1)

    assert signals(row) == expected


async def test_on_an_event_clock_no_time_is_off(valkey_url: str) -> None:
    async with pipeline(valkey_url, clock="event") as running:
        await running.send(event(at=-60 * 100))
        (row,) = await running.enriched(1)

    assert signals(row) is None


@pytest.mark.parametrize(
    ("amount", "discount", "expected"),
    [
        (1_000, None, None),
        (500, None, None),
        (499, None, "amount_below_cart"),
        (300, 200, None),
        (300, 199, "amount_below_cart"),
    ],
)
async def test_an_order_over_less_than_half_of_its_cart(
    valkey_url: str, amount: int, discount: int | None, expected: str | None
) -> None:
    async with pipeline(valkey_url) as running:
        await running.send(added(price=1_000))
        order = ordered(at=1) | {"amount": amount, "discount": discount}
        await running.send(order)
        rows = await running.enriched(2)

    assert {row["type"]: signals(row) for row in rows} == {"product_added": None, "order_completed": expected}


async def test_more_events_of_a_session_in_a_minute_than_a_person_sends(valkey_url: str) -> None:
    async with pipeline(valkey_url, settings=Settings(risk_events_a_minute=4)) as running:
        await running.send(*(event(session_id="s", at=0.1 * number) for number in range(3)))
        calm = await running.enriched(3)
        await running.send(
            *(event(session_id="s", at=0.5 + 0.1 * number) for number in range(2)), event(session_id="t")
        )
        busy = await running.enriched(3)
        await running.send(event(session_id="s", at=1))
        (later,) = await running.enriched(1)

    assert {signals(row) for row in [*calm, later]} == {None}
    assert [row["session_id"] for row in busy if signals(row) == "event_rate"] == ["s", "s"]


async def test_many_carts_of_a_visitor_and_many_orders_from_an_address_in_a_minute(valkey_url: str) -> None:
    limits = Settings(risk_carts_a_minute=2, risk_orders_a_minute=1)
    address = {"context": {"ip": "192.0.2.7"}}
    async with pipeline(valkey_url, settings=limits) as running:
        await running.send(*(added(cart=f"cart-{number}") for number in range(4)))
        carts = await running.enriched(4)
        orders: list[dict[str, object]] = []
        for number in range(2):
            person = {"anonymous_id": str(uuid4()), "at": 2 + number / 10}
            await running.send(event(type="order_completed", order_id=f"o{number}", amount=1, **person, **address))
            orders = await running.enriched(1)
        await running.send(event(type="order_completed", order_id="o3", amount=1, at=3, **address))
        (later,) = await running.enriched(1)

    assert sorted(str(signals(row)) for row in carts) == ["None", "None", "cart_rate", "cart_rate"]
    assert [signals(row) for row in [*orders, later]] == ["order_rate", None]


async def test_a_cart_that_is_abandoned_tells_who_made_its_row_and_no_risks(valkey_url: str) -> None:
    async with pipeline(valkey_url) as running:
        await running.send(added())
        await running.enriched(1)
        running.clock.advance(timedelta(minutes=31))
        (row,) = await running.enriched(1)

    assert (row["type"], signals(row), row["occurred_at"]) == ("cart_abandoned", None, NOON + timedelta(minutes=30))


@pytest.mark.parametrize(
    ("kind", "properties", "expected"),
    [
        ("user_identified", {"email": "ada@Mail.Example"}, "disposable_address"),
        ("order_completed", {"email": "ada@deep.mail.example."}, "disposable_address"),
        ("user_identified", {"email": "ada@ail.example"}, None),
        ("user_identified", {"email": "ada@example"}, None),
        ("user_identified", {"email": ["@mail.example"]}, None),
        ("user_identified", {"note": "not ada@mail.example"}, None),
        ("page_viewed", {"email": "ada@mail.example"}, None),
    ],
)
async def test_an_address_at_a_domain_that_throws_mail_away(
    valkey_url: str, kind: str, properties: dict[str, object], expected: str | None
) -> None:
    async with pipeline(valkey_url, disposable=frozenset({"mail.example"})) as running:
        order = {"order_id": "o-1", "amount": 1} if kind == "order_completed" else {}
        await running.send(event(type=kind, user_id="ada", properties=properties, **order))
        (row,) = await running.enriched(1)

    assert signals(row) == expected


def test_domains_are_read_from_a_file_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "domains.txt"
    path.write_text("# thrown away\nMail.Example\n\n other.example # too\n")

    assert domains(str(path)) == {"mail.example", "other.example"}
    assert domains("") == frozenset()
    with pytest.raises(Invalid, match="disposable_domains"):
        domains(str(tmp_path / "none.txt"))
