"""Counts by name, hour and store in Valkey. Knows no name; a process that is killed loses its last second of counts.

They are for people who look at how a shop is connected, so they stand in nobody's way: whoever counts does it in
memory, and once in a while all of it is written at once.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast

from recoup.kit.clock import Clock, milliseconds, moment
from recoup.kit.errors import Failure
from recoup.kit.valkey import Valkey, translated
from recoup.messages.keys import EVENT_HOURS, EVENT_LAST
from recoup.services.pipeline.arrivals.domain import Lately

_HOUR: Final = timedelta(hours=1)
_HOURS: Final = 24


@dataclass(slots=True)
class Arrivals:
    """Counts in memory until `flush` writes them."""

    valkey: Valkey
    clock: Clock
    _pending: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, store_id: str, counts: Mapping[str, int]) -> None:
        """Adds to a store's counts, soon."""
        self._pending.setdefault(store_id, Counter()).update(counts)

    async def flush(self) -> None:
        """Writes down what was counted; on an outage it stays pending."""
        pending, self._pending = self._pending, {}
        if not pending:
            return
        now = self.clock.now()
        try:
            with translated():
                async with self.valkey.pipeline(transaction=True) as pipe:
                    for store_id, counts in pending.items():
                        hour, last = _hour_key(store_id, now), EVENT_LAST.key(store_id=store_id)
                        for name, count in counts.items():
                            pipe.hincrby(hour, name, count)
                        pipe.expire(hour, cast("timedelta", EVENT_HOURS.lifetime))
                        pipe.hset(last, mapping=dict.fromkeys(counts, milliseconds(now)))
                    await pipe.execute()
        except Failure:
            for store_id, counts in pending.items():
                self.count(store_id, counts)
            raise

    async def read(self, store_id: str) -> Lately:
        """A store's last day."""
        now = self.clock.now()
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                for ago in range(_HOURS):
                    pipe.hgetall(_hour_key(store_id, now - ago * _HOUR))
                pipe.hgetall(EVENT_LAST.key(store_id=store_id))
                answers = cast("list[dict[bytes, bytes]]", await pipe.execute())
        *hours, last = [_numbers(answer) for answer in answers]
        return Lately(
            day=sum(hours, Counter[str]()),
            last={name: moment(at) for name, at in last.items()},
        )


def _hour_key(store_id: str, at: datetime) -> str:
    return EVENT_HOURS.key(store_id=store_id, hour=milliseconds(at) // (_HOUR // timedelta(milliseconds=1)))


def _numbers(found: Mapping[bytes, bytes]) -> Counter[str]:
    return Counter({name.decode(): int(value) for name, value in found.items()})
