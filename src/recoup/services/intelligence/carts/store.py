"""Carts as the warehouse knows them. The store stands in every `where`; whatever varies is a parameter."""

# The pieces of SQL put together here are constants of ours; whatever a caller gives is a parameter.
# ruff: noqa: S608

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from msgspec import Struct

from recoup.kit.errors import Missing
from recoup.kit.warehouse import Value, Warehouse
from recoup.messages.facts import Outcome, RuleAnswer
from recoup.services.intelligence.carts.domain import (
    Card,
    ConversionMoment,
    DecisionMoment,
    DeliveryMoment,
    EventMoment,
    Line,
    PredictionMoment,
    Stage,
)

# Carts with their stage. An aggregate over the few rows of a cart that are not merged yet.
_CARTS: Final = """(
    select
        c.cart_id as cart_id, c.number as number,
        min(c.first_activity) as first_activity_at,
        max(c.last_activity) as last_activity_at,
        toUnixTimestamp64Milli(max(c.last_activity)) as last_ms,
        nullIf(max(c.abandoned_at), toDateTime64(0, 3, 'UTC')) as abandoned_at,
        nullIf(max(c.expired_at), toDateTime64(0, 3, 'UTC')) as expired_at,
        max(c.standing) as standing, max(c.contents) as contents,
        nullIf(max(c.user_id), '') as user_id, nullIf(max(c.anonymous_id), '') as anonymous_id,
        max(c.currency) as currency, nullIf(max(c.order_amount), 0) as order_amount,
        multiIf(
            toUnixTimestamp64Milli(max(c.recovered_at)) > 0, 'recovered',
            toUnixTimestamp64Milli(max(c.converted_at)) > 0, 'converted',
            toUnixTimestamp64Milli(max(c.abandoned_at)) = 0, 'open',
            (c.cart_id, c.number) in (
                select i.cart_id, i.cart_number from interventions_log as i
                where i.store_id = {store_id:String} and i.kind = 'delivered'
            ), 'contacted',
            'abandoned'
        ) as stage
    from carts as c
    where c.store_id = {store_id:String}
    group by c.cart_id, c.number
)"""

_FIELDS: Final = """
    cart_id, number, stage, first_activity_at, last_activity_at, last_ms, abandoned_at, expired_at,
    user_id, anonymous_id, currency, order_amount, standing.3 as value, standing.4 as item_count,
    contents.2 as products, contents.3 as quantities, contents.4 as prices, contents.5 as names
"""

_BOARD: Final = f"""
    select {_FIELDS} from {_CARTS}
    where ({{stage:String}} = '' or stage = {{stage:String}})
        and (last_ms, cart_id, number) < ({{last:Int64}}, {{cart_id:String}}, {{number:UInt32}})
    order by last_ms desc, cart_id desc, number desc
    limit {{limit:UInt32}}
"""

_LATEST: Final = f"""
    select {_FIELDS} from {_CARTS}
    where cart_id = {{cart_id:String}}
    order by number desc
    limit 1
"""

_PREDICTED: Final = """
    select cart_id, cart_number, argMax(probability, occurred_at) as probability
    from prediction_logs final
    where store_id = {store_id:String} and cart_id in {carts:Array(String)}
    group by cart_id, cart_number
"""

# The last decision about a cart, the first rule against it, and what has happened to its message since.
_DECIDED: Final = """
    select
        cart_id, cart_number,
        argMaxIf(toString(i.outcome), occurred_at, kind = 'decided') as outcome,
        argMaxIf(toString(i.action), occurred_at, kind = 'decided') as action,
        argMaxIf(toString(i.channel), occurred_at, kind = 'decided') as channel,
        argMaxIf(arrayFirst((d, p) -> not p, i.rules.detail, i.rules.passed), occurred_at, kind = 'decided') as why,
        argMax(toString(i.kind), (occurred_at, kind != 'decided')) as latest
    from interventions_log as i final
    where store_id = {store_id:String} and cart_id in {carts:Array(String)}
    group by cart_id, cart_number
"""

