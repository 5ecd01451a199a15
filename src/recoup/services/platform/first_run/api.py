"""What the demo shop needs to know of the first store: its publishable key, which every shopper may see."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
from litestar import get
from litestar.di import NamedDependency
from msgspec import Struct

from recoup.kit.errors import Missing
from recoup.kit.http import PUBLIC


class ShopConfig(Struct, frozen=True):
    """As much of first-run.json as a browser may know."""

    store_id: str
    publishable_key: str


@dataclass(frozen=True, slots=True)
class Told:
    """The file of the first start."""

    file: Path

    def shop(self) -> ShopConfig:
        """Raises Missing where the file was put away, as it should be in earnest."""
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=ShopConfig)
        except FileNotFoundError:
            raise Missing("there is no first-run.json to take a key from") from None


@get("/shop/config.json", opt={"permission": PUBLIC}, include_in_schema=False, sync_to_thread=False)
def shop_config(told: NamedDependency[Told]) -> ShopConfig:
    """How the demo shop finds its store."""
    return told.shop()


HANDLERS = (shop_config,)
