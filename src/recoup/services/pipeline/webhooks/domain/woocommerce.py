"""What WooCommerce's topics mean. No webhook carries a cart: the storefront tells of those, and an order ends them.

Only an order that came from a checkout touches a cart; what an administrator or a subscription made counts as a sale.
"""

from collections.abc import Callable
from typing import Final

from recoup.kit import loose
from recoup.kit.loose import Table, table, tables
from recoup.messages.events import NO_CONTEXT, Context, EventType, Item
from recoup.services.pipeline.foreign import domain as fit
from recoup.services.pipeline.webhooks.domain.story import Mapped, Scene, Story, first, person, unguessable

_CART: Final = frozenset({"recoup_cart_id", "_recoup_cart_id"})
_ANONYMOUS: Final = frozenset({"recoup_anonymous_id", "_recoup_anonymous_id"})
"""Names of the order's meta data in which a storefront hands over its cart's id and our anonymous id."""
_PLACED: Final = frozenset({"processing", "completed", "on-hold", "refunded"})
_KEPT: Final = (
    "number", "status", "created_via", "payment_method", "cart_hash", "total_tax", "shipping_total", "transaction_id",
)  # fmt: skip


def names(topic: str, body: Table) -> tuple[str, ...]:
    """Under which name the delivery's order may be known."""
    order_id = fit.id_of(body.get("id")) if topic.startswith("order.") else None
    return () if order_id is None else (f"order:{order_id}",)


def mapped(scene: Scene, body: Table) -> Mapped:
    """What a delivery of any topic comes to."""
    resource, _, happened = scene.topic.partition(".")
    if resource == "order":
        return _deleted(scene, body) if happened == "deleted" else _order(scene, body)
    if resource == "customer" and happened != "deleted":
        return _customer(scene, body)
    return Mapped(note=f"nothing follows from {scene.topic}")


def _order(scene: Scene, body: Table) -> Mapped:
    story = _story(scene, body)
    status = (loose.text(body.get("status")) or "").removeprefix("wc-")
    at = first(body.get("date_modified_gmt"), body.get("date_created_gmt"))
    note = _STATUSES.get(status, _changed)(story, body, at)
    for refund in tables(body.get("refunds")):
        _tell_refund(story, body, refund, at)
    return story.end(note)


def _draft(story: Story, body: Table, at: object) -> str:
    """The checkout block keeps what is being bought as a draft."""
    if story.once("started"):
        _tell(story, EventType.CHECKOUT_STARTED, body, at)
        return ""
    return "the checkout was told before"


def _pending(story: Story, body: Table, at: object) -> str:
    """Ordered, but not paid: on the way to pay, and no order yet."""
    if not _from_checkout(story, body):
        return "an order nobody checked out, unpaid"
    if story.once("pending"):
        _tell(story, EventType.PAYMENT_INFO_ENTERED, body, at)
        return ""
    return "an unpaid order was told before"


def _failed(story: Story, body: Table, at: object) -> str:
    _tell(story, EventType.PAYMENT_FAILED, body, at)
    return ""


def _cancelled(story: Story, body: Table, at: object) -> str:
    if story.once("cancelled"):
        _tell(story, EventType.ORDER_CANCELLED, body, at, "cancelled")
        return ""
    return "the order was cancelled before"


def _changed(story: Story, body: Table, at: object) -> str:
    """An order that counts: told as an order once, and as an update ever after."""
    status = (loose.text(body.get("status")) or "").removeprefix("wc-")
    paid = loose.moment(body.get("date_paid_gmt")) is not None or status in _PLACED
    if paid and story.once("ordered"):
        stated = first(body.get("date_created_gmt"), body.get("date_paid_gmt"), at)
        _tell(story, EventType.ORDER_COMPLETED, body, stated, "ordered")
    else:
        _tell(story, EventType.ORDER_UPDATED, body, at)
    if status == "refunded" and not tables(body.get("refunds")):
        _tell_refund(story, body, {"id": "all", "total": body.get("total")}, at)
    return ""


_STATUSES: Final[dict[str, Callable[[Story, Table, object], str]]] = {
    "checkout-draft": _draft,
    "pending": _pending,
    "failed": _failed,
    "cancelled": _cancelled,
    "trash": _cancelled,
}


def _deleted(scene: Scene, body: Table) -> Mapped:
    """All that comes is an id."""
    story = _story(scene, body)
    return story.end(_cancelled(story, body, None))


