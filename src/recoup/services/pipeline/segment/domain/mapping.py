"""One call of Segment's as an event of ours: who, when, where, what. Everything we have no field for is a property.

Nothing is refused here. A message that cannot be an event even so becomes one that the collector refuses, with the
message in its properties, so that it is found among the dead letters.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from recoup.kit import loose
from recoup.kit.config import Secret
from recoup.kit.ids import derived_id
from recoup.kit.loose import Table
from recoup.messages.events import NO_CONTEXT, Context, Event, EventType
from recoup.services.pipeline.foreign import domain as fit
from recoup.services.pipeline.foreign.domain import Said
from recoup.services.pipeline.segment.domain.names import is_spelling_of, type_of
from recoup.services.pipeline.segment.domain.products import items_of

KINDS: Final = frozenset({"track", "page", "screen", "identify", "alias", "group"})
_AMOUNTS: Final = ("total", "totalvalue", "totalprice", "ordersum", "value", "revenue", "subtotal")
_CARTS: Final = ("cartid", "carttoken", "basketid")
_ORDERS: Final = ("orderid", "transactionid", "ordernumber")
_KLAVIYO: Final = ("eventid",)
"""`$event_id` is what Klaviyo calls whatever its event is about: an order, where that is one of an order."""
_OF_ORDERS: Final = frozenset({
    EventType.ORDER_COMPLETED, EventType.ORDER_UPDATED, EventType.ORDER_CANCELLED, EventType.ORDER_REFUNDED,
})  # fmt: skip
_COUPONS: Final = ("coupon", "couponcode", "discountcode", "couponid")
_BRAZE_ACTIONS: Final = {"add": EventType.PRODUCT_ADDED, "remove": EventType.PRODUCT_REMOVED}
_PHONES: Final = frozenset({"ios", "android"})
_PERSON: Final = {"email": ("email", "emailaddress"), "phone": ("phone", "phonenumber"), "name": ("name", "fullname")}
_WRONG_CLOCK: Final = timedelta(hours=12)
_CARRIED: Final = frozenset({
    "campaign", "ip", "library", "locale", "page", "referrer", "sessionId", "session_id", "timezone", "traits",
    "userAgent",
})  # fmt: skip
"""Parts of a context that an event has fields for, or that say nothing of the shopper."""
_PAGES: Final = ("analytics.js", "RudderLabs JavaScript SDK")
"""What libraries call themselves that run in shoppers' browsers."""
_NOWHERE: Final = Context()


@dataclass(frozen=True, slots=True)
class Call:
    """What is the same for every message of one request."""

    store_id: str
    currency: str
    """The store's, for amounts that name none."""
    types: frozenset[str]
    """Types the store takes under their own names."""
    received_at: datetime
    request_id: UUID
    salt: Secret
    """Makes ids that derive from addresses impossible to guess."""
    corrects_clocks: bool = True
    """Not where a store goes by the clock of its own events."""
    sent_at: datetime | None = None
    context: Table | None = None
    client_ip: str | None = None


class Mapped(Struct, frozen=True):
    """An event, and under which ids its visitor's cart may be known where it does not name the cart itself."""

    event: Event
    visitors: tuple[str, ...] = ()


