"""The mark by which a Valkey server is known again, and what was noticed of its losses."""

from dataclasses import dataclass
from typing import cast

import msgspec

from recoup.kit.ids import new_id
from recoup.kit.valkey import Valkey, settled
from recoup.messages.keys import PIPELINE_EPOCH, PIPELINE_LOSS
from recoup.services.pipeline.losses.domain import Loss


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
        """Writes down how this server began; what another process noted before stays."""
        await settled(self.valkey.set(PIPELINE_LOSS.key(), msgspec.json.encode(loss), nx=True))

    async def loss(self) -> Loss | None:
        """What was lost when this server came instead of another; None where it is the first."""
        value = cast("bytes | None", await settled(self.valkey.get(PIPELINE_LOSS.key())))
        return None if value is None else msgspec.json.decode(value, type=Loss)
