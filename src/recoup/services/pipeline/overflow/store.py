"""Who flooded a store yesterday and today, for the shop to see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

from msgspec import Struct

from recoup.kit.clock import milliseconds, moment
from recoup.kit.valkey import Valkey, settled, translated
from recoup.messages.keys import FLOODS
from recoup.services.pipeline.overflow.domain import Flood

_DAY: Final = timedelta(days=1)
_SHOWN: Final = 100


class Flooding(Struct, frozen=True, kw_only=True):
    """A visitor whose events waited in the overflow lane."""

    visitor: str
    since: datetime
    last: datetime
    """When one last went into the lane."""
    events: int


@dataclass(frozen=True, slots=True)
class FloodBook:
    """One hash a store and day; each visitor has three fields in it."""

    valkey: Valkey

    async def note(self, floods: Sequence[Flood]) -> None:
        """Adds what went into the lane."""
        with translated():
            async with self.valkey.pipeline(transaction=True) as pipe:
                for flood in floods:
                    key = _key(flood.store_id, flood.last)
                    pipe.hincrby(key, f"events:{flood.visitor}", flood.events)
                    pipe.hset(key, f"last:{flood.visitor}", str(milliseconds(flood.last)))
                    pipe.hsetnx(key, f"since:{flood.visitor}", str(milliseconds(flood.since)))
                    pipe.expire(key, cast("timedelta", FLOODS.lifetime))
                await pipe.execute()

    async def read(self, store_id: str, now: datetime) -> list[Flooding]:
        """Who flooded the store since yesterday, the most recent first; at most a hundred."""
        found: dict[str, Flooding] = {}
        for day in (now - _DAY, now):
            fields = cast("dict[bytes, bytes]", await settled(self.valkey.hgetall(_key(store_id, day))))
            values = {name.decode(): int(value) for name, value in fields.items()}
            for name, events in values.items():
                kind, _, visitor = name.partition(":")
                if kind == "events":
                    before = found.get(visitor)
                    found[visitor] = Flooding(
                        visitor=visitor,
                        since=before.since if before else moment(values[f"since:{visitor}"]),
                        last=moment(values[f"last:{visitor}"]),
                        events=events + (before.events if before else 0),
                    )
        return sorted(found.values(), key=lambda flooding: flooding.last, reverse=True)[:_SHOWN]


def _key(store_id: str, at: datetime) -> str:
    return FLOODS.key(store_id=store_id, day=milliseconds(at) // round(_DAY.total_seconds() * 1000))