def event_of(message: Table, call: Call, place: int) -> Mapped:
    """The event of one message, the `place`th of its request."""
    kind = _kind(message)
    name = _name(kind, message)
    occurred_at, sent_at = _times(message, call)
    context = _Where({**(call.context or {}), **loose.table(message.get("context"))}, call)
    spoken = _spoken(kind, message, context)
    code = spoken.take(fit.currency, "currency", "currencycode")
    kind_of_ours = _type(kind, name, spoken, call)
    event = Event(
        event_id=_event_id(message, call, place),
        type=kind_of_ours,
        occurred_at=occurred_at,
        sent_at=sent_at,
        user_id=fit.id_of(message.get("userId")),
        anonymous_id=_anonymous_id(kind, message, context, call),
        session_id=context.session() or spoken.take(fit.id_of, "sessionid"),
        cart_id=spoken.take(fit.id_of, *_CARTS),
        order_id=spoken.take(fit.id_of, *_ORDERS, *(_KLAVIYO if kind_of_ours in _OF_ORDERS else ())),
        currency=code,
        items=items_of(spoken, kind_of_ours, code or call.currency),
        amount=spoken.take(fit.paid(code or call.currency), *_AMOUNTS) if kind == "track" else None,
        discount=spoken.take(fit.paid(code or call.currency), "discount", "totaldiscounts", "discounttotal"),
        coupon=spoken.take(fit.words, *_COUPONS),
        context=context.found(),
        properties=fit.properties(_kept(kind, name, kind_of_ours, message, spoken, context)),
    )
    visitors = () if event.cart_id else tuple(each for each in (event.anonymous_id, event.user_id) if each)
    return Mapped(event, visitors)


def _spoken(kind: str, message: Table, context: "_Where") -> Said:
    """What a message says of its matter: RudderStack's clients on servers put an identity's traits into the context."""
    if kind in {"track", "page", "screen"}:
        return Said(loose.table(message.get("properties")))
    traits = loose.table(message.get("traits"))
    return Said({**context.traits, **traits} if kind == "identify" else traits)


def _kind(message: Table) -> str:
    kind = (loose.text(message.get("type")) or loose.text(message.get("action")) or "").lower()
    if kind in KINDS:
        return kind
    return "identify" if "traits" in message and "event" not in message else "track"


def _name(kind: str, message: Table) -> str:
    """What the other side calls it."""
    return (loose.text(message.get("event")) or "") if kind == "track" else kind


def _type(kind: str, name: str, spoken: Said, call: Call) -> str:
    match kind:
        case "page" | "screen":
            return EventType.PAGE_VIEWED.value
        case "identify" | "alias":
            return EventType.USER_IDENTIFIED.value
        case "group":
            return EventType.CUSTOM_EVENT.value
        case _:
            found = type_of(name, call.types)
    action = spoken.take(loose.text, "action") if found == EventType.CART_UPDATED else None
    return _BRAZE_ACTIONS[action].value if action in _BRAZE_ACTIONS else found


def _event_id(message: Table, call: Call, place: int) -> UUID:
    """The message's own id; where it has none, one that nobody else has."""
    said = loose.text(message.get("messageId"))
    if said is None:
        return derived_id("segment", call.store_id, str(call.request_id), str(place))
    try:
        return UUID(said)
    except ValueError:
        return derived_id("segment", call.store_id, said)


def _times(message: Table, call: Call) -> tuple[datetime, datetime | None]:
    """When it happened by the client's clock, and when it left by the same clock, so that the clock can be corrected.

    What came through a hub (it has `receivedAt`) was corrected there.
    """
    original, stated = loose.moment(message.get("originalTimestamp")), loose.moment(message.get("timestamp"))
    if stated is not None and loose.moment(message.get("receivedAt")) is not None:
        return stated, None
    sent_at = loose.moment(message.get("sentAt")) or call.sent_at
    occurred_at = original or stated
    if occurred_at is None:
        return (call.received_at, None) if sent_at is None else (sent_at, sent_at)
    if call.corrects_clocks and sent_at is not None and abs(call.received_at - sent_at) > _WRONG_CLOCK:
        # So wrong that the collector, which looks at times before it corrects them, would refuse the event.
        try:
            return occurred_at + (call.received_at - sent_at), None
        except OverflowError:
            return call.received_at, None
    return occurred_at, sent_at


def _anonymous_id(kind: str, message: Table, context: "_Where", call: Call) -> str | None:
    """Who, while nobody has said their name; the former id of an alias; a digest where an address is all there is."""
    found = fit.id_of(message.get("previousId")) if kind == "alias" else None
    found = found or fit.id_of(message.get("anonymousId"))
    if found is None and fit.id_of(message.get("userId")) is None:
        email = _email(message, context)
        return str(derived_id("segment", call.salt.reveal(), call.store_id, "email", email)) if email else None
    return found


