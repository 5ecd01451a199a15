"""How a shop proves who a shopper is: asked by whoever hears pages, answered by whoever keeps the shop's keys."""

from dataclasses import dataclass, field
from datetime import timedelta

from msgspec import Struct

from recoup.kit.clock import stopwatch
from recoup.kit.peers import Peers

_REMEMBERED = 10_000


class ProofAsked(Struct, frozen=True, kw_only=True):
    """Whether this hash was made for this user by this store."""

    store_id: str
    user_id: str
    user_hash: str


class ProofAnswer(Struct, frozen=True, kw_only=True):
    """Yes or no, and nothing that would help to guess."""

    proven: bool


@dataclass(slots=True)
class Proofs:
    """Asks the platform, and remembers its word for as long as a revoked key may still count."""

    peers: Peers
    lifetime: timedelta = timedelta(minutes=1)
    _known: dict[ProofAsked, tuple[float, bool]] = field(default_factory=dict)

    async def holds(self, asked: ProofAsked) -> bool:
        """Whether the proof is one; raises Unavailable where nobody can say."""
        known = self._known.get(asked)
        if known is not None and stopwatch() - known[0] < self.lifetime.total_seconds():
            return known[1]
        found = (await self.peers.post("platform", "/internal/proofs", asked, ProofAnswer)).proven
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[asked] = (stopwatch(), found)
        return found
