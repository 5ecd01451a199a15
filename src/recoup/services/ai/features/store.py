"""Valkey side of the features: packed records of carts and sessions, and the orders of people. Decides nothing.

A record is written whole by the one consumer that owns its partition; what it has taken in is remembered inside it, so a
repeated write changes nothing. Orders are members of a sorted set by time: adding one twice, from any process, adds one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from recoup.kit.valkey import Valkey, settled
from recoup.messages.keys import CART_FEATURES, SESSION_FEATURES, USER_FEATURES, KeyPattern
from recoup.services.ai.features.domain.definitions import PastOrder
from recoup.services.ai.features.domain.rows import CART, Order, Subject
from recoup.services.ai.features.domain.state import Shopper, States, pack, unpack

ORDERS_KEPT: Final = 256
"""Of each person, the newest."""
_CHUNK: Final = 4_000
"""Records a command, so that no command holds the server for long."""

_SAVE = """
for place = 1, #KEYS do redis.call('SET', KEYS[place], ARGV[place + 1], 'PX', ARGV[1]) end
"""
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
    """Online state by subject; a subject names its store first."""

    valkey: Valkey

    async def records(self, subjects: Sequence[Subject]) -> tuple[States, list[Shopper]]:
        """The records of these subjects, blank where there is none."""
        packed: list[bytes | None] = []
        for start in range(0, len(subjects), _CHUNK):
            keys = [_key(subject) for subject in subjects[start : start + _CHUNK]]
            packed += cast("list[bytes | None]", await settled(self.valkey.mget(keys)))
        return unpack(packed)

    async def save(self, subjects: Sequence[Subject], states: States, shoppers: Sequence[Shopper]) -> None:
        """Replaces the records of these subjects."""
        packed = pack(states, shoppers)
        for pattern, kind in ((CART_FEATURES, True), (SESSION_FEATURES, False)):
            places = [place for place, subject in enumerate(subjects) if (subject.kind == CART) is kind]
            for start in range(0, len(places), _CHUNK):
                part = places[start : start + _CHUNK]
                keys, values = [_key(subjects[place]) for place in part], [packed[place] for place in part]
                await settled(self.valkey.eval(_SAVE, len(keys), *keys, _lifetime(pattern), *values))

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
        return [_orders(cast("list[bytes]", found)) for found in cast("list[list[bytes]]", answer)]


def _key(subject: Subject) -> str:
    if subject.kind == CART:
        return CART_FEATURES.key(store_id=subject.store_id, cart_id=subject.id)
    return SESSION_FEATURES.key(store_id=subject.store_id, session_id=subject.id)


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
