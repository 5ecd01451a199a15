"""What the counts of a day mean to a shop: a verdict on each thing it should send, with the next step."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from recoup.messages.events import EventType
from recoup.messages.stores import StoreSettings
from recoup.services.pipeline.arrivals.domain import Lately
from recoup.services.pipeline.readiness.domain.counting import percentiles

FEW_CONTACTS: Final = 0.2
"""Below this share of carts that can be contacted, most of the work is for nothing."""
PROMPT: Final = timedelta(minutes=5)
"""An order feed that is not later than this needs nobody's attention."""


class Verdict(StrEnum):
    """How one thing stands."""

    READY = "ready"
    ATTENTION = "attention"
    """It works, not as well as it could."""
    MISSING = "missing"
    """What depends on it does not work."""
    UNUSED = "unused"
    """Not set up, and not needed by every shop."""
    UNKNOWN = "unknown"
    """Could not be found out just now, or not yet."""


class Check(Struct, frozen=True, kw_only=True):
    """One line of the checklist."""

    id: str
    title: str
    verdict: Verdict
    says: str
    next_step: str = ""
    """What to do; empty where nothing is to be done."""
    last_seen: datetime | None = None
    last_day: int | None = None
    """How many in the last 24 hours."""


class Delay(Struct, frozen=True, kw_only=True):
    """How late orders reach us, received minus occurred, over the last 24 hours; upper bounds in milliseconds."""

    orders: int
    p50_ms: int
    p90_ms: int
    p99_ms: int


class Reach(Struct, frozen=True, kw_only=True):
    """Of the carts decided about lately, whom a mail could have reached; as the interventions service counts it."""

    days: int
    carts: int
    with_email: int
    mailable: int


class Hook(NamedTuple):
    """A shop platform's webhooks."""

    platform: str
    has_secret: bool


class _Kind(NamedTuple):
    title: str
    types: Sequence[EventType]
    needed_for: str
    next_step: str


_KINDS: Final[Mapping[str, _Kind]] = {
    "views": _Kind(
        "Product and page views",
        (EventType.PAGE_VIEWED, EventType.PRODUCT_VIEWED, EventType.PRODUCT_LIST_VIEWED),
        "Predictions look at what shoppers viewed before they left.",
        "Put recoup.js on every page of the shop, or send product_viewed and page_viewed.",
    ),
    "carts": _Kind(
        "Cart changes",
        (EventType.PRODUCT_ADDED, EventType.PRODUCT_REMOVED, EventType.CART_UPDATED),
        "Without them no cart is ever known, and none can be abandoned.",
        "Send product_added, product_removed or cart_updated with a cart_id whenever a cart changes.",
    ),
    "checkouts": _Kind(
        "Checkouts",
        (EventType.CHECKOUT_STARTED, EventType.CHECKOUT_STEP_COMPLETED, EventType.PAYMENT_INFO_ENTERED),
        "They tell who was about to pay from who only looked, and often bring the e-mail address.",
        "Send checkout_started when the checkout opens; shop platforms do so by webhook.",
    ),
    "orders": _Kind(
        "Orders",
        (EventType.ORDER_COMPLETED,),
        "Without them every cart looks abandoned, and people are reminded of what they bought.",
        "Send order_completed from the shop's server or by a platform's webhook, with the cart_id it came from.",
    ),
}


def of_kinds(lately: Lately) -> list[Check]:
    """Whether each kind of event arrives."""
    return [_of_kind(name, kind, lately) for name, kind in _KINDS.items()]


def _of_kind(name: str, kind: _Kind, lately: Lately) -> Check:
    seen = [f"type:{each}" for each in kind.types]
    day = sum(lately.day.get(each, 0) for each in seen)
    last = max((lately.last[each] for each in seen if each in lately.last), default=None)
    if day:
        verdict, says, step = Verdict.READY, "They arrive.", ""
    elif last is not None:
        verdict = Verdict.ATTENTION
        says, step = (
            f"They arrived once; none in the last 24 hours. {kind.needed_for}",
            f"Has something changed in the shop? {kind.next_step}",
        )
    else:
        verdict, says, step = Verdict.MISSING, f"None has ever arrived. {kind.needed_for}", kind.next_step
    return Check(
        id=name, title=kind.title, verdict=verdict, says=says, next_step=step, last_seen=last, last_day=day
    )  # fmt: skip


def delay_of(lately: Lately) -> Delay | None:
    """How late orders came; None where none came."""
    counts = {int(name.removeprefix("late:")): n for name, n in lately.day.items() if name.startswith("late:")}
    found = percentiles(counts, 0.5, 0.9, 0.99)
    if found is None:
        return None
    return Delay(orders=sum(counts.values()), p50_ms=found[0], p90_ms=found[1], p99_ms=found[2])


