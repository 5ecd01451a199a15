"""A port to listen on for whoever does not care which. Knows nothing of who listens.

Our doors share a port with whoever else listens there (SO_REUSEPORT), so two that are given one port both start, and
each gets the other's requests: a port is given once in a process, and `kept_port` once on the machine.
"""

import errno
import secrets
import socket
from typing import Final

# Below the ports that systems give to outgoing connections. From among those, a client that keeps knocking while the
# listener restarts may be given the very port it knocks at: it is then connected to itself, and the listener locked
# out.
_FIRST: Final = 20_000
_COUNT: Final = 12_000
_given: Final[set[int]] = set()
_kept: Final[list[socket.socket]] = []


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now, looked for from a random one on; raises OSError where there is none."""
    start = secrets.randbelow(_COUNT)
    for step in range(_COUNT):
        port = _FIRST + (start + step) % _COUNT
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise OSError(f"nobody can listen at {host} from {_FIRST} to {_FIRST + _COUNT - 1}: all are taken")


def kept_port(host: str = "127.0.0.1") -> int:
    """A free port that nobody else is given while this process lives; whoever listens there has to share it."""
    port, keeper = free_port(host), socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    keeper.bind((host, port))
    _kept.append(keeper)
    return port


def is_taken(host: str, port: int) -> bool:
    """Whether somebody listens there: a door of ours would start all the same, and share what comes with him."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # What connections that were just closed leave behind is nobody.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
    return False
