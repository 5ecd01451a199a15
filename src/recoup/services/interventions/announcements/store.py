"""The messages still to be published, as rows. Never publishes itself."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from recoup.kit.postgres import Postgres, Session
from recoup.kit.service import Topic
from recoup.messages.facts import ConversionRecorded, InterventionEvent
from recoup.messages.topics import CONVERSION_EVENTS, INTERVENTION_EVENTS

Announcement = InterventionEvent | ConversionRecorded
TOPICS: dict[str, Topic[InterventionEvent] | Topic[ConversionRecorded]] = {
    INTERVENTION_EVENTS.name: INTERVENTION_EVENTS,
    CONVERSION_EVENTS.name: CONVERSION_EVENTS,
}


class Row(Struct, frozen=True):
    """A message on its way."""

    seq: int
    topic: str
    message: dict[str, object]


async def announce(session: Session, messages: Sequence[Announcement]) -> None:
    """Notes messages for publication, in the caller's transaction."""
    if not messages:
        return
    names = [
        CONVERSION_EVENTS.name if isinstance(each, ConversionRecorded) else INTERVENTION_EVENTS.name
        for each in messages
    ]
    bodies = [msgspec.json.encode(message).decode() for message in messages]
    await session.execute(
        "insert into announcements (topic, message) select t, m::jsonb from unnest($1::text[], $2::text[]) r (t, m)",
        names,
        bodies,
    )


@dataclass(frozen=True, slots=True)
class Announcements:
    """What waits for publication."""

    postgres: Postgres

    @asynccontextmanager
    async def taken(self, limit: int) -> AsyncGenerator[list[Row]]:
        """The oldest messages nobody else is publishing; they are gone once the block ends well."""
        async with self.postgres.transaction() as session:
            rows = await session.rows(
                Row, "select seq, topic, message from announcements order by seq limit $1 for update skip locked", limit
            )
            yield rows
            if rows:
                await session.execute("delete from announcements where seq = any($1)", [row.seq for row in rows])
