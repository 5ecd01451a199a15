"""Who watches what, and what is on its way there, in Valkey: processors write, the process with the socket reads.

A key for each watch, and the store in it: what is meant for one person is never looked for in another's key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

import msgspec

from recoup.kit.valkey import Valkey, settled, translated
from recoup.messages.keys import TAIL, TAIL_WATCHES
from recoup.services.pipeline.tail.domain import Glimpse, Watch

_KEPT: Final = 40
"""Glimpses that wait for a socket that is slow; older ones are dropped."""
_WATCH = msgspec.json.Decoder(Watch)
_GLIMPSE = msgspec.json.Decoder(Glimpse)


@dataclass(frozen=True, slots=True)
class Watches:
    """All watches of the installation."""

    valkey: Valkey

    async def put(self, watch: Watch) -> None:
        """Makes a watch known, or lets it go on."""
        with translated():
            async with self.valkey.pipeline(transaction=True) as pipe:
                pipe.hset(TAIL_WATCHES.key(), watch.id, msgspec.json.encode(watch))
                pipe.expire(TAIL_WATCHES.key(), cast("timedelta", TAIL_WATCHES.lifetime))
                await pipe.execute()

    async def drop(self, watch: Watch) -> None:
        await settled(self.valkey.hdel(TAIL_WATCHES.key(), watch.id))
        await settled(self.valkey.delete(_key(watch)))

    async def current(self, now: datetime) -> list[Watch]:
        """Those somebody still holds; of the others, whose process died, nothing is left."""
        found = cast("dict[bytes, bytes]", await settled(self.valkey.hgetall(TAIL_WATCHES.key())))
        watches = [_WATCH.decode(value) for value in found.values()]
        for watch in watches:
            if watch.until <= now:
                await self.drop(watch)
        return [watch for watch in watches if watch.until > now]

    async def write(self, glimpses: Mapping[Watch, Glimpse]) -> None:
        """Puts what was seen on its way."""
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                for watch, glimpse in glimpses.items():
                    pipe.rpush(_key(watch), msgspec.json.encode(glimpse))
                    pipe.ltrim(_key(watch), -_KEPT, -1)
                    pipe.expire(_key(watch), cast("timedelta", TAIL.lifetime))
                await pipe.execute()

    async def take(self, watch: Watch) -> list[Glimpse]:
        """What has come for a watch since it was last asked."""
        found = cast("list[bytes] | None", await settled(self.valkey.lpop(_key(watch), _KEPT)))
        return [_GLIMPSE.decode(value) for value in found or ()]


def _key(watch: Watch) -> str:
    return TAIL.key(store_id=watch.store_id, watch=watch.id)
