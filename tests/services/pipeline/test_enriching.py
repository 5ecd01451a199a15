"""What is added to events: tables for each decision, columns for batches, and one way from outside."""

import gzip
import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
import yaml
from tests.services.pipeline.builders import NOON, SHOP, event, pipeline

from recoup.kit.clock import milliseconds
from recoup.messages.events import RAW
from recoup.messages.stores import StoreConfigured, StoreSettings
from recoup.services.pipeline.carts.domain.cart import MOST_WORTH
from recoup.services.pipeline.carts.domain.table import CartTable
from recoup.services.pipeline.stream.domain.agents import Agents, device_class
from recoup.services.pipeline.stream.domain.enriching import enrich
from recoup.services.pipeline.stream.domain.work import Known, work_of

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1"
)
ANDROID = "Mozilla/5.0 (Linux; Android 14; {}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 {}Safari/537.36"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def enriched(*rows: Mapping[str, object], agents: Agents | None = None, **settings: object) -> list[dict[str, object]]:
    """What a shop with these settings gets added to these rows of RAW; each states what the test is about."""
    always: dict[str, object] = {"event_id": bytes(16), "type": "page_viewed", "store_id": SHOP, "occurred_at": NOON}
    table = pa.Table.from_pylist([{**always, "items": [], **row} for row in rows], schema=RAW)
    work = work_of(table, np.zeros(len(rows), dtype=np.int64), np.arange(len(rows)))
    none = np.zeros(0, dtype=np.int64)
    known = Known(
        seen=np.zeros(len(rows), dtype=bool), stores={SHOP: msgspec.convert(settings, StoreSettings)},
        carts=CartTable(), slots=none, due=none, reached={}, now=NOON, agents=agents or Agents(),
    )  # fmt: skip
    enrich(work, known)
    return pa.table(work.columns).to_pylist()


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (FIREFOX, "desktop"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.5 Safari/605.1.15",
            "desktop",
        ),
        (IPHONE, "mobile"),
        (ANDROID.format("SM-S921B", "Mobile "), "mobile"),
        (ANDROID.format("CUBOT NOTE 20", "Mobile "), "mobile"),
        (ANDROID.format("SM-X710", ""), "tablet"),
        ("Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Safari/604.1", "tablet"),
        ("Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 Version/7.0 TV Safari/537.36", "other"),
        ("Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A)", "mobile"),
        (GOOGLEBOT, "crawler"),
        (f"{IPHONE} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "crawler"),
        ("python-requests/2.32.3", "crawler"),
        ("PriceHunter 3", "crawler"),
        ("Mozilla/5.0", "other"),
        ("", "crawler"),
    ],
)
def test_an_agent_tells_what_it_runs_on(agent: str, expected: str) -> None:
    assert device_class(agent) == expected


def test_the_shops_word_for_a_device_counts_unless_a_crawler_is_at_work() -> None:
    rows = enriched(
        {"device_type": "tablet", "user_agent": FIREFOX},
        {"device_type": "desktop", "user_agent": GOOGLEBOT},
        {"device_type": "Kiosk"},
        {"user_agent": IPHONE},
        {},
    )

    assert [row["device_class"] for row in rows] == ["tablet", "crawler", "kiosk", "mobile", None]


def test_what_costs_more_than_anything_does_is_much_and_not_less_than_nothing() -> None:
    dear = {"product_id": "a", "quantity": 10**6, "price": 10**15}
    rows = enriched({"items": [dear] * 500}, {"items": [{**dear, "quantity": 1, "price": 500}]}, {})

    assert [row["cart_value"] for row in rows] == [500 * MOST_WORTH, 500, 0]


def test_more_new_agents_than_there_is_time_for_are_left_open_and_said_to_be() -> None:
    agents = Agents(most_new=1)
    rows = [{"user_agent": IPHONE}, {"user_agent": FIREFOX}, {"user_agent": IPHONE}]

    first = enriched(*rows, agents=agents)
    second = enriched(*rows, agents=agents)

    assert [(row["device_class"], row["enrichment_missing"]) for row in first] == [
        ("mobile", None), (None, "user_agent"), ("mobile", None),
    ]  # fmt: skip
    assert [row["device_class"] for row in second] == ["mobile", "desktop", "mobile"]


