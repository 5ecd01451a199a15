"""What the demo shop needs to know of the first store: its publishable key, which every shopper may see.

And its word for its own users, as a shop's server gives it: the demo shop has no server but us.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Struct

from recoup.kit.errors import Missing
from recoup.kit.http import PUBLIC
from recoup.services.platform.access import domain as access
from recoup.services.platform.access.store import digest

T = TypeVar("T")
DEMO_USERS: Final = "web-"
"""How the ids of the demo shop's users begin: nobody gets a proof for a user of a real shop here."""


class ShopConfig(Struct, frozen=True):
    """As much of first-run.json as a browser may know."""

    store_id: str
    publishable_key: str


class Vouched(Struct, frozen=True):
    """The demo shop's word for one of its users."""

    user_hash: str


class _Secret(Struct, frozen=True):
    secret_key: str


@dataclass(frozen=True, slots=True)
class Told:
    """The file of the first start; whoever asks gets Missing where it was put away, as it should be in earnest."""

    file: Path

    def shop(self) -> ShopConfig:
        return self._read(ShopConfig)

    def vouch(self, user_id: str) -> Vouched:
        if not user_id.startswith(DEMO_USERS):
            raise Missing(f"the demo shop knows only users whose ids begin with {DEMO_USERS!r}")
        return Vouched(access.proof(digest(self._read(_Secret).secret_key), user_id))

    def _read(self, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=kind)
        except FileNotFoundError:
            raise Missing("there is no first-run.json to take a key from") from None


@get("/shop/config.json", opt={"permission": PUBLIC}, include_in_schema=False, sync_to_thread=False)
def shop_config(told: NamedDependency[Told]) -> ShopConfig:
    """How the demo shop finds its store."""
    return told.shop()


@get("/shop/user-hash.json", opt={"permission": PUBLIC}, include_in_schema=False, sync_to_thread=False)
def shop_user_hash(user_id: FromQuery[str], told: NamedDependency[Told]) -> Vouched:
    """What a shop's server says to a page once somebody has signed in; the demo shop has no passwords to ask for."""
    return told.vouch(user_id)


HANDLERS = (shop_config, shop_user_hash)
