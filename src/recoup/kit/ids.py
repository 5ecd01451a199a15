"""Identifiers: new ones that sort by time, and derived ones that repeat for the same cause.

Keeps no state but a counter.
"""

import os
import threading
import uuid

from recoup.kit.clock import now_milliseconds

_lock = threading.Lock()
_last = 0


def new_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, then random; never sorts before an earlier one."""
    global _last  # noqa: PLW0603 - one clock a process
    random_bits = int.from_bytes(os.urandom(10), "big")
    with _lock:
        _last = max(now_milliseconds() << 12 | random_bits & 0xFFF, _last + 1)
        stamp = _last
    high = (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64
    return uuid.UUID(int=high | 0b10 << 62 | random_bits >> 18)


def derived_id(*cause: str) -> uuid.UUID:
    """The same id for the same cause, for ever (UUIDv5), so that a repeated message is recognised."""
    return uuid.uuid5(uuid.NAMESPACE_URL, "recoup:" + "\x1f".join(cause))
