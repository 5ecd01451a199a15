"""Remembers in Valkey which cart a visitor was last seen with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from recoup.kit.valkey import Valkey, settled, translated
from recoup.messages.keys import VISITOR_CART


@dataclass(frozen=True, slots=True)
class VisitorCarts:
    """Carts by visitor, for a month after they were last named."""

    valkey: Valkey

    async def find(self, store_id: str, visitors: Sequence[str]) -> dict[str, str]:
        """The last cart of each visitor who has one."""
        if not visitors:
            return {}
        keys = [VISITOR_CART.key(store_id=store_id, visitor=visitor) for visitor in visitors]
        found = cast("list[bytes | None]", await settled(self.valkey.mget(keys)))
        return {visitor: cart.decode() for visitor, cart in zip(visitors, found, strict=True) if cart is not None}

    async def remember(self, store_id: str, carts: Mapping[str, str]) -> None:
        if not carts:
            return
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                for visitor, cart in carts.items():
                    key = VISITOR_CART.key(store_id=store_id, visitor=visitor)
                    pipe.set(key, cart, ex=VISITOR_CART.lifetime)
                await pipe.execute()
