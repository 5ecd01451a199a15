"""The mark by which a Valkey server is known again, and what was noticed of its losses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import msgspec

from recoup.kit.ids import new_id
from recoup.kit.valkey import Valkey, settled
from recoup.messages.keys import PIPELINE_EPOCH, PIPELINE_LOSSES
from recoup.services.pipeline.losses.domain import Loss

_KEPT: Final = 20
_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(Loss).decode


@dataclass(frozen=True, slots=True)
class LossBook:
    """Lies in the server whose losses it tells of: a loss is written into what came after."""

    valkey: Valkey

    async def epoch(self) -> str:
        """The server's mark; a server without one is given one, and is another than before."""
        mine = new_id().hex
        there = cast("bytes | None", await settled(self.valkey.set(PIPELINE_EPOCH.key(), mine, nx=True, get=True)))
        return there.decode() if there else mine

    async def note(self, loss: Loss) -> None:
        """Adds a loss; the newest comes first."""
        await settled(self.valkey.lpush(PIPELINE_LOSSES.key(), _ENCODE(loss)))
        await settled(self.valkey.ltrim(PIPELINE_LOSSES.key(), 0, _KEPT - 1))

    async def losses(self) -> Sequence[Loss]:
        """What was noticed, the newest first."""
        return [_DECODE(value) for value in await settled(self.valkey.lrange(PIPELINE_LOSSES.key(), 0, -1))]