_CART: Final = "store_id = {store_id:String} and cart_id = {cart_id:String}"


class _Row(Struct, frozen=True):
    cart_id: str
    number: int
    stage: Stage
    first_activity_at: datetime
    last_activity_at: datetime
    last_ms: int
    abandoned_at: datetime | None
    expired_at: datetime | None
    user_id: str | None
    anonymous_id: str | None
    currency: str
    order_amount: int | None
    value: int
    item_count: int
    products: list[str]
    quantities: list[int]
    prices: list[int]
    names: list[str]


class _Predicted(Struct, frozen=True):
    cart_id: str
    cart_number: int
    probability: float


class _Decided(Struct, frozen=True):
    cart_id: str
    cart_number: int
    outcome: str
    action: str
    channel: str
    why: str
    latest: str


class _Event(Struct, frozen=True):
    event_id: str
    type: str
    occurred_at: datetime
    cart_number: int
    cart_change: str
    cart_value: int
    amount: int | None
    currency: str
    order_id: str
    page_url: str
    products: list[str]
    quantities: list[int]
    prices: list[int]
    names: list[str]


class _Decision(Struct, frozen=True):
    id: str
    intervention_id: str
    occurred_at: datetime
    cart_number: int
    outcome: str
    channel: str
    action: str
    discount_percent: int
    propensity: float
    rules: list[str]
    passed: list[bool]
    details: list[str]


class Place(NamedTuple):
    """Where a page begins: after the cart that had its last activity then."""

    last_activity: int
    cart_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Store:
    """What the board asks."""

    warehouse: Warehouse

    async def page(self, store_id: str, stage: Stage | None, after: Place, limit: int) -> list[Card]:
        """The carts that follow `after`, latest activity first."""
        rows = await self.warehouse.rows(
            _Row,
            _BOARD,
            {
                "store_id": store_id, "stage": stage or "", "limit": limit,
                "last": after.last_activity, "cart_id": after.cart_id, "number": after.number,
            },
        )  # fmt: skip
        return await self._with_decisions(store_id, rows)

    async def latest(self, store_id: str, cart_id: str) -> Card:
        """The newest cart under an id; raises Missing."""
        rows = await self.warehouse.rows(_Row, _LATEST, {"store_id": store_id, "cart_id": cart_id})
        cards = await self._with_decisions(store_id, rows)
        if not cards:
            raise Missing(f"no cart {cart_id!r}")
        return cards[0]

    async def _with_decisions(self, store_id: str, rows: Sequence[_Row]) -> list[Card]:
        if not rows:
            return []
        scope: dict[str, Value] = {"store_id": store_id, "carts": sorted({row.cart_id for row in rows})}
        predicted = {
            (found.cart_id, found.cart_number): found
            for found in await self.warehouse.rows(_Predicted, _PREDICTED, scope)
        }
        decided = {
            (found.cart_id, found.cart_number): found for found in await self.warehouse.rows(_Decided, _DECIDED, scope)
        }
        return [
            _card(row, predicted.get((row.cart_id, row.number)), decided.get((row.cart_id, row.number))) for row in rows
        ]

    async def events(self, store_id: str, cart_id: str, limit: int) -> list[EventMoment]:
        """The last events that bore the cart's id, by time."""
        rows = await self.warehouse.rows(
            _Event,
            f"""
            select * from (
                select
                    toString(e.event_id) as event_id, e.type as type, e.occurred_at as occurred_at,
                    e.cart_number as cart_number, e.cart_change as cart_change, e.cart_value as cart_value,
                    e.amount as amount, e.currency as currency,
                    e.order_id as order_id, e.page_url as page_url, e.items.product_id as products,
                    e.items.quantity as quantities, e.items.price as prices, e.items.name as names
                from events_processed as e
                where {_CART} order by occurred_at desc limit {{limit:UInt32}}
            )
            order by occurred_at, type in ('cart_abandoned', 'cart_recovered', 'cart_expired')
            """,
            {"store_id": store_id, "cart_id": cart_id, "limit": limit},
        )
        return [_event(row) for row in rows]

    async def predictions(self, store_id: str, cart_id: str) -> list[PredictionMoment]:
        return await self.warehouse.rows(
            PredictionMoment,
            "select id, occurred_at, cart_number, probability, confidence, action, reasons, model_version"
            f" from prediction_logs final where {_CART} order by occurred_at",
            {"store_id": store_id, "cart_id": cart_id},
        )

    async def decisions(self, store_id: str, cart_id: str) -> list[DecisionMoment]:
        rows = await self.warehouse.rows(
            _Decision,
            "select id, intervention_id, occurred_at, cart_number, outcome, channel, action, discount_percent,"
            " propensity, rules.rule as rules, rules.passed as passed, rules.detail as details"
            f" from interventions_log final where {_CART} and kind = 'decided' order by occurred_at",
            {"store_id": store_id, "cart_id": cart_id},
        )
        return [_decision(row) for row in rows]

    async def deliveries(self, store_id: str, cart_id: str) -> list[DeliveryMoment]:
        return await self.warehouse.rows(
            DeliveryMoment,
            "select id, intervention_id, occurred_at, cart_number, kind, channel, machine, detail"
            f" from interventions_log final where {_CART} and kind != 'decided' order by occurred_at",
            {"store_id": store_id, "cart_id": cart_id},
        )

    async def conversions(self, store_id: str, cart_id: str) -> list[ConversionMoment]:
        return await self.warehouse.rows(
            ConversionMoment,
            "select id, occurred_at, order_id, amount, currency, outcome, attributed, channel"
            " from conversions_log final where store_id = {store_id:String} and (cart_id = {cart_id:String}"
            f" or intervention_id in (select intervention_id from interventions_log where {_CART}))"
            " order by occurred_at",
            {"store_id": store_id, "cart_id": cart_id},
        )


