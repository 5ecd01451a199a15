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
    """The connections of this process, by store and seat."""

    sockets: Sockets
    _connections: dict[tuple[str, str], set[Connection]] = field(default_factory=lambda: defaultdict(set))

    def enter(self, store_id: str, seats: Sequence[str], connection: Connection) -> None:
        for seat in seats:
            self._connections[store_id, seat].add(connection)

    def leave(self, store_id: str, seats: Sequence[str], connection: Connection) -> list[str]:
        """The seats where that was the last page here."""
        empty: list[str] = []
        for seat in seats:
            group = self._connections[store_id, seat]
            group.discard(connection)
            if not group:
                del self._connections[store_id, seat]
                empty.append(seat)
        return empty

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
        """Writes one frame to whoever sits on one of these seats."""
        for seat in relayed.seats:
            for connection in self._connections.get((relayed.store_id, seat), ()):
                connection.put(relayed.message_id, relayed.text)


@dataclass(frozen=True, slots=True)
class SocketChannel:
    """The shopper's page; delivered once the page has said so."""

    sockets: Sockets

    async def send(self, parcels: Sequence[Parcel]) -> Sequence[Receipt]:
        await self.sockets.relay(
            [Relayed(each.store_id, list(each.seats), str(each.intervention_id), frame(each)) for each in parcels]
        )
        return [Receipt("offered") for _ in parcels]
