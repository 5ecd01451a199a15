"""What others call the events of our vocabulary. The one table; spelling is set aside before it is asked.

Sources:
- Segment: https://segment.com/docs/connections/spec/ecommerce/v2/ and its video and live chat siblings left out
- Braze: https://www.braze.com/docs/user_guide/data/activation/events/recommended_events/ecommerce_events
- Klaviyo: https://developers.klaviyo.com/en/docs/guide_to_integrating_a_platform_without_a_pre_built_klaviyo_integration
- Omnisend: https://api-docs.omnisend.com/docs/added-product-to-cart and the pages beside it
- Shopify's web pixels: https://shopify.dev/docs/api/web-pixels-api/standard-events
"""

import re
from typing import Final

from recoup.messages.events import EventType
from recoup.services.pipeline.foreign.domain import plain

_SEGMENT: Final = {
    "Products Searched": EventType.PRODUCTS_SEARCHED,
    "Product List Viewed": EventType.PRODUCT_LIST_VIEWED,
    "Product List Filtered": EventType.PRODUCT_LIST_VIEWED,
    "Product Viewed": EventType.PRODUCT_VIEWED,
    "Product Added": EventType.PRODUCT_ADDED,
    "Product Removed": EventType.PRODUCT_REMOVED,
    "Wishlist Product Added to Cart": EventType.PRODUCT_ADDED,
    "Cart Viewed": EventType.CART_VIEWED,
    "Cart Updated": EventType.CART_UPDATED,
    "Checkout Started": EventType.CHECKOUT_STARTED,
    "Checkout Step Completed": EventType.CHECKOUT_STEP_COMPLETED,
    "Payment Info Entered": EventType.PAYMENT_INFO_ENTERED,
    "Coupon Entered": EventType.COUPON_ENTERED,
    "Coupon Applied": EventType.COUPON_APPLIED,
    "Coupon Denied": EventType.COUPON_DENIED,
    "Order Completed": EventType.ORDER_COMPLETED,
    "Order Updated": EventType.ORDER_UPDATED,
    "Order Refunded": EventType.ORDER_REFUNDED,
    "Order Cancelled": EventType.ORDER_CANCELLED,
    "Order Canceled": EventType.ORDER_CANCELLED,
    # What the second version of the spec replaced.
    "Viewed Product Category": EventType.PRODUCT_LIST_VIEWED,
    "Added Product": EventType.PRODUCT_ADDED,
    "Removed Product": EventType.PRODUCT_REMOVED,
    "Completed Order": EventType.ORDER_COMPLETED,
    "Completed Checkout Step": EventType.CHECKOUT_STEP_COMPLETED,
}
_BRAZE: Final = {
    "ecommerce.product_viewed": EventType.PRODUCT_VIEWED,
    "ecommerce.cart_updated": EventType.CART_UPDATED,
    "ecommerce.checkout_started": EventType.CHECKOUT_STARTED,
    "ecommerce.order_placed": EventType.ORDER_COMPLETED,
    "ecommerce.order_cancelled": EventType.ORDER_CANCELLED,
    "ecommerce.order_refunded": EventType.ORDER_REFUNDED,
}
_KLAVIYO: Final = {
    "Viewed Product": EventType.PRODUCT_VIEWED,
    "Viewed Category": EventType.PRODUCT_LIST_VIEWED,
    "Viewed Collection": EventType.PRODUCT_LIST_VIEWED,
    "Searched Site": EventType.PRODUCTS_SEARCHED,
    "Active on Site": EventType.PAGE_VIEWED,
    "Added to Cart": EventType.PRODUCT_ADDED,
    "Removed from Cart": EventType.PRODUCT_REMOVED,
    "Viewed Cart": EventType.CART_VIEWED,
    "Started Checkout": EventType.CHECKOUT_STARTED,
    "Checkout Started": EventType.CHECKOUT_STARTED,
    "Placed Order": EventType.ORDER_COMPLETED,
    "Cancelled Order": EventType.ORDER_CANCELLED,
    "Canceled Order": EventType.ORDER_CANCELLED,
    "Refunded Order": EventType.ORDER_REFUNDED,
    "Fulfilled Order": EventType.ORDER_UPDATED,
    "Coupon Used": EventType.COUPON_APPLIED,
}
_OMNISEND: Final = {
    "viewed product": EventType.PRODUCT_VIEWED,
    "viewed page": EventType.PAGE_VIEWED,
    "added product to cart": EventType.PRODUCT_ADDED,
    "started checkout": EventType.CHECKOUT_STARTED,
    "placed order": EventType.ORDER_COMPLETED,
    "paid for order": EventType.ORDER_UPDATED,
    "order fulfilled": EventType.ORDER_UPDATED,
    "order canceled": EventType.ORDER_CANCELLED,
    "order refunded": EventType.ORDER_REFUNDED,
}
_SHOPIFY_PIXELS: Final = {
    "page_viewed": EventType.PAGE_VIEWED,
    "product_viewed": EventType.PRODUCT_VIEWED,
    "collection_viewed": EventType.PRODUCT_LIST_VIEWED,
    "search_submitted": EventType.PRODUCTS_SEARCHED,
    "product_added_to_cart": EventType.PRODUCT_ADDED,
    "product_removed_from_cart": EventType.PRODUCT_REMOVED,
    "cart_viewed": EventType.CART_VIEWED,
    "checkout_started": EventType.CHECKOUT_STARTED,
    "checkout_contact_info_submitted": EventType.CHECKOUT_STEP_COMPLETED,
    "checkout_address_info_submitted": EventType.CHECKOUT_STEP_COMPLETED,
    "checkout_shipping_info_submitted": EventType.CHECKOUT_STEP_COMPLETED,
    "payment_info_submitted": EventType.PAYMENT_INFO_ENTERED,
    "checkout_completed": EventType.ORDER_COMPLETED,
}
_TABLE: Final = {
    plain(name): kind
    for names in (_SEGMENT, _BRAZE, _KLAVIYO, _OMNISEND, _SHOPIFY_PIXELS)
    for name, kind in names.items()
}
_APART: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_LONGEST: Final = 64


def type_of(name: str, types: frozenset[str]) -> str:
    """Our type for an event of this name: one we know, one among `types`, or a custom event."""
    known = _TABLE.get(plain(name))
    if known is not None:
        return known.value
    own = "_".join(part for part in _APART.split(name) if part).lower()
    return own if own in types and len(own) <= _LONGEST else EventType.CUSTOM_EVENT.value


def is_spelling_of(name: str, kind: str) -> bool:
    """Whether the name says no more than the type does."""
    return plain(name) == plain(kind)
