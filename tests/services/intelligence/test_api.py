"""The doors: what a caller with a role gets, through the real application."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pyarrow as pa
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from tests.services.intelligence.builders import NOON, SHOP, event, record
from tests.services.intelligence.conftest import Engines
from tests.services.intelligence.test_loader import load

from recoup.kit.clock import ManualClock, SystemClock
from recoup.kit.config import new_secret
from recoup.kit.http import HttpSettings, create_app
from recoup.kit.peers import IDENTITY_HEADER, Peers
from recoup.kit.runner import Publisher
from recoup.kit.tokens import Signer, Verifier
from recoup.messages.access import GRANTS, Principal, Role, service_principal
from recoup.messages.deps import Deps
from recoup.messages.events import Item
from recoup.messages.facts import Action, Cart, CartScored, ConversionRecorded, InterventionEvent, Outcome, RuleAnswer
from recoup.messages.stores import StoreConfigured, StoreDirectory, StoreSettings
from recoup.messages.topics import CONVERSION_EVENTS, EVENTS_ENRICHED, INTERVENTION_EVENTS, PREDICTION_RESULTS
from recoup.services.intelligence.settings import Settings
from recoup.services.intelligence.warehouse.handlers import Loader
from recoup.services.intelligence.wiring import build


class Platform:
    """Stands where the platform would: the settings of every store."""

    async def get(self, service: str, path: str, kind: type, _: object = None) -> object:
        assert service == "platform"
        settings = StoreSettings(clock="event")
        if path == "/internal/stores":
            return [StoreConfigured(store_id=SHOP, version=1, settings=settings)]
        return msgspec.convert(StoreConfigured(store_id=path.rsplit("/", 1)[1], version=1, settings=settings), kind)


class Shop:
    """Asks as somebody."""

    def __init__(self, client: AsyncTestClient[Litestar], signer: Signer) -> None:
        self.client, self.signer = client, signer

    async def get(self, path: str, who: Principal | None = None, **params: Any):
        owner = Principal(subject="o", kind="person", stores={SHOP: sorted(GRANTS[Role.VIEWER])})
        token = self.signer.sign(who or owner)
        return await self.client.get(path, params=params, headers={IDENTITY_HEADER: token})

    async def post(self, path: str):
        token = self.signer.sign(service_principal("scheduler"))
        return await self.client.post(path, json={}, headers={IDENTITY_HEADER: token})


@pytest.fixture
async def shop(engines: Engines, loader: Loader, valkey_url: str, tmp_path: Path) -> AsyncIterator[Shop]:
    seed = new_secret()
    signer = Signer(seed, SystemClock(), timedelta(minutes=5))
    peers = cast("Peers", Platform())
    deps = Deps(
        member="one", postgres_url="", warehouse_url=loader.store.warehouse.url, valkey=engines.valkey, log=engines.log,
        publish=Publisher(engines.log), clock=ManualClock(NOON), peers=peers, stores=StoreDirectory(peers),
        signer=signer, public_url="", data=str(tmp_path),
    )  # fmt: skip
    service = build(deps, Settings())
    app = create_app(service, HttpSettings(), Verifier(seed, Principal, SystemClock()).verify)
    async with AsyncTestClient(app) as client:
        yield Shop(client, signer)
    for stop in service.on_stop:
        await stop()


MINUTE = timedelta(minutes=1)
LINES = [{"product_id": "p", "quantity": 2, "price": 250, "name": "Mug"}]


@pytest.fixture
async def stories(engines: Engines, loader: Loader) -> None:
    """Cart a is open, b was left, contacted and recovered, c was left and held out, d was bought at once."""

    def at(minute: int) -> dict[str, object]:
        return {"occurred_at": NOON + minute * MINUTE}

    def cart(cart_id: str, value: int = 500, **more: object) -> dict[str, object]:
        return {"cart_id": cart_id, "cart_number": 1, "cart_value": value, "item_count": 2, "currency": "USD", **more}

    await engines.log.append(EVENTS_ENRICHED.name, [record(0, [
        event(1, type="product_added", **cart("b", cart_change="opened", user_id="bo", items=LINES), **at(0)),
        event(2, type="product_added", **cart("c", 900, cart_change="opened", user_id="cy"), **at(1)),
        event(3, type="product_added", **cart("d", cart_change="opened", user_id="di"), **at(2)),
        event(4, type="order_completed", **cart("d", cart_change="converted", user_id="di"), order_id="o1",
              amount=500, **at(3)),
        event(5, type="cart_abandoned", **cart("b", items=LINES), **at(30)),
        event(6, type="cart_abandoned", **cart("c", 900), **at(31)),
        event(7, type="order_completed", **cart("b", cart_change="recovered", user_id="bo"), order_id="o2",
              amount=450, **at(60)),
        event(8, type="cart_recovered", **cart("b"), **at(60)),
        event(9, type="product_added", **cart("a", 100, cart_change="opened", items=LINES), **at(70)),
        event(10, type="product_removed", **cart("a", 50, items=[LINES[0] | {"quantity": 1}]), **at(71)),
    ])])  # fmt: skip
    for cart_id, person, outcome in (("b", "bo", Outcome.CONTACT), ("c", "cy", Outcome.HELD_OUT)):
        scored = CartScored(
            id=f"p-{cart_id}", store_id=SHOP, occurred_at=NOON + 30 * MINUTE, probability=0.4, confidence=0.8,
            action=Action.REMINDER, reasons=["looked twice"], features={"visits": 2.0}, model_version="prior",
            expires_at=NOON + 90 * MINUTE,
            cart=Cart(cart_id=cart_id, number=1, value=500, currency="USD", items=[Item("p", 2)], user_id=person),
        )  # fmt: skip
        decided = InterventionEvent(
            id=f"i-{cart_id}-decided", store_id=SHOP, occurred_at=NOON + 30 * MINUTE, kind="decided",
            intervention_id=f"i-{cart_id}", cart_id=cart_id, cart_number=1, person_id=person, outcome=outcome,
            action=Action.REMINDER, channel="email", propensity=0.5,
            rules=[RuleAnswer(rule="threshold", passed=True, detail="0.4 is above 0.3"),
                   RuleAnswer(rule="holdout", passed=outcome is Outcome.CONTACT, detail="bucket 7")],
        )  # fmt: skip
        await Publisher(engines.log)(PREDICTION_RESULTS, [scored])
        await Publisher(engines.log)(INTERVENTION_EVENTS, [decided])
    delivered = msgspec.structs.replace(
        decided, id="i-b-delivered", kind="delivered", intervention_id="i-b", cart_id="b", person_id="bo",
        occurred_at=NOON + 40 * MINUTE,
    )  # fmt: skip
    await Publisher(engines.log)(INTERVENTION_EVENTS, [delivered])
    won = ConversionRecorded(
        id="c-o2", store_id=SHOP, occurred_at=NOON + 60 * MINUTE, order_id="o2", person_id="bo", cart_id="b",
        amount=450, currency="USD", intervention_id="i-b", outcome=Outcome.CONTACT, attributed=True, channel="email",
    )  # fmt: skip
    await Publisher(engines.log)(CONVERSION_EVENTS, [won])
    await load(loader)


async def test_the_overview_shows_the_shop_at_a_glance(stories: None, shop: Shop):
    found = (await shop.get("/analytics/overview")).json()

    assert (found["carts"], found["converted"], found["abandoned"], found["recovered"]) == (4, 1, 2, 1)
    assert (found["contacted"], found["held_out"], found["delivered"]) == (1, 1, 1)
    assert (found["abandonment_rate"], found["recovery_rate"]) == (0.5, 0.5)
    assert found["revenue"] == {"amount": 950, "currency": "USD"}
    assert found["attributed_revenue"] == {"amount": 450, "currency": "USD"}
    assert found["incremental_revenue"]["amount"] == 450


TAKEN = {"occurred_at": NOON + timedelta(days=3), "order_id": "o2"}
TAKEN_BACK = {
    "cancelled": ([event(20, type="order_cancelled", **TAKEN)], (500, 0, 1)),
    "paid back without an amount": ([event(20, type="order_refunded", **TAKEN)], (500, 0, 2)),
    "paid back in part": ([event(20, type="order_refunded", amount=150, **TAKEN)], (800, 300, 2)),
    "the same refund stored twice": ([event(20, type="order_refunded", amount=150, **TAKEN)] * 2, (800, 300, 2)),
    "two refunds": ([event(n, type="order_refunded", amount=150, **TAKEN) for n in (20, 21)], (650, 150, 2)),
    "more than was paid": ([event(20, type="order_refunded", amount=999, **TAKEN)], (500, 0, 2)),
    "another order's": ([event(20, type="order_cancelled", **{**TAKEN, "order_id": "o9"})], (950, 450, 2)),
}


@pytest.mark.parametrize(("events", "left"), TAKEN_BACK.values(), ids=TAKEN_BACK)
async def test_what_a_shop_takes_back_is_no_revenue(
    stories: None, engines: Engines, loader: Loader, shop: Shop, events, left: tuple[int, int, int]
):
    await engines.log.append(EVENTS_ENRICHED.name, [record(0, [each]) for each in events])
    await load(loader)
    day = {"from": NOON.isoformat(), "to": (NOON + timedelta(days=1)).isoformat()}
    found = (await shop.get("/analytics/overview", None, **day)).json()

    revenue, recovered, orders = left
    assert (found["revenue"]["amount"], found["recovered_revenue"]["amount"]) == (revenue, recovered)
    assert (found["incremental_revenue"]["amount"], found["orders"]) == (recovered, orders)
    assert found["recovered"] == 1


async def test_a_conversion_taken_back_is_attributed_to_nobody(
    stories: None, engines: Engines, loader: Loader, shop: Shop
):
    undone = ConversionRecorded(
        id="c-o2:taken_back:450", store_id=SHOP, occurred_at=NOON + 60 * MINUTE, order_id="o2", person_id="bo",
        cart_id="b", amount=-450, currency="USD", intervention_id="i-b", outcome=Outcome.CONTACT, attributed=True,
        channel="email", taken_back=True,
    )  # fmt: skip
    await Publisher(engines.log)(CONVERSION_EVENTS, [undone, undone])
    await load(loader)
    assert (await shop.get("/analytics/overview")).json()["attributed_revenue"]["amount"] == 0


async def test_every_cart_stands_in_its_stage(stories: None, shop: Shop):
    stages = ("open", "abandoned", "contacted", "recovered", "converted")
    boards = {stage: (await shop.get("/carts", stage=stage)).json() for stage in stages}

    assert {stage: [card["cart_id"] for card in board["items"]] for stage, board in boards.items()} == {
        "open": ["a"], "abandoned": ["c"], "contacted": [], "recovered": ["b"], "converted": ["d"],
    }  # fmt: skip
    (left,) = boards["abandoned"]["items"]
    assert (left["value"], left["probability"], left["outcome"], left["why"]) == (900, 0.4, "held_out", "bucket 7")
    (won,) = boards["recovered"]["items"]
    assert won["items"] == [{"product_id": "p", "quantity": 2, "price": 250, "name": "Mug"}]
    assert won["order_amount"] == 450


async def test_pages_follow_each_other_without_gap_or_repeat(stories: None, shop: Shop):
    seen, cursor = [], None
    while True:
        params = {"cursor": cursor} if cursor else {}
        page = (await shop.get("/carts", limit=1, **params)).json()
        seen += [card["cart_id"] for card in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert seen == ["a", "b", "d", "c"]
    assert (await shop.get("/carts", cursor="nonsense")).status_code == 400


async def test_a_story_says_what_happened_and_why(stories: None, shop: Shop):
    found = (await shop.get("/carts/b")).json()

    assert [moment["type"] for moment in found["events"]] == [
        "product_added", "cart_abandoned", "order_completed", "cart_recovered",
    ]  # fmt: skip
    assert found["predictions"][0]["reasons"] == ["looked twice"]
    assert [answer["rule"] for answer in found["decisions"][0]["rules"]] == ["threshold", "holdout"]
    assert [step["kind"] for step in found["deliveries"]] == ["delivered"]
    assert found["conversions"][0]["amount"] == 450
    assert (await shop.get("/carts/a")).json()["items"][0]["quantity"] == 1
    assert (await shop.get("/carts/unheard-of")).status_code == 404


async def test_live_figures_go_by_the_stores_clock(stories: None, shop: Shop):
    found = (await shop.get("/analytics/live")).json()

    assert found["as_of"].startswith("2026-03-02T13:11")
    assert found["events_per_minute"][-2:] == [1, 1]
    assert (found["open_carts"], found["abandoned_waiting"], found["value_at_risk"]["amount"]) == (1, 1, 900)


async def test_another_store_sees_nothing_of_it(stories: None, shop: Shop):
    stranger = Principal(subject="s", kind="person", stores={"another": sorted(GRANTS[Role.OWNER])})

    overview = (await shop.get("/analytics/overview", stranger)).json()
    assert (overview["events"], overview["orders"], overview["contacted"]) == (0, 0, 0)
    assert (await shop.get("/carts", stranger)).json()["items"] == []
    assert (await shop.get("/carts/b", stranger)).status_code == 404
    for path in (
        "/analytics/overview",
        "/analytics/revenue",
        "/analytics/conversion",
        "/analytics/live",
        "/carts",
        "/carts/b",
    ):
        assert (await shop.get(path, stranger, store_id=SHOP)).status_code == 403


async def test_a_period_needs_an_offset_and_an_order(shop: Shop):
    assert (await shop.get("/analytics/overview", None, **{"from": "2026-03-02T12:00:00"})).status_code == 400
    both = {"from": "2026-03-02T12:00:00Z", "to": "2026-03-02T12:00:00Z"}
    assert (await shop.get("/analytics/overview", None, **both)).status_code == 400


async def test_training_rows_are_labelled_once_their_end_is_known(
    stories: None, engines: Engines, loader: Loader, shop: Shop
):
    ai = service_principal("ai")
    early = pa.ipc.open_stream((await shop.get("/training/carts", ai, store_id=SHOP)).content).read_all().to_pylist()
    late = [event(99, type="clock", occurred_at=NOON + timedelta(days=9))]
    await engines.log.append(EVENTS_ENRICHED.name, [record(0, late)])
    await load(loader)
    whole = pa.ipc.open_stream((await shop.get("/training/carts", ai, store_id=SHOP)).content).read_all().to_pylist()

    assert [(row["cart_id"], row["converted"], row["order_amount"]) for row in early] == [("b", 1, 450)]
    assert [(row["cart_id"], row["converted"], row["outcome"]) for row in whole] == [
        ("b", 1, "contact"),
        ("c", 0, "held_out"),
    ]
    assert msgspec.json.decode(whole[0]["features"]) == {"visits": 2.0}
    assert (await shop.get("/training/carts")).status_code == 403


async def test_nightly_jobs_say_what_they_did(stories: None, shop: Shop):
    evaluated = (await shop.post("/internal/jobs/holdout-evaluation")).json()
    retained = (await shop.post("/internal/jobs/retention")).json()

    assert evaluated["result"] == "compared the arms of 1 stores; 1 of them have people in both"
    assert retained["result"] == "dropped 0 months past their lifetime, merged 5 tables"
