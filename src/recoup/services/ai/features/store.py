"""Valkey side of the features: packed records of carts and sessions, and the orders of people. Decides nothing.

A record is written whole by the one consumer that owns its partition; what it has taken in is remembered inside it, so
a repeated write changes nothing. Orders are members of a sorted set by time: adding one twice, from any process, adds
one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, cast

from recoup.kit.valkey import Valkey, set_many, settled
from recoup.messages.keys import CART_FEATURES, SESSION_FEATURES, USER_FEATURES, KeyPattern
from recoup.services.ai.features.domain.definitions import PastOrder
from recoup.services.ai.features.domain.rows import Order
from recoup.services.ai.features.domain.state import States, pack, unpack

ORDERS_KEPT: Final = 256
"""Of each person, the newest."""
_CHUNK: Final = 500
"""Records a command: writing 4,000 held the server, and everybody's appends, for 8 ms and at times for 60."""
_SESSION_PREFIX: Final = SESSION_FEATURES.pattern.partition("{")[0]

_ADD_ORDERS = """
for place = 1, #KEYS do
  redis.call('ZADD', KEYS[place], ARGV[2 * place + 1], ARGV[2 * place + 2])
  redis.call('ZREMRANGEBYRANK', KEYS[place], 0, -tonumber(ARGV[2]) - 1)
  redis.call('PEXPIRE', KEYS[place], ARGV[1])
end
"""
_ORDERS = """
local found = {}
for place = 1, #KEYS do found[place] = redis.call('ZRANGEBYSCORE', KEYS[place], '-inf', ARGV[place], 'WITHSCORES') end
return found
"""


@dataclass(frozen=True, slots=True)
class Store:
    """Online state. The keys of records name their store first; they come from `cart_key` and `session_key`."""

    valkey: Valkey

    async def records(self, keys: Sequence[str]) -> tuple[States, list[str]]:
        """The records of these keys and who is behind each; blank where there is none."""
        packed: list[bytes | None] = []
        for start in range(0, len(keys), _CHUNK):
            answer = await settled(self.valkey.mget(keys[start : start + _CHUNK]))
            packed += cast("list[bytes | None]", answer)
        return unpack(packed)

    async def save(self, keys: Sequence[str], states: States, shoppers: Sequence[str]) -> None:
        """Replaces the records of these keys."""
        packed = pack(states, shoppers)
        of_session = [key.startswith(_SESSION_PREFIX) for key in keys]
        for pattern, kind in ((CART_FEATURES, False), (SESSION_FEATURES, True)):
            pairs = [(key, one) for key, one, session in zip(keys, packed, of_session, strict=True) if session is kind]
            for start in range(0, len(pairs), _CHUNK):
                await set_many(self.valkey, pairs[start : start + _CHUNK], pattern.lifetime or timedelta())

    async def add_orders(self, orders: Sequence[Order]) -> None:
        """Remembers orders; one that is known already stays as it is."""
        for start in range(0, len(orders), _CHUNK):
            part = orders[start : start + _CHUNK]
            keys = [USER_FEATURES.key(store_id=one.store_id, user_id=one.person_id) for one in part]
            values = [word for one in part for word in (one.order.at, _member(one))]
            await settled(
                self.valkey.eval(
                    _ADD_ORDERS, len(keys), *keys, _lifetime(USER_FEATURES), str(ORDERS_KEPT), *map(str, values)
                )
            )

    async def orders(self, wanted: Sequence[tuple[str, str, int]]) -> list[list[PastOrder]]:
        """For each (store, person, time in ms): that person's orders up to then, oldest first."""
        if not wanted:
            return []
        keys = [USER_FEATURES.key(store_id=store_id, user_id=person_id) for store_id, person_id, _ in wanted]
        until = [str(at) for _, _, at in wanted]
        answer = await settled(self.valkey.eval(_ORDERS, len(keys), *keys, *until))
        return [_orders(found) for found in cast("list[list[bytes]]", answer)]


def _lifetime(pattern: KeyPattern) -> str:
    return str(round(pattern.lifetime.total_seconds() * 1000) if pattern.lifetime else 0)


def _member(one: Order) -> str:
    return f"{one.order.amount}\x1f{int(one.order.with_coupon)}\x1f{one.order_id}"


def _orders(found: Sequence[bytes]) -> list[PastOrder]:
    orders: list[PastOrder] = []
    for member, score in zip(found[::2], found[1::2], strict=True):
        amount, coupon, _ = member.decode().split("\x1f", 2)
        orders.append(PastOrder(at=int(float(score)), amount=int(amount), with_coupon=coupon == "1"))
    return orders
