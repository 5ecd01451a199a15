"""What every service is given when it is built."""

from dataclasses import dataclass

from recoup.kit.clock import Clock
from recoup.kit.log.port import Log
from recoup.kit.peers import Peers
from recoup.kit.service import Publish
from recoup.kit.tokens import Signer
from recoup.kit.valkey import Valkey
from recoup.messages.stores import StoreDirectory


@dataclass(frozen=True, slots=True)
class Deps:
    """What every service may use; made once a process."""

    member: str
    """Name of this process among those of its service; the same after a restart."""
    postgres_url: str
    warehouse_url: str
    valkey: Valkey
    log: Log
    publish: Publish
    clock: Clock
    peers: Peers
    stores: StoreDirectory
    signer: Signer
    """Signs internal identities; only the gateway signs anyone's but its own."""
    public_url: str
    data: str
    """A folder for files this installation owns (models, exports, outbox)."""
