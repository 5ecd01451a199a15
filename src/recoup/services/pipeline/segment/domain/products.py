"""The lines of a cart or order, however they are spelled."""

from collections.abc import Sequence
from typing import Final

from recoup.kit import loose
from recoup.kit.loose import Table
from recoup.messages.events import EventType, Item
from recoup.services.pipeline.foreign import domain as fit
from recoup.services.pipeline.foreign.domain import Said

_LISTS: Final = ("products", "items", "lineitems", "cartitems", "contents")
_ADDED: Final = ("addeditem", "product", "addedproduct", "productvariant")
_IDS: Final = ("productid", "id", "sku", "productsku", "itemid", "contentid")
_NAMES: Final = ("name", "productname", "producttitle", "title")
_VARIANTS: Final = ("variantid", "productvariantid", "variationid")
_PRICES: Final = ("price", "itemprice", "productprice", "unitprice")
_CATEGORIES: Final = ("category", "categories", "productcategories", "producttype")
_BRANDS: Final = ("brand", "productbrand", "vendor", "productvendor")
_QUANTITIES: Final = ("quantity", "productquantity", "qty")
_KLAVIYO: Final = "AddedItem"
"""Klaviyo says whole carts and names the line that was added by fields with this in front."""
_OF_ONE: Final = frozenset({EventType.PRODUCT_ADDED, EventType.PRODUCT_REMOVED, EventType.PRODUCT_VIEWED})


def items_of(spoken: Said, kind: str, currency: str) -> list[Item]:
    """What the event is about: the one product where its type is about one, else every line it lists."""
    if kind in _OF_ONE:
        added = spoken.take(_filled, *_ADDED) or spoken.prefixed(_KLAVIYO)
        if added:
            return fit.items([item_of(Said(added), currency)])
    listed = spoken.take(_listed, *_LISTS)
    if listed:
        read = [Said(line) for line in listed]
        found = [item_of(each, currency) for each in read]
        _keep_rest(spoken, read, found)
        return fit.items(found)
    return fit.items([item_of(spoken, currency, _IDS[:1] + _IDS[2:4])])


def item_of(line: Said, currency: str, ids: Sequence[str] = _IDS) -> Item | None:
    """One line; None where it names no product."""
    product_id = line.take(fit.id_of, *ids)
    if product_id is None:
        return None
    return Item(
        product_id=product_id,
        quantity=_or_one(line.take(fit.quantity, *_QUANTITIES)),
        price=line.take(fit.paid(currency), *_PRICES) or 0,
        variant_id=line.take(fit.id_of, *_VARIANTS),
        name=line.take(fit.words, *_NAMES),
        category=line.take(fit.words, *_CATEGORIES),
        brand=line.take(fit.words, *_BRANDS),
    )


def _or_one(quantity: int | None) -> int:
    return 1 if quantity is None else quantity


def _filled(value: object) -> Table | None:
    return loose.table(value) or None


def _listed(value: object) -> Sequence[Table] | None:
    return loose.tables(value) or None


def _keep_rest(spoken: Said, lines: Sequence[Said], items: Sequence[Item | None]) -> None:
    """What lines say beyond an item, beside the product it is said of."""
    rest = [
        {**({"product_id": item.product_id} if item else {}), **left}
        for line, item in zip(lines, items, strict=True)
        if (left := line.rest())
    ]
    spoken.keep("products", rest or None)