def _lines(
    products: Sequence[str], quantities: Sequence[int], prices: Sequence[int], names: Sequence[str]
) -> list[Line]:
    columns = zip(products, quantities, prices, names, strict=True)
    return [Line(product, quantity, price, name or None) for product, quantity, price, name in columns]


def _card(row: _Row, predicted: _Predicted | None, decided: _Decided | None) -> Card:
    on_its_way = decided is not None and decided.outcome == Outcome.CONTACT and decided.latest == "decided"
    return Card(
        cart_id=row.cart_id, number=row.number, stage=row.stage, value=row.value, currency=row.currency,
        item_count=row.item_count, items=_lines(row.products, row.quantities, row.prices, row.names),
        user_id=row.user_id, anonymous_id=row.anonymous_id,
        first_activity_at=row.first_activity_at, last_activity_at=row.last_activity_at,
        abandoned_at=row.abandoned_at, expired_at=row.expired_at, order_amount=row.order_amount,
        probability=predicted.probability if predicted else None,
        action=decided.action or None if decided else None,
        outcome=decided.outcome or None if decided else None,
        why=decided.why or None if decided else None,
        next=f"A {decided.action} by {decided.channel} is on its way" if decided and on_its_way else None,
    )  # fmt: skip


def _event(row: _Event) -> EventMoment:
    return EventMoment(
        event_id=row.event_id, type=row.type, occurred_at=row.occurred_at, cart_number=row.cart_number,
        cart_change=row.cart_change, cart_value=row.cart_value, amount=row.amount, currency=row.currency,
        order_id=row.order_id, page_url=row.page_url,
        items=_lines(row.products, row.quantities, row.prices, row.names),
    )  # fmt: skip


def _decision(row: _Decision) -> DecisionMoment:
    answers = zip(row.rules, row.passed, row.details, strict=True)
    return DecisionMoment(
        id=row.id, intervention_id=row.intervention_id, occurred_at=row.occurred_at, cart_number=row.cart_number,
        outcome=row.outcome, channel=row.channel, action=row.action, discount_percent=row.discount_percent,
        propensity=row.propensity,
        rules=[RuleAnswer(rule=rule, passed=passed, detail=detail) for rule, passed, detail in answers],
    )  # fmt: skip
