"""How far a process steps back for others on its machine, in a way that counts. Knows nothing of which process.

Where Linux groups processes by session (autogroup), it shares the cores between sessions first and looks at niceness
only inside each. Every process of ours has a session of its own, so niceness alone changes nothing: of two busy loops
at 0 and 15 each got half of a core, and 94 and 6 % of it once their sessions were told as well.
"""

import asyncio
import errno
import os
from pathlib import Path
from typing import Final

from recoup.kit.telemetry import logger

log = logger(__name__)
_SESSION: Final = Path("/proc/self/autogroup")
# The kernel takes one change in 100 ms from all who are not root together, and refuses the others for the moment.
_TRIES: Final = 50
_PAUSE_SECONDS: Final = 0.1


async def step_back(niceness: int) -> None:
    """Lowers this process and its session; to be called before engines make threads, which inherit it."""
    if not niceness:
        return
    os.nice(niceness)
    if os.getsid(0) != os.getpid() or not _SESSION.exists():
        # The session is somebody else's too, a terminal's perhaps.
        return
    for _ in range(_TRIES):
        try:
            _SESSION.write_text(str(niceness))
        except OSError as error:
            if error.errno != errno.EAGAIN:
                log.warning("this process cannot step back for the others", why=str(error))
                return
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return
    log.warning("this process cannot step back for the others", why="the kernel kept refusing")
