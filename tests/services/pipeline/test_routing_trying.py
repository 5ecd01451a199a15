"""A rule is tried on an event before it is saved, and queues are counted; on real engines."""

import msgspec
import pyarrow as pa
import pytest
from tests.services.pipeline.receiver import receiver
from tests.services.pipeline.routing_desk import OTHER, office, row

from recoup.kit.errors import Invalid
from recoup.messages.events import ENRICHED
from recoup.services.pipeline.routing.domain.conditions import FIELDS, Limits, operators_of, parse
from recoup.services.pipeline.routing.domain.payload import documents
from recoup.services.pipeline.routing.domain.samples import answers, row_of

LIMITS = Limits(depth=6, comparisons=50, values=200)
EVENT = {
    "event_id": "0197a3c0-0000-7000-8000-000000000001", "type": "cart_abandoned", "store_id": "s",
    "occurred_at": "2026-06-01T12:00:59Z", "cart_value": 12_900, "user_id": "ada", "user_orders": 1,
    "items": [{"product_id": "mug", "quantity": 1, "price": 1_900}], "properties": {"gift": True},
    "routed_by": ["carts"],
}  # fmt: skip


def compared(field: str, operator: str, value: object = None) -> dict[str, object]:
    return {"field": field, "operator": operator} | ({} if value is None else {"value": value})


def test_each_comparison_says_whether_it_means_the_event() -> None:
    said = {
        "all": [
            compared("type", "equals", "cart_abandoned"),
            {"any": [compared("cart_value", "below", 10_000), compared("items.product_id", "starts_with", "mu")]},
            {"not": compared("properties.gift", "equals", value=False)},
            compared("occurred_at", "above", "2026-06-01T00:00:00+00:00"),
            compared("segment", "equals", "customer"),
        ]
    }
    found = list(answers(parse(said, LIMITS), row_of(EVENT)))
    assert [(one.place, one.matches) for one in found] == [
        ("when.all[0]", True),
        ("when.all[1].any[0]", False),
        ("when.all[1].any[1]", True),
        ("when.all[2].not", False),
        ("when.all[3]", True),
        ("when.all[4]", True),
    ]


def test_what_receivers_get_becomes_the_same_row_again() -> None:
    given = pa.Table.from_pylist([row(cart_value=5, is_weekend=True, properties='{"a":1}')], schema=ENRICHED)
    (document,) = documents(given)
    assert row_of(msgspec.json.decode(msgspec.json.encode(document))).table.equals(given)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"cart_valeu": 1}, "event.cart_valeu"), ({"cart_value": "12"}, "event.cart_value"),
        ({"occurred_at": "2026-06-01"}, "event.occurred_at"), ({"properties": []}, "event.properties"),
        ({"items": "mug"}, "event.items"), ({"event_id": "1"}, "event.event_id"),
        ({"cart_value": 2**70}, "event.cart_value"),
    ],
)  # fmt: skip
def test_what_no_row_could_hold_is_refused_by_its_place(wrong: dict[str, object], place: str) -> None:
    with pytest.raises(Invalid) as refusal:
        row_of(wrong)
    assert [problem.field for problem in refusal.value.problems] == [place]


def test_every_field_offers_only_what_it_takes() -> None:
    values = {"text": "a", "number": 1, "flag": True, "time": "2026-06-01T00:00:00Z"}
    for name, field in FIELDS.items():
        for operator in operators_of(field):
            value = values[field.kind.value]
            given = {"exists": None, "in": [value]}.get(operator.value, value)
            parse(compared(name, operator.value, given), LIMITS)


async def test_a_rule_is_tried_and_deliveries_are_counted_for_their_own_store_only(valkey_url, database) -> None:
    async with office(valkey_url, database) as shop, receiver() as there:
        when = compared("type", "equals", "cart_abandoned")
        answer = await shop.ask("POST", "/rules/try", json={"when": when, "event": EVENT})
        assert answer == {
            "matches": True, "segment": "customer", "comparisons": [{"place": "when", "matches": True}],
        }  # fmt: skip
        wrong = compared("typ", "equals", "x")
        refusal = await shop.ask("POST", "/rules/try", json={"when": wrong, "event": EVENT}, status=400)
        assert refusal["code"] == "condition_invalid"
        fields = await shop.ask("GET", "/fields")
        assert {"name": "is_weekend", "kind": "flag", "operators": ["equals", "in", "exists"]} in fields["items"]

        id_, _ = await shop.webhook(f"http://127.0.0.1:{there.port}/ok")
        await shop.webhook(f"http://127.0.0.1:{there.port}/ok", store=OTHER)
        await shop.enriched(row(), row())
        await shop.route()
        (queue,) = (await shop.ask("GET", "/queues"))["items"]
        assert (queue["destination_id"], queue["status"], queue["deliveries"]) == (id_, "waiting", 1)
        await shop.send()
        (queue,) = (await shop.ask("GET", "/queues"))["items"]
        assert queue["status"] == "delivered"
        assert (await shop.ask("GET", "/queues", store=OTHER))["items"] == []
