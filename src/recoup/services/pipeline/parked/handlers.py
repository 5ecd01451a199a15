"""What readers set aside becomes a record that somebody can look at."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from recoup.kit.clock import Clock
from recoup.kit.ids import derived_id
from recoup.kit.runner import Parked
from recoup.services.pipeline.parked.actions import rows_of
from recoup.services.pipeline.parked.domain import Kept
from recoup.services.pipeline.parked.store import Store


@dataclass(frozen=True, slots=True)
class Handlers:
    """The reader of `consumer-parked`."""

    store: Store
    clock: Clock

    async def on_parked(self, messages: Sequence[Parked]) -> None:
        """Keeps a batch; the same batch again changes nothing."""
        now = self.clock.now()
        await self.store.keep([_kept(one, base64.b64decode(one.body), now) for one in messages])


def _kept(parked: Parked, body: bytes, now: datetime) -> Kept:
    """A record to be kept. Its id follows from its place and bytes, so that the same one told twice is kept once."""
    rows = rows_of(body)
    cause = (parked.group, parked.topic, str(parked.partition), str(parked.offset), sha256(body).hexdigest())
    return Kept(
        id=derived_id("parked", *cause),
        reader=parked.group,
        topic=parked.topic,
        partition=parked.partition,
        position=parked.offset,
        reason=parked.reason.replace("\0", "\ufffd"),
        body=body,
        headers=dict(parked.headers),
        stores=sorted({store for row in rows if isinstance(store := row.get("store_id"), str) and "\0" not in store}),
        parked_at=now,
    )
