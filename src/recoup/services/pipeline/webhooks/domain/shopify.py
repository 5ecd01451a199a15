"""What Shopify's topics mean. There is none for an abandoned cart: carts, checkouts and orders together tell.

Amounts are the shop's own money (`shop_money`), whatever the shopper saw them in.
"""

from collections.abc import Callable, Sequence
from typing import Final

from recoup.kit import loose
from recoup.kit.loose import Table, table, tables
from recoup.messages.events import EventType
from recoup.services.pipeline.foreign import domain as fit
from recoup.services.pipeline.webhooks.domain.shopify_values import (
    amount_of,
    context_of,
    coupon_of,
    currency_of,
    item_of,
    items_of,
    listed,
    person_of,
    shop_money,
)
from recoup.services.pipeline.webhooks.domain.story import (
    Asked,
    Mapped,
    PrivacyKind,
    Scene,
    Story,
    Subject,
    fingerprint,
    first,
    when,
)

ANONYMOUS: Final = frozenset({"recoup_anonymous_id", "_recoup_anonymous_id"})
"""Names of the note attribute in which a storefront hands over our anonymous id."""
_STEPS: Final = (("contact", "email"), ("address", "shipping_address"), ("shipping", "shipping_lines"))
_NO_CONSENT: Final = frozenset({"not_subscribed", "unsubscribed", "redacted", "invalid"})
_FAILED: Final = frozenset({"failure", "error"})


def names(topic: str, body: Table) -> tuple[str, ...]:
    """Under which names the delivery's cart may be known; the first is its own."""
    kind = topic.partition("/")[0]
    if kind == "carts":
        return _named(cart=_cart_token(body.get("token") or body.get("id")))
    if kind == "checkouts":
        return _named(cart=_cart_token(body.get("cart_token")), checkout=body.get("token"))
    if topic == "orders/edited":
        return _named(order=table(body.get("order_edit")).get("order_id"))
    if kind in {"refunds", "order_transactions"}:
        return _named(order=body.get("order_id"))
    if kind == "orders":
        tokens = {"cart": _cart_token(body.get("cart_token")), "checkout": body.get("checkout_token")}
        return _named(**tokens, order=body.get("id"))
    return ()


def mapped(scene: Scene, body: Table) -> Mapped:
    """What a delivery of any topic comes to."""
    tell = _TOPICS.get(scene.topic)
    return Mapped(note=f"nothing follows from {scene.topic}") if tell is None else tell(scene, body)


def _named(**keys: object) -> tuple[str, ...]:
    return tuple(f"{kind}:{name}" for kind, key in keys.items() if (name := fit.id_of(key)) is not None)


def _cart_token(value: object) -> str | None:
    """Carts of the storefront's own API carry a key behind a question mark."""
    found = loose.text(value)
    return found and (found.partition("?")[0] or None)


def _story(scene: Scene, body: Table) -> Story:
    known = names(scene.topic, body)
    customer = table(body.get("customer"))
    cart = next((name.partition(":")[2] for name in known if name.startswith("cart:")), None)
    checkout = next((name.partition(":")[2] for name in known if name.startswith("checkout:")), None)
    fallback = scene.memory.cart_id or (checkout and fit.id_of(f"checkout-{checkout}"))
    return Story(
        scene,
        visitor=next(iter(known), scene.cause),
        cart_id=cart or fallback,
        user_id=fit.id_of(customer.get("id")),
        anonymous_id=_noted(body),
        context=context_of(body),
    )


def _noted(body: Table) -> str | None:
    notes = tables(body.get("note_attributes"))
    return next((fit.id_of(note.get("value")) for note in notes if loose.text(note.get("name")) in ANONYMOUS), None)


def _cart(scene: Scene, body: Table) -> Mapped:
    story = _story(scene, body)
    code = currency_of(body, tables(body.get("line_items")))
    items, at = items_of(body, code or scene.currency), first(body.get("updated_at"), body.get("created_at"))
    note = story.tell_cart(items, at, code) if items or scene.memory.items else "a cart with nothing in it"
    stale = note.startswith("older")
    return story.end(note, None if stale else items, at)


