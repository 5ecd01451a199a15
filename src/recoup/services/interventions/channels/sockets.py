"""The sockets this process holds: who is here, what goes to them. Keeps nothing that a lost connection would lose."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from recoup.kit.errors import Unavailable
from recoup.kit.telemetry import logger
from recoup.services.interventions.channels.domain import Parcel, Receipt, frame
from recoup.services.interventions.channels.store import Relayed, Sockets

log = logger(__name__)
# A page that reads nothing is cut off rather than kept in memory.
QUEUE = 64
RECONNECT_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class Connection:
    """One open page; `sent` are the messages it may acknowledge."""

    queue: "asyncio.Queue[tuple[str, str] | None]" = field(default_factory=lambda: asyncio.Queue(QUEUE))
    sent: set[str] = field(default_factory=set)

    def put(self, message_id: str, text: str) -> None:
        """Queues a frame; a page that is too slow is told to go."""
        if self.queue.full():
            self.queue.get_nowait()
            self.queue.put_nowait(None)
            return
        self.queue.put_nowait((message_id, text))


@dataclass(slots=True)
class Hub:
    """The connections of this process, by store and id."""

    sockets: Sockets
    _connections: dict[tuple[str, str], set[Connection]] = field(default_factory=lambda: defaultdict(set))

    def enter(self, store_id: str, person_id: str, connection: Connection) -> None:
        self._connections[store_id, person_id].add(connection)

    def leave(self, store_id: str, person_id: str, connection: Connection) -> bool:
        """Whether that was the last page of this id here."""
        group = self._connections[store_id, person_id]
        group.discard(connection)
        if group:
            return False
        del self._connections[store_id, person_id]
        return True

    async def run(self) -> None:
        """Writes what any process relays to the pages held here, until cancelled."""
        while True:
            try:
                async for relayed in self.sockets.relayed():
                    self.spread(relayed)
            except Unavailable as error:
                log.warning("frames don't come", why=error.detail)
            await asyncio.sleep(RECONNECT_SECONDS)

    def spread(self, relayed: Relayed) -> None:
        """Writes one frame to whoever of these people is here."""
        for person_id in relayed.people:
            for connection in self._connections.get((relayed.store_id, person_id), ()):
                connection.put(relayed.message_id, relayed.text)


@dataclass(frozen=True, slots=True)
class SocketChannel:
    """The shopper's page; delivered once the page has said so."""

    sockets: Sockets

    async def send(self, parcels: Sequence[Parcel]) -> Sequence[Receipt]:
        await self.sockets.relay(
            [Relayed(each.store_id, list(each.linked), str(each.intervention_id), frame(each)) for each in parcels]
        )
        return [Receipt("offered") for _ in parcels]
