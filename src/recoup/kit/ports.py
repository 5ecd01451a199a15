"""A port to listen on for whoever does not care which. Knows nothing of who listens."""

import secrets
import socket
from typing import Final

# Below the ports that systems give to outgoing connections. From among those, a client that keeps knocking while the
# listener restarts may be given the very port it knocks at: it is then connected to itself, and the listener locked
# out.
_FIRST: Final = 20_000
_COUNT: Final = 12_000


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now, looked for from a random one on; raises OSError where there is none."""
    start = secrets.randbelow(_COUNT)
    for step in range(_COUNT):
        port = _FIRST + (start + step) % _COUNT
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"nobody can listen at {host} from {_FIRST} to {_FIRST + _COUNT - 1}: all are taken")