def _story(scene: Scene, body: Table) -> Story:
    email = (loose.text(table(body.get("billing")).get("email")) or "").lower()
    customer = fit.id_of(body.get("customer_id"))
    guest = unguessable(scene, f"email:{email}") if "@" in email else None
    order = next(iter(names(scene.topic, body)), scene.cause)
    story = Story(
        scene,
        visitor=order,
        user_id=None if customer == "0" else customer,
        anonymous_id=_meta(body, _ANONYMOUS) or scene.memory.anonymous_id or guest,
        context=_context(body),
    )
    if _from_checkout(story, body):
        story.cart_id = _meta(body, _CART) or scene.memory.cart_id or fit.id_of(f"woo-{order}")
    return story


def _from_checkout(story: Story, body: Table) -> bool:
    via = loose.text(body.get("created_via"))
    return story.cart_id is not None if via is None else via in story.scene.checkouts


def _meta(body: Table, keys: frozenset[str]) -> str | None:
    found = (each for each in tables(body.get("meta_data")) if loose.text(each.get("key")) in keys)
    return next((fit.id_of(each.get("value")) for each in found), None)


def _context(body: Table) -> Context:
    ip, agent = fit.words(body.get("customer_ip_address")), fit.url(body.get("customer_user_agent"))
    return Context(ip=ip, user_agent=agent) if ip or agent else NO_CONTEXT


def _tell(story: Story, kind: EventType, body: Table, at: object, once: str = "") -> None:
    code = fit.currency(body.get("currency"))
    used = code or story.scene.currency
    order_id = fit.id_of(body.get("id"))
    coupons = tables(body.get("coupon_lines"))
    story.tell(
        kind, at, cause=f"{order_id}/{once}" if once else story.scene.cause, order_id=order_id,
        items=fit.items(_item(line, used) for line in tables(body.get("line_items"))),
        amount=fit.paid(used)(body.get("total")), currency=code,
        discount=fit.paid(used)(body.get("discount_total")),
        coupon=next((fit.words(each.get("code")) for each in coupons), None),
        properties={**{key: body.get(key) or None for key in _KEPT}, **_person(body)},
    )  # fmt: skip


def _tell_refund(story: Story, body: Table, refund: Table, at: object) -> None:
    refund_id = fit.id_of(refund.get("id")) or "unnamed"
    if not story.once(f"refunded:{refund_id}"):
        return
    code = fit.currency(body.get("currency"))
    order_id = fit.id_of(body.get("id"))
    story.tell(
        EventType.ORDER_REFUNDED, at, cause=f"{order_id}/refund/{refund_id}", order_id=order_id, currency=code,
        amount=fit.amount_of(refund.get("total"), code or story.scene.currency),
        properties={"refund_id": refund_id, "reason": refund.get("reason") or None},
    )  # fmt: skip


def _item(line: Table, code: str) -> Item | None:
    ids = (line.get("product_id"), line.get("sku"), line.get("name"))
    product_id = next((found for each in ids if (found := fit.id_of(each)) not in {None, "0"}), None)
    if product_id is None:
        return None
    quantity, variant = fit.quantity(line.get("quantity")), fit.id_of(line.get("variation_id"))
    return Item(
        product_id=product_id,
        quantity=1 if quantity is None else quantity,
        price=fit.paid(code)(line.get("price")) or _share(line, code),
        variant_id=None if variant == "0" else variant,
        name=fit.words(line.get("name")),
    )


def _share(line: Table, code: str) -> int:
    """A piece's part of the line, where its price is not said."""
    whole, pieces = fit.paid(code)(line.get("subtotal")), fit.quantity(line.get("quantity"))
    return (2 * whole + pieces) // (2 * pieces) if whole and pieces else 0


def _person(body: Table) -> dict[str, object]:
    billing = table(body.get("billing"))
    parts = (billing.get("first_name"), billing.get("last_name"))
    name = " ".join(word for word in map(fit.words, parts) if word)
    return person(billing.get("email"), billing.get("phone"), name, consent=None)


def _customer(scene: Scene, body: Table) -> Mapped:
    user_id = fit.id_of(body.get("id"))
    story = Story(scene, visitor=f"customer:{user_id}", user_id=user_id)
    billing = table(body.get("billing"))
    parts = (body.get("first_name"), body.get("last_name"))
    name = " ".join(word for word in map(fit.words, parts) if word) or loose.text(body.get("username"))
    email = loose.text(body.get("email")) or billing.get("email")
    story.tell(
        EventType.USER_IDENTIFIED, first(body.get("date_modified_gmt"), body.get("date_created_gmt")),
        properties={**person(email, billing.get("phone"), name, consent=None), "role": body.get("role")},
    )  # fmt: skip
    return Mapped(events=story.events)
