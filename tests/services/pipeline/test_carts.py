"""The cart rules, as tables and laws."""

from hypothesis import example, given
from hypothesis import strategies as st

from recoup.messages.events import CartChange, EventType
from recoup.services.pipeline.carts.domain.cart import (
    CHANGING,
    CartEvent,
    CartState,
    Derived,
    Patience,
    apply,
    be_active,
    elapse,
    is_forgettable,
)

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
PATIENCE = Patience(idle=30 * MINUTE, recovery=7 * DAY)
START = 10 * DAY


def fold(*events: tuple[str, int], until: int = 0) -> tuple[CartState, list[str], list[CartChange]]:
    """A cart after events given as type and minutes, then left alone until a minute."""
    cart = CartState()
    derived: list[Derived] = []
    changes: list[CartChange] = []
    for kind, minute in events:
        at = START + minute * MINUTE
        if kind not in CHANGING:
            derived += be_active(cart, at, PATIENCE)
            continue
        lines = () if kind == EventType.ORDER_COMPLETED else (("mug", 1, 500, None, None, None, None),)
        change, facts = apply(cart, CartEvent(kind, at, lines, "USD", None, "visitor", None), PATIENCE)
        derived += facts
        changes += [change] if change else []
    derived += elapse(cart, START + until * MINUTE, PATIENCE) if until else []
    return cart, [fact.type.value for fact in derived], changes


def test_a_cart_idle_for_half_an_hour_is_abandoned_at_that_very_moment() -> None:
    assert fold(("product_added", 0), until=29)[1] == []
    assert fold(("product_added", 0), until=30)[1] == ["cart_abandoned"]


def test_any_event_of_the_cart_is_activity() -> None:
    assert fold(("product_added", 0), ("page_viewed", 20), until=49)[1] == []


def test_a_cart_is_abandoned_once() -> None:
    _, derived, _ = fold(("product_added", 0), ("page_viewed", 40), ("product_added", 90), until=200)

    assert derived == ["cart_abandoned"]


def test_an_order_converts_a_cart_or_recovers_an_abandoned_one() -> None:
    assert fold(("product_added", 0), ("order_completed", 10))[2] == [CartChange.OPENED, CartChange.CONVERTED]
    _, derived, changes = fold(("product_added", 0), ("order_completed", 60))
    assert (derived, changes) == (
        ["cart_abandoned", "cart_recovered"],
        [CartChange.OPENED, CartChange.RECOVERED],
    )


def test_whoever_adds_to_an_abandoned_cart_has_returned() -> None:
    assert fold(("product_added", 0), ("product_added", 20))[2] == [CartChange.OPENED]
    assert fold(("product_added", 0), ("page_viewed", 40), ("product_added", 41))[2] == [
        CartChange.OPENED, CartChange.RETURNED,
    ]  # fmt: skip


def test_amounts_of_different_currencies_are_never_added() -> None:
    cart = CartState()
    told = [("mug", "EUR", 0), ("pen", "USD", 2), ("hat", "EUR", 1), ("mug", "USD", 3)]
    worth: list[tuple[int, int, str | None]] = []
    for product, currency, minute in told:
        line = (product, 1, 500, None, None, None, None)
        event = CartEvent("product_added", START + minute * MINUTE, [line], currency, None, "visitor", None)
        apply(cart, event, PATIENCE)
        worth.append((cart.value, cart.pieces, cart.currency))

    # The newest currency wins; what was priced in another has no price, also when it comes late, until it is said anew.
    assert worth == [(500, 1, "EUR"), (500, 2, "USD"), (500, 3, "USD"), (1_500, 4, "USD")]


def test_an_order_after_the_window_comes_too_late() -> None:
    _, derived, changes = fold(("product_added", 0), ("order_completed", 8 * 24 * 60))

    assert derived == ["cart_abandoned", "cart_expired"]
    assert changes == [CartChange.OPENED]


def test_what_is_added_after_an_order_opens_a_new_cart_under_the_same_id() -> None:
    cart, _, changes = fold(("product_added", 0), ("order_completed", 5), ("product_added", 6))

    assert (cart.number, cart.pieces) == (2, 1)
    assert changes == [CartChange.OPENED, CartChange.CONVERTED, CartChange.OPENED]


def test_a_glance_at_a_paid_cart_does_not_open_a_new_one() -> None:
    cart, _, _ = fold(("product_added", 0), ("order_completed", 5), ("cart_viewed", 6))

    assert not cart.is_open


def test_an_emptied_cart_is_not_abandoned() -> None:
    assert fold(("product_added", 0), ("product_removed", 1), until=500)[1] == []


def test_an_emptied_cart_is_forgotten_after_the_window_and_what_is_added_then_opens_a_first_one() -> None:
    week = 7 * 24 * 60
    emptied = ("product_added", 0), ("product_removed", 1)
    assert fold(*emptied, ("product_added", 1 + week))[2] == [CartChange.OPENED]
    cart, derived, changes = fold(*emptied, ("product_added", 2 + week))
    assert (cart.number, derived, changes) == (1, [], [CartChange.OPENED, CartChange.OPENED])


steps = st.lists(
    st.tuples(
        st.sampled_from(["product_added", "product_removed", "order_completed", "page_viewed", "cart_updated"]),
        st.integers(0, 20_000),
    ),
    max_size=30,
)


@given(steps)
def test_no_cart_is_abandoned_or_recovered_more_often_than_opened(events: list[tuple[str, int]]) -> None:
    _, derived, changes = fold(*sorted(events, key=lambda event: event[1]), until=40_000)

    opened = changes.count(CartChange.OPENED)
    assert derived.count("cart_abandoned") <= opened
    assert changes.count(CartChange.RECOVERED) == derived.count("cart_recovered") <= derived.count("cart_abandoned")


@given(steps)
@example([("product_added", 0), ("product_removed", 0), ("product_added", 7 * 24 * 60 + 1)])
def test_every_opened_cart_ends_in_exactly_one_way_or_is_still_open(events: list[tuple[str, int]]) -> None:
    told = sorted(events, key=lambda event: event[1])
    cart, derived, changes = fold(*told)

    ended = changes.count(CartChange.CONVERTED) + changes.count(CartChange.RECOVERED) + derived.count("cart_expired")
    assert changes.count(CartChange.OPENED) == ended + left_empty(told) + cart.is_open


def left_empty(told: list[tuple[str, int]]) -> int:
    """How often an open cart without items was forgotten: that long nothing came for it."""
    before = ((fold(*told[:number])[0], START + minute * MINUTE) for number, (_, minute) in enumerate(told))
    return sum(cart.is_open and is_forgettable(cart, at, PATIENCE) for cart, at in before)


@given(steps, st.integers(0, 29))
def test_the_timer_never_rings_too_late(events: list[tuple[str, int]], early: int) -> None:
    cart, _, _ = fold(*sorted(events, key=lambda event: event[1]))
    deadline = cart.deadline(PATIENCE)

    assert not cart.is_open or elapse(cart, deadline - (early + 1), PATIENCE) == []