def of_delay(delay: Delay | None, store: StoreSettings) -> Check:
    """Whether we know of an order before a reminder could leave."""
    title, id_ = "Delay of the order feed", "order_delay"
    if store.clock == "event":
        says = "This shop runs on the clock of its own events, so when they arrive says nothing."
        return Check(id=id_, title=title, verdict=Verdict.UNUSED, says=says)
    if delay is None:
        return Check(id=id_, title=title, verdict=Verdict.UNKNOWN, says="No order came in the last 24 hours.")
    patience = timedelta(minutes=store.idle_minutes + store.delay_minutes)
    says = f"Nine of ten orders are here within {_words(delay.p90_ms)}, half within {_words(delay.p50_ms)}."
    late = timedelta(milliseconds=delay.p90_ms)
    if late > patience:
        said = f"{says} Reminders may leave {_words(patience // timedelta(milliseconds=1))} after a cart was left."
        step = "Send orders when they happen (a webhook instead of a nightly export), or set a longer delay_minutes."
        return Check(
            id=id_, title=title, verdict=Verdict.MISSING, says=said, next_step=step, last_day=delay.orders
        )  # fmt: skip
    if late > PROMPT:
        step = "Send each order as it happens: the sooner we know, the less likely a needless reminder."
        return Check(
            id=id_, title=title, verdict=Verdict.ATTENTION, says=says, next_step=step, last_day=delay.orders
        )  # fmt: skip
    return Check(id=id_, title=title, verdict=Verdict.READY, says=says, last_day=delay.orders)


_NAMES: Final = {"shopify": "Shopify", "woocommerce": "WooCommerce"}


def of_hook(hook: Hook, lately: Lately) -> Check:
    """Whether a platform's webhooks arrive, and are signed as they should be."""
    good, bad = f"signed:{hook.platform}", f"unsigned:{hook.platform}"
    name, day, failed = _NAMES.get(hook.platform, hook.platform), lately.day.get(good, 0), lately.day.get(bad, 0)
    last, last_bad = lately.last.get(good), lately.last.get(bad)
    step = ""
    if not hook.has_secret:
        verdict, says = Verdict.UNUSED, "No secret is set, so nothing it sends is believed."
        step = f"Only if the shop runs on {name}: set its webhook secret, then point its webhooks here."
    elif last_bad is not None and (last is None or last_bad > last):
        verdict = Verdict.MISSING
        says = f"The latest delivery had a signature that is not this shop's; {failed} such in the last 24 hours."
        step = f"Set the secret that {name} signs with now; it may have been renewed there."
    elif last is None:
        verdict, says = Verdict.ATTENTION, "A secret is set, and nothing has arrived yet."
        step = f"Create the webhooks in {name} and send a test delivery."
    elif failed:
        verdict, says = Verdict.ATTENTION, f"The signature verifies; {failed} deliveries with a wrong one came, too."
        step = "Is somebody else's shop, or an old app, still sending here?"
    else:
        verdict, says = Verdict.READY, "The signature verifies."
    return Check(
        id=f"webhooks_{hook.platform}", title=f"Webhooks of {name}", verdict=verdict, says=says, next_step=step,
        last_seen=last, last_day=day,
    )  # fmt: skip


def of_reach(reach: Reach | None, store: StoreSettings) -> Check:
    """What share of left carts can be contacted at all."""
    title, id_ = "Carts that can be contacted", "contact"
    if reach is None:
        says = "The service that knows does not answer just now."
        return Check(id=id_, title=title, verdict=Verdict.UNKNOWN, says=says)
    if not reach.carts:
        says = f"No cart was left and decided about in the last {reach.days} days."
        return Check(id=id_, title=title, verdict=Verdict.UNKNOWN, says=says)
    rule = "and consent to mail" if store.contact_requires_consent else "and no objection"
    says = (
        f"Of {carts_of(reach)} left in the last {reach.days} days, an e-mail address is known of {reach.with_email}, "
        f"{rule} of {reach.mailable} ({reach.mailable / reach.carts:.0%})."
    )
    if reach.mailable >= FEW_CONTACTS * reach.carts:
        return Check(id=id_, title=title, verdict=Verdict.READY, says=says)
    step = "Send user_identified with the e-mail address and consent as soon as a shopper has typed them."
    verdict = Verdict.ATTENTION if reach.mailable else Verdict.MISSING
    return Check(id=id_, title=title, verdict=verdict, says=says, next_step=step)


def carts_of(reach: Reach) -> str:
    """How many carts a share is of, in words."""
    return f"{reach.carts} cart{'' if reach.carts == 1 else 's'}"


def overall(checks: Sequence[Check]) -> Verdict:
    """The worst of what is known."""
    found = {check.verdict for check in checks}
    return next((verdict for verdict in (Verdict.MISSING, Verdict.ATTENTION) if verdict in found), Verdict.READY)


_STEPS: Final = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"))


def _words(milliseconds: int) -> str:
    """A bound as people say it."""
    size, unit = next(step for step in _STEPS if milliseconds >= step[0])
    count = milliseconds / size
    return f"{count:g} {unit}{'' if count == 1 else 's'}"
