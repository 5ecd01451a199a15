"""From a score to a recommendation with reasons. Pure: same features and score, same words."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from msgspec import Struct

from recoup.kit.ids import derived_id
from recoup.messages.facts import Action, CartScored
from recoup.messages.stores import StoreSettings
from recoup.services.ai.features.domain.definitions import SEGMENTS, Features
from recoup.services.ai.features.domain.findings import Abandoned
from recoup.services.ai.models.domain import Contribution, Scored

MARGIN: Final = 0.4
"""Share of a cart's value that is left after the goods are paid, until the shop tells us."""
MESSAGE_COST: Final = 2
"""Minor units a message costs in money and patience; where less is to be won, silence is better."""
REASONS: Final = 3
SMALLEST_REASON: Final = 0.05
"""Log-odds under which a contribution isn't worth a sentence."""


class Prediction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who would come back, and what would bring them."""

    cart_id: str | None = None
    probability: float
    """Of an order within the recovery window, without our doing; 0 to 1, calibrated where a trained model answers."""
    confidence: float
    """How far the probability rests on this shop's own outcomes, 0 to 1; low for the prior."""
    recommended_action: Action
    recommended_discount: int | None = None
    """Percent, with action `discount`."""
    reasons: list[str]
    features: Features
    model_version: str
    computed_at: datetime
    expires_at: datetime
    stale: bool = False
    """The cart has changed since; ask `POST /predict` for a fresh one."""


class Advice(NamedTuple):
    """An action and the sentence that defends it."""

    action: Action
    discount_percent: int
    reason: str


def advise(probability: float, features: Mapping[str, float | None], discount_percent: int) -> Advice:
    """The action with the highest expected extra margin, and none where none pays.

    The extra chance of each action is a stated assumption until uplift is measured: a reminder moves 3 of 100 who
    would not have come, urgency 5 of those who were paying already, a discount 4 to 24 by how much price matters.
    """
    value = features.get("cart_value") or 0
    paying = (features.get("checkout_depth") or 0) >= 2  # noqa: PLR2004 - checkout started, see the definition
    stay = 1 - probability
    price = _price_matters(features)
    share = discount_percent / 100
    moved = (0.04 + 0.2 * price) * stay
    worth = {
        Action.REMINDER: value * MARGIN * 0.03 * stay - MESSAGE_COST,
        Action.URGENCY: value * MARGIN * (0.05 if paying else 0.02) * stay - MESSAGE_COST,
        Action.DISCOUNT: value * (MARGIN * moved - share * (probability + moved)) - MESSAGE_COST,
    }
    best = max(worth, key=lambda action: worth[action])
    if worth[best] <= 0:
        return Advice(Action.NONE, 0, "no message is worth more than it costs for this cart")
    if best is Action.DISCOUNT and discount_percent:
        return Advice(
            best, discount_percent, "price matters to this shopper, so a discount should earn more than it gives away"
        )
    if worth[Action.URGENCY] > worth[Action.REMINDER]:
        return Advice(
            Action.URGENCY, 0, "the shopper was already on the way to pay, so a nudge without a discount should do"
        )
    return Advice(
        Action.REMINDER,
        0,
        "a plain reminder earns more here than a discount, which would be given to many who buy anyway",
    )


def _price_matters(features: Mapping[str, float | None]) -> float:
    """0 to 1: a coupon tried just now says most, past orders next; nothing known is a little."""
    if features.get("coupon_attempts"):
        return 1.0
    past = features.get("price_sensitivity")
    return 0.3 if past is None else past


def predict(
    features: Features, scored: Scored, settings: StoreSettings, *, now: datetime, version: str, cart_id: str | None
) -> Prediction:
    """A score with its recommendation and reasons."""
    advice = advise(scored.probability, features, settings.discount_percent)
    return Prediction(
        cart_id=cart_id, probability=scored.probability, confidence=scored.confidence,
        recommended_action=advice.action, recommended_discount=advice.discount_percent or None,
        reasons=[*reasons(scored.contributions), advice.reason], features=features, model_version=version,
        computed_at=now, expires_at=now + timedelta(days=settings.recovery_days),
    )  # fmt: skip