def _checkout(scene: Scene, body: Table) -> Mapped:
    story = _story(scene, body)
    token = fit.id_of(body.get("token")) or story.visitor
    at = first(body.get("updated_at"), body.get("created_at"))
    code = fit.currency(body.get("currency"))
    items = items_of(body, code or scene.currency)
    if loose.moment(body.get("completed_at")) is not None:
        # The order comes by its own topic; until then this keeps the cart from looking left.
        if story.once(f"completed:{token}"):
            story.tell(EventType.PAYMENT_INFO_ENTERED, body.get("completed_at"), currency=code)
        return story.end("the checkout was completed before")
    _tell_person(story, body, at)
    if story.once(f"started:{token}"):
        story.tell(
            EventType.CHECKOUT_STARTED, at, items=items, currency=code, coupon=coupon_of(body),
            amount=amount_of(body, "total_price", code or scene.currency),
            discount=amount_of(body, "total_discounts", code or scene.currency), properties=_kept_of_checkout(body),
        )  # fmt: skip
    elif items and tuple(items) != scene.memory.items:
        story.tell_cart(items, at, code)
    note = _tell_steps(story, body, token, at)
    return story.end(note, items or None, at)


def _tell_steps(story: Story, body: Table, token: str, at: object) -> str:
    """The furthest step that was not told before; steps below it count as told."""
    done = [name for name, key in _STEPS if body.get(key) not in (None, "", [], {})]
    news = [name for name in done if story.once(f"step:{token}:{name}")]
    if news and not story.events:
        story.tell(EventType.CHECKOUT_STEP_COMPLETED, at, properties={"step": news[-1]})
    return "nothing new about the checkout"


def _kept_of_checkout(body: Table) -> dict[str, object]:
    kept = ("abandoned_checkout_url", "presentment_currency", "source_name", "name", "total_tax", "subtotal_price")
    return {key: body.get(key) for key in kept}


def _tell_person(story: Story, body: Table, at: object) -> None:
    said = person_of(body)
    if said.keys() & {"email", "phone"} and story.once(f"person:{fingerprint(said)}"):
        story.tell(EventType.USER_IDENTIFIED, at, properties=said)


def _order(scene: Scene, body: Table) -> Mapped:
    story = _story(scene, body)
    order_id = fit.id_of(body.get("id")) or fit.id_of(body.get("name"))
    created = first(body.get("created_at"), body.get("processed_at"))
    if _is_placed(scene, created) and story.once(f"ordered:{order_id}"):
        _tell_order(story, EventType.ORDER_COMPLETED, body, created)
    cancelled = body.get("cancelled_at")
    if scene.topic != "orders/create":
        changed = first(body.get("updated_at"), created)
        if (loose.moment(cancelled) or scene.topic == "orders/cancelled") and story.once(f"cancelled:{order_id}"):
            _tell_order(story, EventType.ORDER_CANCELLED, body, first(cancelled, changed))
        elif scene.topic != "orders/cancelled":
            _tell_order(story, EventType.ORDER_UPDATED, body, changed)
    return story.end(f"order {order_id} was told before", (), created)


def _is_placed(scene: Scene, created: object) -> bool:
    """Whether an order seen for the first time is new: one from before the shop came to us is only changed."""
    if scene.topic == "orders/create":
        return True
    return scene.topic == "orders/paid" and when(scene, created)[1] is None


