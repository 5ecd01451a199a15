"""How a process shares the cores with others on its machine, in a way that counts. Knows nothing of which process.

Where Linux groups processes by session (autogroup), it shares the cores between sessions first and looks at niceness
only inside each. Every process of ours has a session of its own, so niceness alone changes nothing: of two busy loops
at 0 and 15 each got half of a core, and 94 and 6 % of it once their sessions were told as well.

Who answers somebody works in short turns, and so gets a core sooner when it wakes; who steps back, in ordinary ones
(Linux 6.12 and newer; before, the kernel takes no notice of turns).
"""

import asyncio
import ctypes
import errno
import os
import platform
from pathlib import Path
from typing import ClassVar, Final

from recoup.kit.telemetry import logger

log = logger(__name__)
_SESSION: Final = Path("/proc/self/autogroup")
# The kernel takes one change in 100 ms from all who are not root together, and refuses the others for the moment.
_TRIES: Final = 50
_PAUSE_SECONDS: Final = 0.1
SHORT_TURN_NS: Final = 300_000
_ORDINARY_TURN_NS: Final = 0
"""As long as the kernel likes."""
# sched_setattr(2), for which neither Python nor glibc has a function.
_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}


class _Attributes(ctypes.Structure):
    """`struct sched_attr`, in its first version."""

    _fields_: ClassVar = [
        ("size", ctypes.c_uint32), ("policy", ctypes.c_uint32), ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32), ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64), ("deadline", ctypes.c_uint64), ("period", ctypes.c_uint64),
    ]  # fmt: skip


def take_short_turns() -> None:
    """Has this process, and what it starts from here on, get a core soon and give it back soon."""
    _take_turns(SHORT_TURN_NS)


async def step_back(niceness: int) -> None:
    """Lowers this process and its session; to be called before engines make threads, which inherit it."""
    if not niceness:
        return
    _take_turns(_ORDINARY_TURN_NS)
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


def _take_turns(turn_ns: int) -> None:
    call = _SCHED_SETATTR.get(platform.machine()) if platform.system() == "Linux" else None
    if call is None:
        return
    size = ctypes.sizeof(_Attributes)
    wanted = _Attributes(size=size, nice=os.getpriority(os.PRIO_PROCESS, 0), runtime=turn_ns)
    if ctypes.CDLL(None, use_errno=True).syscall(call, 0, ctypes.byref(wanted), 0):
        log.warning("the cores are shared as they always are", why=os.strerror(ctypes.get_errno()))