def announce(abandoned: Abandoned, prediction: Prediction) -> CartScored:
    """The fact for an abandoned cart; its id repeats when the same abandonment is predicted again."""
    return CartScored(
        id=str(derived_id("prediction", abandoned.event_id)), store_id=abandoned.store_id,
        occurred_at=abandoned.occurred_at, cart=abandoned.cart, probability=prediction.probability,
        confidence=prediction.confidence, action=prediction.recommended_action,
        discount_percent=prediction.recommended_discount or 0, reasons=prediction.reasons,
        features=prediction.features, model_version=prediction.model_version, expires_at=prediction.expires_at,
    )  # fmt: skip


def reasons(contributions: Sequence[Contribution]) -> list[str]:
    """The largest effects as plain sentences; none is said about what is not known or hardly matters."""
    told = [one for one in contributions if one.value is not None and abs(one.weight) >= SMALLEST_REASON]
    return [_sentence(one) for one in told[:REASONS]]


def _sentence(one: Contribution) -> str:
    value = one.value or 0.0
    words = _WORDS[one.feature](value) if one.feature in _WORDS else f"{one.feature.replace('_', ' ')} is {value:g}"
    return f"{words}, which {'raises' if one.weight > 0 else 'lowers'} the chance of an order"


def _times(value: float, one: str, many: str) -> str:
    return (
        f"{'once' if value == 1 else f'{value:.0f} times'} {one if value == 1 else many}" if value else f"never {one}"
    )


def _counted(value: float, one: str, many: str) -> str:
    return f"{value:.0f} {one if value == 1 else many}" if value else f"no {one}"


def _span(seconds: float) -> str:
    if seconds < 90:  # noqa: PLR2004 - below this, seconds read better
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5_400 else f"{seconds / 3600:.0f} hours"  # noqa: PLR2004


_DEPTHS: Final = (
    "the shopper never opened the cart", "the shopper looked at the cart", "checkout was started",
    "checkout was under way", "payment details were entered",
)  # fmt: skip
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_WORDS: Final[dict[str, Callable[[float], str]]] = {
    "seconds_since_activity": lambda v: f"the last activity was {_span(v)} ago",
    "cart_value": lambda v: f"the cart is worth {v / 100:,.2f}",
    "item_count": lambda v: f"the cart holds {_counted(v, 'piece', 'pieces')}",
    "average_item_price": lambda v: f"a piece costs {v / 100:,.2f} on average",
    "customer_segment": lambda v: f"this is a {SEGMENTS[int(v)]} customer",
    "pages": lambda v: f"the shopper looked at {_counted(v, 'page', 'pages')}",
    "products_seen": lambda v: f"the shopper looked at {_counted(v, 'product', 'products')}",
    "searches": lambda v: f"the shopper searched {_times(v, '', '').strip()}",
    "dwell_seconds": lambda v: f"the shopper spent {_span(v)} in the shop",
    "cart_edits": lambda v: f"the cart was changed {_times(v, '', '').strip()}",
    "removals": lambda v: f"{_counted(v, 'product was', 'products were')} taken out again",
    "cart_views": lambda v: f"the cart was looked at {_times(v, '', '').strip()}",
    "checkout_depth": lambda v: _DEPTHS[int(v)],
    "coupon_attempts": lambda v: f"{_counted(v, 'coupon was', 'coupons were')} tried",
    "payment_failures": lambda v: f"{_counted(v, 'payment', 'payments')} failed",
    "exit_intents": lambda v: f"the shopper moved to leave {_times(v, '', '').strip()}",
    "returns_to_cart": lambda v: f"the shopper came back to this cart {_times(v, '', '').strip()}",
    "local_hour": lambda v: f"it was {v:02.0f} o'clock",
    "local_weekday": lambda v: f"it was a {_WEEKDAYS[int(v) - 1]}",
    "is_weekend": lambda v: f"it was {'a weekend' if v else 'a working day'}",
    "orders_before": lambda v: f"this person has {_counted(v, 'earlier order', 'earlier orders')}",
    "average_order_value": lambda v: f"earlier orders averaged {v / 100:,.2f}",
    "days_since_last_order": lambda v: f"the last order was {_counted(v, 'day', 'days')} ago",
    "price_sensitivity": lambda v: f"{v:.0%} of the earlier orders used a coupon or discount",
    "value_to_usual": lambda v: f"the cart is {v:.1f} times this person's usual order",
}
