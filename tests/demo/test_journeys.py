"""What shoppers do, as events the platform takes."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from recoup.demo import journeys
from recoup.demo.people import Contact, Shopper, Truth, draw
from recoup.messages.events import Event

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def shopper(truth: Truth = Truth.GONE, contact: Contact = Contact.REACHABLE) -> Shopper:
    crowd = draw(np.random.default_rng(3), 2000, NOON, 1)
    return next(one for one in crowd if (one.truth, one.contact) == (truth, contact))


def types(events: list[Event]) -> list[str]:
    return [str(event.type) for event in events]


def test_who_buys_pays_for_the_basket_within_the_visit():
    buyer = shopper(Truth.BUYS)
    order = journeys.visit(buyer)[-1]
    assert (order.type, order.amount, order.cart_id) == ("order_completed", buyer.value, buyer.cart_id)
    assert tuple(order.items) == buyer.basket


@pytest.mark.parametrize("truth", [Truth.RETURNS, Truth.PERSUADABLE, Truth.GONE])
def test_who_leaves_does_not_pay_during_the_visit(truth: Truth):
    assert "order_completed" not in types(journeys.visit(shopper(truth)))


def test_who_browses_has_no_cart():
    assert all(event.cart_id is None for event in journeys.visit(shopper(Truth.BROWSES)))


def test_an_unasked_return_comes_later_and_pays_for_the_same_cart():
    person = shopper(Truth.RETURNS)
    returned = journeys.unasked_return(person)
    assert returned[0].occurred_at > journeys.visit(person)[-1].occurred_at + timedelta(hours=1)
    assert returned[-1].cart_id == person.cart_id
    assert returned[-1].amount == person.value


@pytest.mark.parametrize(
    ("contact", "said"),
    [(Contact.REACHABLE, [True]), (Contact.WITHOUT_CONSENT, [False]), (Contact.ANONYMOUS, [])],
)
def test_people_say_of_themselves_what_they_want_known(contact: Contact, said: list[bool]):
    events = journeys.visit(shopper(contact=contact))
    found = [msgspec.json.decode(event.properties) for event in events if event.type == "user_identified"]
    assert [one["consent"] for one in found] == said
    assert any(event.user_id for event in events) == bool(said)


def test_events_of_all_journeys_have_ids_of_their_own_and_times_that_rise():
    person = shopper(Truth.PERSUADABLE)
    events = [*journeys.visit(person), *journeys.response(person, NOON + timedelta(days=1))]
    assert len({event.event_id for event in events}) == len(events)
    assert [event.occurred_at for event in events] == sorted(event.occurred_at for event in events)


def test_events_survive_the_way_over_the_wire():
    events = journeys.visit(shopper(Truth.BUYS))
    assert msgspec.json.decode(msgspec.json.encode(events), type=list[Event]) == events