def test_agents_not_met_for_the_longest_are_forgotten_first() -> None:
    agents = Agents(most_known=2)
    for agent in (IPHONE, FIREFOX, IPHONE, GOOGLEBOT):
        agents.classes([agent])
    agents.most_new = 0

    assert agents.classes([IPHONE, FIREFOX, GOOGLEBOT]) == ["mobile", None, "crawler"]


PAGE = "https://www.shop.example/mug"


@pytest.mark.parametrize(
    ("told", "source", "medium"),
    [
        ({"utm_source": "newsletter", "utm_medium": "email"}, "newsletter", "email"),
        ({"utm_source": "klaviyo"}, "klaviyo", "email"),
        ({"utm_source": "google", "utm_medium": "CPC"}, "google", "paid"),
        ({"utm_source": "instagram", "utm_medium": "paid_social"}, "instagram", "paid"),
        ({"utm_source": "google", "page_url": f"{PAGE}?gclid=x1"}, "google", "paid"),
        ({"utm_source": "partner-x"}, "partner-x", "other"),
        ({"page_url": f"{PAGE}?utm_source=bing&utm_medium=organic#top"}, "bing", "search"),
        ({"page_url": f"{PAGE}?a=1&fbclid=x1", "referrer": "https://l.facebook.com/"}, "paid", "paid"),
        ({"page_url": f"{PAGE}?msclkid=x1"}, "paid", "paid"),
        ({"page_url": f"{PAGE}?gclid="}, "direct", "direct"),
        ({"page_url": PAGE, "referrer": "https://www.google.co.uk/"}, "search", "search"),
        ({"page_url": PAGE, "referrer": "https://t.co/abc"}, "social", "social"),
        ({"page_url": PAGE, "referrer": "https://mail.google.com/mail/u/0/"}, "email", "email"),
        ({"page_url": PAGE, "referrer": "https://blog.example/google.com"}, "referral", "referral"),
        ({"page_url": PAGE, "referrer": "https://notgoogle.com.evil.example/"}, "referral", "referral"),
        ({"page_url": PAGE, "referrer": "https://shop.example:443/list"}, None, None),
        ({"page_url": PAGE}, "direct", "direct"),
        ({"referrer": "not an address"}, "referral", "referral"),
        ({}, None, None),
    ],
)
def test_campaign_click_and_referrer_tell_how_a_visit_came_about(
    told: dict[str, object], source: str | None, medium: str | None
) -> None:
    # The neighbours must not rub off.
    _, row, _ = enriched({}, told, {"page_url": "https://other.example/", "utm_medium": "social"})

    assert (row["traffic_source"], row["traffic_medium"]) == (source, medium)


@pytest.mark.parametrize(
    ("at", "hour", "weekday", "holiday", "open_"),
    [
        (datetime(2026, 6, 1, 7, 59, tzinfo=UTC), 9, 1, False, True),
        (datetime(2026, 6, 1, 6, 59, tzinfo=UTC), 8, 1, False, False),
        (datetime(2026, 6, 1, 15, 59, tzinfo=UTC), 17, 1, False, True),
        (datetime(2026, 6, 1, 16, 0, tzinfo=UTC), 18, 1, False, False),
        (datetime(2026, 6, 6, 10, 0, tzinfo=UTC), 12, 6, False, False),
        # It is the third of October there before it is here; German Unity Day.
        (datetime(2025, 10, 2, 22, 30, tzinfo=UTC), 0, 5, True, False),
        (datetime(2025, 10, 2, 21, 30, tzinfo=UTC), 23, 4, False, False),
        (datetime(2025, 12, 31, 23, 30, tzinfo=UTC), 0, 4, True, False),
        (datetime(1969, 12, 31, 22, 30, tzinfo=UTC), 23, 3, False, False),
    ],
)
def test_day_and_hour_are_the_shops_own(at: datetime, hour: int, weekday: int, holiday: bool, open_: bool) -> None:
    (row,) = enriched(
        {"occurred_at": at}, timezone="Europe/Berlin", country="DE", business_from="09:00", business_until="18:00"
    )

    found = (row["local_hour"], row["local_weekday"], row["is_holiday"], row["in_business_hours"])
    assert found == (hour, weekday, holiday, open_)