def _tell_order(story: Story, kind: EventType, body: Table, at: object) -> None:
    code = fit.currency(body.get("currency"))
    used = code or story.scene.currency
    order_id = fit.id_of(body.get("id")) or fit.id_of(body.get("name"))
    once = kind in {EventType.ORDER_COMPLETED, EventType.ORDER_CANCELLED}
    kept = (
        "name", "financial_status", "fulfillment_status", "cancel_reason", "presentment_currency", "source_name",
        "test", "total_tax", "subtotal_price", "tags",
    )  # fmt: skip
    story.tell(
        kind, at, cause=f"{order_id}" if once else story.scene.cause, order_id=order_id,
        items=items_of(body, used), amount=amount_of(body, "total_price", used), currency=code,
        coupon=coupon_of(body), discount=amount_of(body, "total_discounts", used),
        properties={**{key: body.get(key) for key in kept}, **person_of(body)},
    )  # fmt: skip


def _edited(scene: Scene, body: Table) -> Mapped:
    edit = table(body.get("order_edit"))
    story = _story(scene, body)
    at = first(edit.get("committed_at"), edit.get("created_at"))
    story.tell(EventType.ORDER_UPDATED, at, order_id=fit.id_of(edit.get("order_id")), properties={"edit": edit})
    return story.end()


def _deleted(scene: Scene, body: Table) -> Mapped:
    """An order that is deleted counts no more; all that comes is its id."""
    story = _story(scene, body)
    order_id = fit.id_of(body.get("id"))
    if story.once(f"cancelled:{order_id}"):
        story.tell(
            EventType.ORDER_CANCELLED, None, cause=f"{order_id}", order_id=order_id, properties={"deleted": True}
        )
    return story.end(f"order {order_id} was cancelled before")


def _refund(scene: Scene, body: Table) -> Mapped:
    story = _story(scene, body)
    refund_id = fit.id_of(body.get("id")) or scene.cause
    paid_back = [each for each in tables(body.get("transactions")) if loose.text(each.get("kind")) in {None, "refund"}]
    lines = tables(body.get("refund_line_items"))
    code = currency_of(body, [*paid_back, *lines, *(table(line.get("line_item")) for line in lines)])
    used = code or scene.currency
    if story.once(f"refunded:{refund_id}"):
        story.tell(
            EventType.ORDER_REFUNDED, first(body.get("processed_at"), body.get("created_at")),
            cause=f"refund/{refund_id}", order_id=fit.id_of(body.get("order_id")), currency=code,
            amount=_refunded(paid_back, lines, used),
            items=fit.items(item_of({**table(line.get("line_item")), "quantity": line.get("quantity")}, used)
                            for line in lines),
            properties={"refund_id": refund_id, "note": body.get("note"), "restock": body.get("restock")},
        )  # fmt: skip
    return story.end(f"refund {refund_id} was told before")


def _refunded(transactions: Sequence[Table], lines: Sequence[Table], code: str) -> int | None:
    """What was paid back, or else what the lines that came back were worth."""
    paid = [fit.amount_of(each.get("amount"), code) for each in transactions]
    worth = [
        (fit.amount_of(shop_money(line, "subtotal"), code) or 0)
        + (fit.amount_of(shop_money(line, "total_tax"), code) or 0)
        for line in lines
    ]
    known = [each for each in paid if each is not None] or worth
    return sum(known) if known else None


def _transaction(scene: Scene, body: Table) -> Mapped:
    if loose.text(body.get("status")) not in _FAILED:
        return Mapped(note="a payment that did not fail changes nothing")
    story = _story(scene, body)
    story.tell(
        EventType.PAYMENT_FAILED, first(body.get("processed_at"), body.get("created_at")),
        order_id=fit.id_of(body.get("order_id")), currency=fit.currency(body.get("currency")),
        amount=fit.amount_of(body.get("amount"), fit.currency(body.get("currency")) or scene.currency),
        properties={key: body.get(key) for key in ("gateway", "error_code", "message", "kind")},
    )  # fmt: skip
    return story.end()


def _customer(scene: Scene, body: Table) -> Mapped:
    consent = table(body.get("email_marketing_consent")).get("state")
    accepts = loose.flag(body.get("accepts_marketing")) or None
    said = {**person_of({"customer": body}), "consent": _consented(consent) if consent else accepts}
    kept = ("tags", "orders_count", "total_spent", "currency", "state", "verified_email")
    return _of_customer(
        scene, EventType.USER_IDENTIFIED, body.get("id"), first(body.get("updated_at"), body.get("created_at")),
        {**{key: body.get(key) for key in kept}, **said},
    )  # fmt: skip


