"""Values of Shopify's documents: lines, amounts in the shop's own money, persons, and where they came from."""

from collections.abc import Sequence

from recoup.kit import loose
from recoup.kit.loose import Table, table, tables
from recoup.messages.events import NO_CONTEXT, Context, Item
from recoup.services.pipeline.foreign import domain as fit
from recoup.services.pipeline.webhooks.domain.story import person


def context_of(body: Table) -> Context:
    client = table(body.get("client_details"))
    found = Context(
        page_url=fit.url(body.get("landing_site")),
        referrer=fit.url(body.get("referring_site")),
        user_agent=fit.url(client.get("user_agent")),
        ip=fit.words(body.get("browser_ip")) or fit.words(client.get("browser_ip")),
        locale=fit.words(body.get("customer_locale")) or fit.words(client.get("accept_language")),
    )
    return NO_CONTEXT if found == Context() else found


def person_of(body: Table) -> dict[str, object]:
    """Who is behind a cart or order. A box that was left empty is no refusal."""
    customer, address = table(body.get("customer")), table(body.get("billing_address"))
    names_ = (customer.get("first_name"), customer.get("last_name"))
    name = " ".join(word for word in map(fit.words, names_) if word) or address.get("name")
    return person(
        fit.words(body.get("email")) or fit.words(body.get("contact_email")) or customer.get("email"),
        fit.words(body.get("phone")) or fit.words(customer.get("phone")) or address.get("phone"),
        name,
        consent=loose.flag(body.get("buyer_accepts_marketing")) or None,
    )


def listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def items_of(body: Table, code: str) -> list[Item]:
    return fit.items(item_of(line, code) for line in tables(body.get("line_items")))


def item_of(line: Table, code: str) -> Item | None:
    """One line; a line somebody made up for this order alone goes by its own id."""
    ids = (line.get("product_id"), line.get("variant_id"), line.get("sku"), line.get("id"), line.get("title"))
    product_id = next((found for each in ids if (found := fit.id_of(each)) is not None), None)
    if product_id is None:
        return None
    quantity = fit.quantity(line.get("quantity"))
    prices = (shop_money(line, "discounted_price"), shop_money(line, "price"), line.get("variant_price"))
    read = fit.paid(code)
    return Item(
        product_id=product_id,
        quantity=1 if quantity is None else quantity,
        price=next((amount for each in prices if (amount := read(each)) is not None), 0),
        variant_id=fit.id_of(line.get("variant_id")),
        name=fit.words(line.get("title")) or fit.words(line.get("name")),
        category=fit.words(line.get("product_type")),
        brand=fit.words(line.get("vendor")),
    )


def shop_money(of: Table, name: str) -> object:
    """An amount in the shop's own money, or as it stands."""
    exact = table(table(of.get(f"{name}_set")).get("shop_money")).get("amount")
    return of.get(name) if exact is None else exact


def amount_of(body: Table, name: str, code: str) -> int | None:
    return fit.paid(code)(shop_money(body, name))


def currency_of(body: Table, parts: Sequence[Table]) -> str | None:
    """The currency of a document that names it only at its amounts, if anywhere."""
    sets = ("price_set", "line_price_set", "subtotal_set", "total_tax_set")
    named = [body.get("currency"), *(part.get("currency") for part in parts)]
    for part in parts:
        named += [table(table(part.get(name)).get("shop_money")).get("currency_code") for name in sets]
    return next((found for each in named if (found := fit.currency(each)) is not None), None)


def coupon_of(body: Table) -> str | None:
    """The first discount code, which is an object, or was a word in older versions."""
    codes = listed(body.get("discount_codes")) or [body.get("discount_codes")]
    return next((found for each in codes if (found := fit.words(table(each).get("code") or each))), None)