def test_a_shop_that_works_past_midnight() -> None:
    late = [NOON.replace(hour=hour) for hour in (1, 3, 21, 23)]

    rows = enriched(*({"occurred_at": at} for at in late), business_from="22:00", business_until="02:00")

    assert [row["in_business_hours"] for row in rows] == [True, False, False, True]


def test_a_shop_without_country_and_hours_hears_nothing_of_them() -> None:
    (row,) = enriched({})

    assert (row["is_holiday"], row["in_business_hours"], row["enrichment_missing"]) == (None, None, None)


def test_a_country_without_known_holidays_is_said_to_be_one() -> None:
    (row,) = enriched({}, country="QZ")

    assert (row["is_holiday"], row["enrichment_missing"]) == (None, "holidays")


async def test_what_a_shop_sends_comes_out_with_what_it_means(valkey_url: str) -> None:
    settings = StoreSettings(timezone="Europe/Berlin", country="DE")
    context = {"user_agent": IPHONE, "page_url": f"{PAGE}?gclid=x1", "referrer": "https://www.google.com/"}
    async with pipeline(valkey_url) as running:
        await running.processor.stores.on_configured([StoreConfigured(store_id=SHOP, version=2, settings=settings)])
        whit_monday = NOON - timedelta(days=7)
        await running.send(event(context=context, occurred_at=whit_monday.isoformat()))

        (row,) = await running.enriched(1)

        assert milliseconds(whit_monday) == milliseconds(row["occurred_at"])  # pyright: ignore[reportArgumentType] - by the schema
        assert (row["device_class"], row["traffic_source"], row["traffic_medium"]) == ("mobile", "paid", "paid")
        assert (row["local_hour"], row["is_holiday"], row["in_business_hours"]) == (14, True, None)
        assert row["enrichment_missing"] is None


@pytest.mark.skipif("RECOUP_SHARED" not in os.environ, reason="lists of agents are not here (RECOUP_SHARED)")
def test_crawlers_are_told_from_people_on_lists_made_by_others() -> None:
    crawlers, people = _agents(Path(os.environ["RECOUP_SHARED"]) / "data/user_agents")

    found = sum(device_class(agent) == "crawler" for agent in crawlers)
    wrong = sum(device_class(agent) == "crawler" for agent in people)

    print(f"crawlers {found} of {len(crawlers)}, people taken for crawlers {wrong} of {len(people)}")
    assert found / len(crawlers) > 0.94
    assert found / (found + wrong) > 0.99


def _agents(folder: Path) -> tuple[set[str], set[str]]:
    """Agents of crawlers, and of devices and browsers that no crawler pattern matches (the lists overlap)."""
    known = json.loads((folder / "crawler-user-agents.json").read_text())
    pattern = re.compile("|".join(f"(?:{entry['pattern']})" for entry in known))
    tests = folder / "uap-core"
    listed = [
        gzip.decompress((tests / "tests/test_device.yaml.gz").read_bytes()),
        *(
            (tests / f"test_resources/{name}_user_agent_strings.yaml").read_bytes()
            for name in ("firefox", "opera_mini")
        ),
    ]
    cases = [case for text in listed for case in yaml.load(text, yaml.CSafeLoader)["test_cases"]]
    agents = {str(case["user_agent_string"]) for case in cases if case["family"] != "Spider"}
    crawlers = {agent for entry in known for agent in entry["instances"]}
    return crawlers, {agent for agent in agents if not pattern.search(agent)}
