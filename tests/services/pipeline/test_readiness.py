"""Whether a shop is told what is missing and what is wrong: from what it sends to the checklist's words."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from tests.services.pipeline.builders import NOON, SHOP, Pipeline, added, event, ordered, pipeline

from recoup.kit.config import Secret, new_secret
from recoup.kit.errors import Unauthenticated, Unavailable
from recoup.kit.migrate import migrate
from recoup.kit.postgres import Postgres
from recoup.kit.sealing import Sealer
from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.arrivals.domain import Lately
from recoup.services.pipeline.readiness.actions import Inspector, Readiness
from recoup.services.pipeline.readiness.domain import verdicts
from recoup.services.pipeline.readiness.domain.counting import percentiles
from recoup.services.pipeline.readiness.domain.verdicts import Reach, Verdict
from recoup.services.pipeline.readiness.handlers import Counting
from recoup.services.pipeline.settings import Settings
from recoup.services.pipeline.webhooks.actions import Postroom, SecretRing
from recoup.services.pipeline.webhooks.domain.signing import Platform
from recoup.services.pipeline.webhooks.store import Deliveries, Secrets


@dataclass
class Sister:
    """The interventions service, as far as it is asked; None where it does not answer."""

    reach: Reach | None = field(default_factory=lambda: Reach(days=7, carts=10, with_email=6, mailable=5))

    async def get(self, service: str, path: str, kind: type[Reach], params: Mapping[str, str]) -> Reach:
        assert (service, path, kind, params) == ("interventions", "/interventions/reach", Reach, {"store_id": SHOP})
        if self.reach is None:
            raise Unavailable("interventions does not answer")
        return self.reach


@pytest.fixture
async def db(database: str):
    await migrate(database, ["pipeline"])
    made = Postgres(database, "pipeline")
    yield made
    await made.close()


async def readiness(running: Pipeline, db: Postgres, sister: Sister | None = None) -> Readiness:
    """What the shop is told once everything it sent has been worked on."""
    await running.stats.flush()
    inspector = Inspector(
        running.stats.arrivals, Secrets(db), running.collector.stores, sister or Sister(), running.clock
    )
    return await inspector.inspect(SHOP)


def watched(running: Pipeline) -> Pipeline:
    running.processor.watchers = [Counting(running.stats.arrivals)]
    return running


async def counted(running: Pipeline, events: int) -> None:
    """Once so many events have been worked on."""
    async with asyncio.timeout(60):
        while running.processor.pace.events < events:
            await asyncio.sleep(0.01)


def verdict_of(found: Readiness, id_: str) -> Verdict:
    return next(check.verdict for check in found.checks if check.id == id_)


async def test_a_shop_that_sends_nothing_is_told_what_to_send(valkey_url, db) -> None:
    async with pipeline(valkey_url) as running:
        found = await readiness(watched(running), db)

    assert found.verdict is Verdict.MISSING
    for kind in ("views", "carts", "checkouts", "orders"):
        check = next(check for check in found.checks if check.id == kind)
        assert (check.verdict, check.last_seen, check.last_day) == (Verdict.MISSING, None, 0)
        assert check.next_step
    assert found.warnings == []


async def test_a_shop_that_sends_everything_in_time_is_ready(valkey_url, db) -> None:
    async with pipeline(valkey_url) as running:
        await watched(running).send(event(), added(), event(type="checkout_started", cart_id="cart"), ordered())
        await counted(running, 4)
        await running.stats.flush()
        running.clock.advance(timedelta(hours=1))

        found = await readiness(running, db)

    assert found.verdict is Verdict.READY
    orders = next(check for check in found.checks if check.id == "orders")
    assert (orders.last_seen, orders.last_day) == (NOON, 1)
    assert found.order_delay is not None
    assert (found.order_delay.orders, found.order_delay.p99_ms) == (1, 1_000)
    assert found.warnings == []


async def test_what_came_more_than_a_day_ago_is_said_to_have_stopped(valkey_url, db) -> None:
    async with pipeline(valkey_url) as running:
        await watched(running).send(event(), added())
        await counted(running, 2)
        await running.stats.flush()
        running.clock.advance(timedelta(hours=25))

        found = await readiness(running, db)

    assert verdict_of(found, "views") is Verdict.ATTENTION
    assert [warned.code for warned in found.warnings] == ["silence"]


async def test_orders_that_come_after_a_reminder_could_leave_are_too_late(valkey_url, db) -> None:
    async with pipeline(valkey_url) as running:
        await watched(running).send(ordered(at=-45), ordered(at=-50))
        await counted(running, 2)

        found = await readiness(running, db)

    assert verdict_of(found, "order_delay") is Verdict.MISSING
    assert found.order_delay is not None
    assert found.order_delay.p50_ms == 3_600_000


async def test_what_is_wrong_with_events_is_said_with_what_to_do(valkey_url, db) -> None:
    async with pipeline(valkey_url, settings=Settings(max_properties_bytes=20)) as running:
        await watched(running).send(
            event(), event(at=48 * 60), event(at=60), event(currency="usd"), event(currency="ZZZ"),
            event(anonymous_id=None), event(properties={"text": "x" * 50}), event(type="product_added", cart_id="c"),
            event(type="no_such_thing"),
        )  # fmt: skip
        await counted(running, 4)
        await running.stats.flush()

        found = await readiness(running, db)

    assert {warned.code: warned.count for warned in found.warnings} == {
        "future_timestamps": 2, "unknown_currency": 2, "missing_visitor": 1, "oversized": 1, "schema_violations": 1,
        "unknown_types": 1,
    }  # fmt: skip
    assert all(warned.next_step for warned in found.warnings)


async def test_a_webhook_whose_signature_fails_is_reported_until_one_verifies(valkey_url, db) -> None:
    async with pipeline(valkey_url) as running:
        settings = Settings()
        ring = SecretRing(Secrets(db), Sealer(new_secret(), "test"), running.clock, again_seconds=0.0)
        await ring.set(SHOP, Platform.SHOPIFY, Secret("the real one"), timedelta(hours=1))
        postroom = Postroom(Deliveries(db), ring, running.collector, running.clock, settings, Secret("salt"))
        with pytest.raises(Unauthenticated):
            await postroom.receive(
                Platform.SHOPIFY, SHOP, {"x-shopify-topic": "orders/create", "x-shopify-hmac-sha256": "bm8="}, b"{}"
            )

        found = await readiness(watched(running), db)

    assert verdict_of(found, "webhooks_shopify") is Verdict.MISSING
    assert verdict_of(found, "webhooks_woocommerce") is Verdict.UNUSED
    assert [(warned.code, warned.count) for warned in found.warnings] == [("signatures", 1)]


async def test_a_sister_that_does_not_answer_leaves_the_rest_of_the_page(valkey_url, db) -> None:
    async with pipeline(valkey_url) as running:
        found = await readiness(watched(running), db, Sister(None))

    assert verdict_of(found, "contact") is Verdict.UNKNOWN
    assert found.reach is None
    assert len(found.checks) == 8


@pytest.mark.parametrize(
    ("reach", "verdict"),
    [
        (Reach(days=7, carts=0, with_email=0, mailable=0), Verdict.UNKNOWN),
        (Reach(days=7, carts=10, with_email=9, mailable=0), Verdict.MISSING),
        (Reach(days=7, carts=10, with_email=9, mailable=1), Verdict.ATTENTION),
        (Reach(days=7, carts=10, with_email=9, mailable=2), Verdict.READY),
    ],
)
def test_a_shop_that_can_write_to_hardly_anybody_is_told(reach: Reach, verdict: Verdict) -> None:
    assert verdicts.of_reach(reach, StoreSettings()).verdict is verdict


def test_on_a_clock_of_its_own_a_shop_has_no_late_orders() -> None:
    late = verdicts.delay_of(Lately(day={"late:16": 5}, last={}))

    assert verdicts.of_delay(late, StoreSettings(clock="event")).verdict is Verdict.UNUSED
    assert verdicts.of_delay(late, StoreSettings()).verdict is Verdict.MISSING


def test_percentiles_are_the_bounds_they_lie_within() -> None:
    assert percentiles({}, 0.5) is None
    assert percentiles({0: 99, 5: 1}, 0.5, 0.99, 1.0) == [1_000, 1_000, 60_000]
    assert percentiles({17: 1}, 0.5) == [2 * 259_200_000]


async def test_counts_add_up_over_writings_and_are_each_stores_own(valkey_url) -> None:
    async with pipeline(valkey_url) as running:
        arrivals = running.stats.arrivals
        arrivals.count(SHOP, {"type:page_viewed": 1})
        await arrivals.flush()
        arrivals.count(SHOP, {"type:page_viewed": 2})
        await arrivals.flush()

        assert (await arrivals.read(SHOP)).day == {"type:page_viewed": 3}
        assert (await arrivals.read("another-shop")).day == {}
