"""What the demo shop sells. The shop's page lists the same things; a test holds the two together."""

from typing import Final, NamedTuple

from recoup.messages.events import Item

CURRENCY: Final = "USD"


class Product(NamedTuple):
    """One thing on the shelf; `price` in minor units, `pull` how often it is looked at compared with others."""

    product_id: str
    name: str
    category: str
    price: int
    pull: float

    def item(self, quantity: int = 1) -> Item:
        return Item(
            product_id=self.product_id, name=self.name, category=self.category, brand=BRAND, price=self.price,
            quantity=quantity,
        )  # fmt: skip


BRAND: Final = "Tern & Tallow"
PRODUCTS: Final = (
    Product("mug", "Stoneware mug", "kitchen", 18_00, 3.0),
    Product("notebook", "Linen notebook", "desk", 12_50, 2.0),
    Product("candle", "Beeswax candle", "living", 24_00, 2.5),
    Product("planter", "Terracotta planter", "garden", 32_00, 2.0),
    Product("kettle", "Pour-over kettle", "kitchen", 64_00, 1.5),
    Product("blanket", "Wool blanket", "living", 79_00, 1.5),
    Product("lamp", "Reading lamp", "desk", 89_00, 1.2),
    Product("backpack", "Waxed backpack", "travel", 119_00, 1.0),
)
