"""What one delivery tells: events, what to remember of its cart, and what to hand on. The platforms' modules build it.

A platform says the same thing many times (an order is created, paid, updated, updated), so what was said is remembered
by cart, checkout and order, and a fact becomes an event once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

import msgspec
from msgspec import Struct
from typing_extensions import TypedDict, Unpack

from recoup.kit import loose
from recoup.kit.config import Secret
from recoup.kit.ids import derived_id
from recoup.messages.events import NO_CONTEXT, Context, Event, EventType, Item
from recoup.services.pipeline.foreign import domain as fit


class Memory(Struct, frozen=True, kw_only=True):
    """What is known of a cart from earlier deliveries."""

    cart_id: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    said: frozenset[str] = frozenset()
    """Facts that became events already."""
    items: tuple[Item, ...] = ()
    items_at: datetime | None = None
    """When the platform said last what is in the cart."""


NOTHING_KNOWN = Memory()


class PrivacyKind(StrEnum):
    """What the law lets a person or shop ask, in Shopify's words."""

    REDACT_CUSTOMER = "customers/redact"
    REDACT_SHOP = "shop/redact"
    TELL_CUSTOMER = "customers/data_request"


class Subject(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom a privacy request is about; empty for a whole shop."""

    user_id: str | None = None
    email: str | None = None
    phone: str | None = None
    order_ids: tuple[str, ...] = ()


class Asked(Struct, frozen=True, kw_only=True):
    """A privacy request."""

    kind: PrivacyKind
    subject: Subject


class Mapped(Struct, frozen=True, kw_only=True):
    """What follows from a delivery. Without events, `note` says why."""

    events: Sequence[Event] = ()
    memory: Memory | None = None
    note: str = ""
    privacy: Asked | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What a mapping may know besides the body."""

    store_id: str
    platform: str
    topic: str
    cause: str
    """The delivery's key: ids derive from it."""
    received_at: datetime
    salt: Secret
    """Makes the ids of visitors without a name impossible to guess: whoever knows one can hear what is said to them."""
    currency: str = "USD"
    """The store's, for amounts that name none."""
    triggered_at: datetime | None = None
    oldest: datetime | None = None
    newest: datetime | None = None
    """What the collector takes; a time outside is kept as a property instead."""
    memory: Memory = NOTHING_KNOWN
    checkouts: frozenset[str] = frozenset({"checkout", "store-api"})
    """Origins of orders that a shopper's cart became; others only count as sales."""


class Fields(TypedDict, total=False):
    """What an event may say beyond who and when."""

    cause: str
    items: Sequence[Item]
    amount: int | None
    currency: str | None
    order_id: str | None
    coupon: str | None
    discount: int | None
    properties: Mapping[str, object]


@dataclass(slots=True)
class Story:
    """Collects what a delivery tells. `visitor` names whoever has no name yet: the same word, the same visitor."""

    scene: Scene
    visitor: str
    cart_id: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    context: Context = NO_CONTEXT
    events: list[Event] = field(default_factory=list)
    said: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        memory = self.scene.memory
        self.cart_id = self.cart_id or memory.cart_id
        self.user_id = self.user_id or memory.user_id
        self.anonymous_id = self.anonymous_id or memory.anonymous_id or unguessable(self.scene, self.visitor)

    def once(self, fact: str) -> bool:
        """Whether nobody said this before; from now on somebody did."""
        if fact in self.said or fact in self.scene.memory.said:
            return False
        self.said.add(fact)
        return True

    def tell(self, kind: EventType, at: object, **more: Unpack[Fields]) -> None:
        """Adds an event. `cause` is given where the same fact may come by several deliveries."""
        occurred_at, stated = when(self.scene, at)
        scene = self.scene
        said = {**more.get("properties", {}), "source": scene.platform, "topic": scene.topic, "stated_at": stated}
        self.events.append(
            Event(
                event_id=derived_id("webhook", scene.store_id, scene.platform, more.get("cause") or scene.cause, kind),
                type=kind.value,
                occurred_at=occurred_at,
                cart_id=self.cart_id,
                user_id=self.user_id,
                anonymous_id=self.anonymous_id,
                items=list(more.get("items", ())),
                amount=more.get("amount"),
                currency=more.get("currency"),
                order_id=more.get("order_id"),
                coupon=more.get("coupon"),
                discount=more.get("discount"),
                context=self.context,
                properties=fit.properties(said),
            )
        )

    def tell_cart(self, items: Sequence[Item], at: object, currency: str | None) -> str:
        """Tells what is in the cart now where that is news; else why not."""
        memory, known_at = self.scene.memory, self.scene.memory.items_at
        if known_at is not None and when(self.scene, at)[0] < known_at:
            return "older than what is known of the cart"
        if tuple(items) == memory.items:
            return "the cart holds what it held"
        if items:
            self.tell(EventType.CART_UPDATED, at, items=items, currency=currency)
        else:
            self.tell(EventType.PRODUCT_REMOVED, at, items=memory.items, currency=currency)
        return ""

    def end(self, note: str = "", items: Sequence[Item] | None = None, items_at: object = None) -> Mapped:
        """What the delivery comes to, and what to remember of it."""
        before = self.scene.memory
        memory = Memory(
            cart_id=self.cart_id,
            user_id=self.user_id,
            anonymous_id=self.anonymous_id,
            said=before.said | self.said,
            items=before.items if items is None else tuple(items),
            items_at=before.items_at if items is None else when(self.scene, items_at)[0],
        )
        return Mapped(events=self.events, memory=memory, note="" if self.events else note)


def unguessable(scene: Scene, visitor: str) -> str:
    """The id of a visitor without a name: the same for the same word, and for nobody else to find out."""
    return str(derived_id("webhook", scene.salt.reveal(), scene.store_id, scene.platform, "visitor", visitor))


def when(scene: Scene, stated: object) -> tuple[datetime, str | None]:
    """When something happened, and what was said instead where nobody can go by that."""
    found = loose.moment(stated)
    if found is not None and _fits(scene, found):
        return found, None
    given = None if stated is None else loose.text(stated)
    if scene.triggered_at is not None and _fits(scene, scene.triggered_at):
        return scene.triggered_at, given
    return scene.received_at, given


def _fits(scene: Scene, moment: datetime) -> bool:
    return (scene.oldest is None or moment >= scene.oldest) and (scene.newest is None or moment <= scene.newest)


def first(*stated: object) -> object:
    """The first time that can be read."""
    return next((each for each in stated if loose.moment(each) is not None), None)


def merged(memories: Iterable[Memory]) -> Memory:
    """One memory of several names for the same cart; the newest word on its items counts."""
    found = list(memories)
    newest = max((each for each in found if each.items_at), key=lambda each: str(each.items_at), default=NOTHING_KNOWN)
    return Memory(
        cart_id=next((each.cart_id for each in found if each.cart_id), None),
        user_id=next((each.user_id for each in found if each.user_id), None),
        anonymous_id=next((each.anonymous_id for each in found if each.anonymous_id), None),
        said=frozenset[str]().union(*(each.said for each in found)),
        items=newest.items,
        items_at=newest.items_at,
    )


def person(email: object, phone: object, name: object, *, consent: bool | None) -> dict[str, object]:
    """What may be known of somebody, under the names that are looked for; silence is no refusal."""
    address = loose.text(email)
    found = {
        "email": address if address and "@" in address else None,
        "phone": loose.text(phone),
        "name": fit.words(name),
        "consent": consent,
    }
    return {key: value for key, value in found.items() if value is not None}


def fingerprint(of: Mapping[str, object]) -> str:
    """A short name for what was said of a person, which gives nothing of it away."""
    return sha256(msgspec.json.encode(of, order="sorted")).hexdigest()[:16]
