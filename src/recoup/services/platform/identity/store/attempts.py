"""The counts of recent attempts, keys `RATE_LIMIT`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Final

from recoup.kit.valkey import Valkey, settled
from recoup.messages.keys import RATE_LIMIT

WINDOW: Final = RATE_LIMIT.lifetime or timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts of the last five minutes. Raises Unavailable when Valkey is away: nobody may guess uncounted."""

    valkey: Valkey

    async def count(self, identifiers: Sequence[str]) -> Sequence[int]:
        """Counts one more attempt for each and says how many there are now."""
        pipeline = self.valkey.pipeline(transaction=True)
        for identifier in identifiers:
            pipeline.incr(_key(identifier))
            pipeline.expire(_key(identifier), WINDOW, nx=True)
        answers = await settled(pipeline.execute())
        return [int(answer) for answer in answers[::2]]

    async def forgive(self, afresh: str, identifiers: Sequence[str]) -> None:
        """After a success: `afresh` has not failed at all, and the others once less."""
        pipeline = self.valkey.pipeline(transaction=True)
        pipeline.delete(_key(afresh))
        for identifier in identifiers:
            pipeline.decr(_key(identifier))
            pipeline.expire(_key(identifier), WINDOW, nx=True)
        await settled(pipeline.execute())


def _key(identifier: str) -> str:
    """Hashed, so that nobody's address stands in a key, and none can be longer than a key should be."""
    return RATE_LIMIT.key(identifier=f"attempts:{sha256(identifier.encode()).hexdigest()}")
