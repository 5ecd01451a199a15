"""Starts a program that dies with its parent and, where asked, as another system user.

Both must happen in the child between fork and exec, where a threaded Python may not run code: so this file is itself
the program that is started, by path, in a bare interpreter. It imports the standard library only, and nothing of ours.

    python -I -S launch.py PARENT_PID SIGNAL UID GID CAPABILITY PROGRAM ARGUMENT...

A uid of -1 stays who we are; a capability of -1 gives none. It ends as the program, under the same process id.
"""

import ctypes
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from signal import Signals
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_CAPBSET_READ: Final = 23
_PR_SET_SECUREBITS: Final = 28
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_CAPABILITY_VERSION_3: Final = 0x20080522
_CAP_DAC_OVERRIDE: Final = 1
_CAP_DAC_READ_SEARCH: Final = 2
_CAP_SETPCAP: Final = 8
_NO_SETUID_FIXUP: Final = 1 << 2  # so that setuid leaves capabilities alone, and access(2) reckons with them
_LAUNCH_FAILED: Final = 126


@dataclass(frozen=True, slots=True)
class Account:
    """A system user to run as; with `search` it may pass through folders that are closed to it."""

    uid: int
    gid: int
    search: bool = False


def wrap(argv: Sequence[str], *, orphan_signal: Signals, account: Account | None = None) -> list[str]:
    """The command that runs `argv` as a child of this very process, to get `orphan_signal` when we die."""
    who = account or Account(uid=-1, gid=-1)
    capability = _search_capability() if who.search else -1
    numbers = (os.getpid(), orphan_signal, who.uid, who.gid, capability)
    return [sys.executable, "-I", "-S", __file__, *(str(int(number)) for number in numbers), *argv]


def can_search() -> bool:
    """Whether we may let an account pass through closed folders."""
    return _search_capability() >= 0


def _search_capability() -> int:
    """The weakest capability we may hand on that lets a user pass through closed folders; -1 if there is none."""
    if sys.platform != "linux":
        return -1
    libc = ctypes.CDLL(None)

    def allowed(capability: int) -> bool:
        return libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) == 1

    ours = (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE) if allowed(_CAP_SETPCAP) else ()
    return next(filter(allowed, ours), -1)


def _become(libc: ctypes.CDLL, uid: int, gid: int, capability: int) -> None:
    if capability >= 0:
        _check(libc.prctl(_PR_SET_SECUREBITS, _NO_SETUID_FIXUP, 0, 0, 0))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if capability >= 0:
        _keep_only(libc, capability)


def _keep_only(libc: ctypes.CDLL, capability: int) -> None:
    bit = 1 << capability
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable, each in two halves
    _check(libc.capset(header, sets))
    _check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def _check(answer: int) -> None:
    if answer != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def main(arguments: Sequence[str]) -> None:
    parent, orphan_signal, uid, gid, capability = (int(number) for number in arguments[:5])
    program = list(arguments[5:])
    libc = ctypes.CDLL(None, use_errno=True)
    if uid >= 0:
        _become(libc, uid, gid, capability)
    if sys.platform == "linux":
        # After the change of user, which would have cleared it.
        _check(libc.prctl(_PR_SET_PDEATHSIG, orphan_signal, 0, 0, 0))
        if os.getppid() != parent:
            sys.exit(_LAUNCH_FAILED)  # it died before we could ask to be told
    try:
        os.execv(program[0], program)  # noqa: S606  # no shell is the point
    except OSError as error:
        print(f"cannot start {program[0]}: {error}", file=sys.stderr)  # noqa: T201  # there is nobody else to tell
        sys.exit(_LAUNCH_FAILED)


if __name__ == "__main__":
    main(sys.argv[1:])