def _email(message: Table, context: "_Where") -> str | None:
    for place in (message.get("traits"), message.get("properties"), context.traits):
        found = Said(loose.table(place)).take(loose.text, *_PERSON["email"])
        if found and "@" in found:
            return found.lower()
    return None


def _kept(kind: str, name: str, ours: str, message: Table, spoken: Said, context: "_Where") -> Mapping[str, object]:
    """What we have no field for."""
    kept = spoken.rest()
    if not is_spelling_of(name, ours):
        kept.setdefault("event", name or None)
    for field in ("name", "category") if kind in {"page", "screen"} else ():
        kept.setdefault(field, message.get(field))
    if kind == "group":
        kept["group_id"] = message.get("groupId")
    if kind == "alias":
        kept["previous_id"] = message.get("previousId")
    kept["context"] = context.rest() or None
    if kind in {"identify", "track"}:
        _tell_person(kept, Said(spoken.rest()), Said(context.traits), itself=kind == "identify")
    return kept


def _tell_person(kept: dict[str, object], own: Said, around: Said, *, itself: bool) -> None:
    """Contact data under the names that are looked for; a product's name is nobody's."""
    for field, names in _PERSON.items():
        if field == "name" and not itself:
            continue
        found = own.take(loose.text, *names) or around.take(loose.text, *names)
        if found:
            kept[field] = found
    if itself and "name" not in kept:
        parts = (own.take(loose.text, "firstname"), own.take(loose.text, "lastname"))
        kept["name"] = " ".join(part for part in parts if part) or None


class _Where:
    """A message's `context`, and what of it the event has fields for."""

    def __init__(self, context: Table, call: Call) -> None:
        self._context = context
        self._call = call
        self.traits = loose.table(context.get("traits"))

    def session(self) -> str | None:
        return fit.id_of(self._context.get("sessionId")) or fit.id_of(self._context.get("session_id"))

    def found(self) -> Context:
        context = self._context
        page, campaign = loose.table(context.get("page")), Said(loose.table(context.get("campaign")))
        words: Callable[..., str | None] = campaign.take
        found = Context(
            page_url=fit.url(page.get("url")),
            referrer=fit.url(page.get("referrer")) or fit.url(loose.table(context.get("referrer")).get("url")),
            user_agent=fit.url(context.get("userAgent")),
            ip=fit.words(context.get("ip")) or self._client(),
            locale=fit.words(context.get("locale")),
            timezone=fit.words(context.get("timezone")),
            device_type=self._device(),
            utm_source=words(fit.words, "source", "utmsource"),
            utm_medium=words(fit.words, "medium", "utmmedium"),
            utm_campaign=words(fit.words, "name", "campaign", "utmcampaign"),
            utm_term=words(fit.words, "term", "utmterm"),
            utm_content=words(fit.words, "content", "utmcontent"),
        )
        return NO_CONTEXT if found == _NOWHERE else found

    def rest(self) -> dict[str, object]:
        """What no field of an event says: the app, the device, the page's title."""
        page = Said(loose.table(self._context.get("page")))
        page.take(fit.url, "url")
        page.take(fit.url, "referrer")
        left = {key: value for key, value in self._context.items() if key not in _CARRIED}
        return {**left, **({"page": said} if (said := page.rest()) else {})}

    def _client(self) -> str | None:
        """The request's address where it is the shopper's: pages and apps send by themselves, shops' servers do not."""
        library = loose.text(loose.table(self._context.get("library")).get("name")) or ""
        return self._call.client_ip if library.startswith(_PAGES) else None

    def _device(self) -> str | None:
        kind = fit.words(loose.table(self._context.get("device")).get("type"))
        return "mobile" if (kind or "").lower() in _PHONES else kind
