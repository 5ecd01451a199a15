"""Laws of the pure parts: quiet hours, the barrier, links, machines, credit."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis.strategies import binary, floats, integers, sampled_from, text, times
from tests.services.interventions.world import NOON, OPEN, SHOP, scored

from recoup.messages.facts import Outcome
from recoup.messages.stores import StoreSettings
from recoup.services.interventions.attribution.domain import Decided, Order, attribute
from recoup.services.interventions.decisions import domain
from recoup.services.interventions.decisions.domain import Case, Slot
from recoup.services.interventions.preferences.domain import Person, Wishes, traits
from recoup.services.interventions.preferences.quiet import end_of_quiet, is_quiet, zone_of
from recoup.services.interventions.shoppers import domain as shoppers
from recoup.services.interventions.templates.domain import money
from recoup.services.interventions.tracking.domain import Kind, Link, Touch, by_machine, opened, signed

ANN = Person(person_id="ann", linked=("ann",), email="ann@example.com", consent=True)
FREE = Slot(free=True, detail="")
ZONES = sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"]
)
MOMENTS = integers(1_704_067_200, 1_830_297_600).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def case(**fields: Any) -> Case:
    given_: dict[str, Any] = {
        "scored": scored(),
        "settings": OPEN,
        "person": ANN,
        "now": NOON,
        "present": False,
        "assigned_as": "ann",
    }
    return Case(**{**given_, **fields})


def decide(one: Case, slot: Slot = FREE):
    planned = domain.plan(one)
    return domain.conclude(one, planned, domain.ask(one, planned), slot)


@given(moment=MOMENTS, zone=ZONES, start=times(), end=times())
def test_the_end_of_quiet_is_never_quiet_never_earlier_and_never_far(moment, zone, start, end):
    where, quiet_from, quiet_until = ZoneInfo(zone), f"{start:%H:%M}", f"{end:%H:%M}"
    then = end_of_quiet(moment, where, quiet_from, quiet_until)
    assert moment <= then <= moment + timedelta(hours=50)
    assert not is_quiet(then, where, quiet_from, quiet_until)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-29T00:30:00+00:00", "2026-03-29T01:30:00+00:00"),  # 02:30 does not exist that night: 03:30 it is
        ("2026-10-25T00:10:00+00:00", "2026-10-25T00:30:00+00:00"),  # the first of two half past twos
        ("2026-06-01T10:00:00+00:00", "2026-06-01T10:00:00+00:00"),
    ],
)
def test_the_hour_that_is_missing_and_the_one_that_comes_twice(moment, expected):
    then = end_of_quiet(datetime.fromisoformat(moment), ZoneInfo("Europe/Berlin"), "22:00", "02:30")
    assert then == datetime.fromisoformat(expected)


@given(name=text(max_size=80))
def test_any_name_of_a_zone_is_survived(name):
    assert zone_of(name, "Europe/Berlin") is not None


@given(probability=floats(0, 1), threshold=floats(0, 1))
def test_nobody_is_contacted_at_or_below_the_threshold(probability, threshold):
    settings = msgspec.structs.replace(OPEN, threshold=threshold)
    decision = decide(case(scored=scored(probability=probability), settings=settings))
    assert (decision.outcome is Outcome.CONTACT) == (probability > threshold)


@given(minutes=integers(0, 10_080), hour=integers(0, 23), zone=ZONES)
def test_no_mail_is_planned_into_quiet_hours(minutes, hour, zone):
    settings = msgspec.structs.replace(OPEN, delay_minutes=minutes, timezone=zone)
    planned = domain.plan(
        case(scored=scored(at=NOON.replace(hour=hour)), settings=settings, now=NOON.replace(hour=hour))
    )
    assert not is_quiet(planned.due_at, ZoneInfo(zone), settings.quiet_from, settings.quiet_until)
    assert planned.due_at >= NOON.replace(hour=hour) + timedelta(minutes=minutes)


def test_a_message_that_could_only_leave_when_it_is_of_no_use_is_skipped():
    late = scored(at=NOON, expires_at=NOON)
    person = msgspec.structs.replace(ANN, wishes=Wishes(quiet_from="00:00", quiet_until="23:59"))
    settings = msgspec.structs.replace(OPEN, delay_minutes=0)
    planned = msgspec.structs.replace(domain.plan(case(scored=late, settings=settings, person=person)), expires_at=NOON)
    answers = domain.ask(case(scored=late, person=person), planned)
    assert [answer.rule for answer in answers if not answer.passed] == ["timing"]


@given(share=floats(0, 1), person=text(min_size=1, max_size=20))
def test_the_holdout_takes_its_share_and_only_of_the_eligible(share, person):
    settings = msgspec.structs.replace(OPEN, holdout=share)
    decision = decide(case(settings=settings, assigned_as=person))
    below = domain.draw(SHOP, person) < share
    assert decision.outcome is (Outcome.HELD_OUT if below else Outcome.CONTACT)
    assert decision.propensity == pytest.approx(share if below else 1 - share)
    assert decide(case(settings=settings, assigned_as=person), Slot(free=False, detail="")).outcome is Outcome.SKIPPED


def test_the_draw_is_even():
    drawn = [domain.draw(SHOP, f"person-{number}") for number in range(20_000)]
    assert sum(one < 0.1 for one in drawn) / len(drawn) == pytest.approx(0.1, abs=0.008)


def test_the_page_comes_before_the_mail_where_somebody_is_there():
    assert domain.plan(case(present=True)).channel == "websocket"
    assert (
        domain.plan(case(present=True, person=msgspec.structs.replace(ANN, wishes=Wishes(channels=("email",))))).channel
        == "email"
    )


@given(said=text())
def test_properties_of_any_kind_are_survived(said):
    traits(said)
    assert traits(msgspec.json.encode({"email": said}).decode()).email in {None, said.strip().lower()}


def test_an_address_cannot_smuggle_a_header():
    assert traits('{"email": "ann@example.com\\nBcc: all@example.com"}').email is None


LINK = Link("clicked", SHOP, uuid4(), "https://shop.example/?cart=1")


@given(key=binary(min_size=1), junk=text())
def test_only_what_we_signed_opens(key, junk):
    assert opened(key, signed(key, LINK)) == LINK
    assert opened(key + b"x", signed(key, LINK)) is None
    assert opened(key, junk) is None


@given(place=integers(0, 200))
def test_a_changed_token_opens_nothing(place):
    token = signed(b"key", LINK)
    place %= len(token)
    changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
    assert opened(b"key", changed) in {None, LINK}  # the last letter may carry bits that mean nothing
    assert place == len(token) - 1 or opened(b"key", changed) is None


def touch(kind: Kind = "clicked", seconds: float = 0.0, target: str = "", **fields: Any) -> Touch:
    at = NOON + timedelta(seconds=seconds)
    return Touch(
        id=uuid4(), store_id=SHOP, intervention_id=LINK.intervention_id, person_id="ann", cart_id="c", cart_number=1,
        kind=kind, channel="email", target=target, at=at, received_at=at, **fields,
    )  # fmt: skip


def test_a_machine_follows_every_link_at_once_and_a_person_does_not():
    scanner = [touch("opened", 43.0), touch(seconds=43.1, target="cart"), touch("visited", 43.4, "unsubscribe")]
    reader = [touch("opened", 600.0), touch(seconds=600.2, target="cart"), touch(seconds=640.0, target="shop")]
    assert by_machine([*scanner, *reader]) == {scanner[0].id, scanner[1].id}


def decided(hours: float, outcome=Outcome.CONTACT) -> Decided:
    return Decided(id=uuid4(), person_id="ann", cart_id="c", outcome=outcome, decided_at=NOON - timedelta(hours=hours))


ORDER = Order(store_id=SHOP, order_id="o", person_id="ann", cart_id="c", amount=1, currency="USD", ordered_at=NOON)
WEEK = timedelta(days=7)


def test_an_order_is_credited_to_the_last_decision_before_it():
    early, late, after = decided(30), decided(2, Outcome.HELD_OUT), decided(-1)
    conversion = attribute(ORDER, [early, late, after], [], WEEK)
    assert conversion is not None
    assert (conversion.intervention_id, conversion.outcome, conversion.attributed) == (
        str(late.id),
        Outcome.HELD_OUT,
        False,
    )


@pytest.mark.parametrize(
    ("touches", "attributed"),
    [
        ([touch("delivered", -60)], True),
        ([touch("clicked", -60, machine=True)], False),
        ([touch("dismissed", -60)], False),
        ([touch("clicked", 60)], False),
        ([touch("clicked", -8 * 24 * 3600)], False),
    ],
)
def test_only_a_human_touch_within_the_window_counts(touches, attributed):
    conversion = attribute(ORDER, [decided(1)], touches, WEEK)
    assert conversion is not None
    assert conversion.attributed is attributed


def test_an_order_outside_the_window_is_nobodys():
    assert attribute(ORDER, [decided(24 * 8)], [], WEEK) is None


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [(199_900, "USD", "$1,999.00"), (1_999, "JPY", "¥1,999"), (1_999, "CHF", "CHF 19.99"), (1_999, "KWD", "KWD 1.999")],
)
def test_money_is_shown_with_its_own_digits(amount, currency, shown):
    assert money(amount, currency) == shown


def test_default_settings_need_consent():
    assert domain.reachable(msgspec.structs.replace(ANN, consent=None), StoreSettings(), present=False) == []


def test_a_cart_that_was_left_twice_under_one_number_is_told_once_with_the_last_time():
    def left(hours: int, store_id: str = SHOP, cart_id: str = "c") -> Any:
        at = NOON + timedelta(hours=hours)
        return {"type": "cart_abandoned", "store_id": store_id, "cart_id": cart_id, "cart_number": 1, "occurred_at": at}

    told = shoppers.abandoned([left(9), left(0), left(1, "another"), left(2, cart_id="d")])

    assert {(cart.store_id, cart.cart_id): (cart.at - NOON) // timedelta(hours=1) for cart in told} == {
        (SHOP, "c"): 9, ("another", "c"): 1, (SHOP, "d"): 2,
    }  # fmt: skip
    assert len(told) == 3