def _email_consent(scene: Scene, body: Table) -> Mapped:
    given = table(body.get("email_marketing_consent"))
    said = {"email": body.get("email_address"), "consent": _consented(given.get("state")), **given}
    who = body.get("customer_id") or body.get("id")
    return _of_customer(scene, EventType.CONSENT_UPDATED, who, given.get("consent_updated_at"), said)


def _sms_consent(scene: Scene, body: Table) -> Mapped:
    """Kept for whoever sends text messages; it says nothing about mail."""
    given = table(body.get("sms_marketing_consent"))
    said = {"channel": "sms", "phone": body.get("phone"), **given}
    return _of_customer(scene, EventType.CONSENT_UPDATED, body.get("id"), given.get("consent_updated_at"), said)


def _merge(scene: Scene, body: Table) -> Mapped:
    """Two customers are one: the id that goes is linked to the one that stays."""
    if loose.text(body.get("status")) not in {None, "completed"}:
        return Mapped(note="customers that were not merged")
    kept, gone = (_last(body.get(f"admin_graphql_api_customer_{which}_id")) for which in ("kept", "deleted"))
    if kept is None or gone is None:
        return Mapped(note="a merge that names no customers")
    return _of_customer(scene, EventType.USER_IDENTIFIED, kept, None, {"merged": gone}, anonymous_id=gone)


def _of_customer(
    scene: Scene, kind: EventType, who: object, at: object, said: dict[str, object], anonymous_id: str | None = None
) -> Mapped:
    user_id = fit.id_of(who)
    story = Story(scene, visitor=f"customer:{user_id}", user_id=user_id, anonymous_id=anonymous_id)
    story.tell(kind, at, properties=said)
    return Mapped(events=story.events)


def _privacy(scene: Scene, body: Table) -> Mapped:
    customer = table(body.get("customer"))
    orders = body.get("orders_to_redact") or body.get("orders_requested")
    subject = Subject(
        user_id=fit.id_of(customer.get("id")), email=fit.words(customer.get("email")),
        phone=fit.words(customer.get("phone")),
        order_ids=tuple(found for each in listed(orders) if (found := fit.id_of(each)) is not None),
    )  # fmt: skip
    return Mapped(privacy=Asked(kind=PrivacyKind(scene.topic), subject=subject), note="handed on as a privacy request")


def _uninstalled(_: Scene, __: Table) -> Mapped:
    return Mapped(note="the shop took the app away: nothing more will come but its privacy requests")


def _consented(state: object) -> bool | None:
    word = loose.text(state)
    return True if word == "subscribed" else False if word in _NO_CONSENT else None


def _last(gid: object) -> str | None:
    """The id at the end of `gid://shopify/Customer/1`."""
    return fit.id_of((loose.text(gid) or "").rpartition("/")[2])


_TOPICS: Final[dict[str, Callable[[Scene, Table], Mapped]]] = {
    **dict.fromkeys(("carts/create", "carts/update"), _cart),
    **dict.fromkeys(("checkouts/create", "checkouts/update"), _checkout),
    **dict.fromkeys(
        ("orders/create", "orders/paid", "orders/updated", "orders/fulfilled", "orders/partially_fulfilled",
         "orders/cancelled"), _order,
    ),
    "orders/edited": _edited,
    "orders/delete": _deleted,
    "refunds/create": _refund,
    "order_transactions/create": _transaction,
    **dict.fromkeys(("customers/create", "customers/update", "customers/enable"), _customer),
    "customers_email_marketing_consent/update": _email_consent,
    "customers_marketing_consent/update": _sms_consent,
    "customers/merge": _merge,
    **dict.fromkeys((kind.value for kind in PrivacyKind), _privacy),
    "app/uninstalled": _uninstalled,
}  # fmt: skip
