"""How processes share the cores: what the kernel was told is what it says, of them and of what they start."""

import os
import platform
import subprocess
import sys
from typing import Final

import pytest

from recoup.kit.niceness import SHORT_TURN_NS

_SCHED_GETATTR: Final = {"x86_64": 315, "aarch64": 275}
ASK: Final = """
import asyncio, ctypes, subprocess, sys
from recoup.kit.niceness import step_back, take_short_turns
{act}
subprocess.run([sys.executable, "-I", "-S", "-c", {look!r}], check=True)
"""
LOOK: Final = """
import ctypes
said = (ctypes.c_uint64 * 6)()
assert ctypes.CDLL(None).syscall({call}, 0, said, 48, 0) == 0
print(ctypes.c_int32(said[2] & 0xFFFFFFFF).value, said[3])
"""


def _kernel() -> tuple[int, int]:
    major, minor, *_ = platform.release().split(".")
    return int(major), int(minor)


pytestmark = pytest.mark.skipif(
    platform.machine() not in _SCHED_GETATTR or _kernel() < (6, 12), reason="needs a Linux that knows of turns (6.12)"
)


def told(act: str) -> list[int]:
    """Niceness and turn (ns) of what a process starts after it has done so."""
    look = LOOK.format(call=_SCHED_GETATTR[platform.machine()])
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(act=act, look=look)],
        check=True, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    return [int(word) for word in done.stdout.split()]


def test_who_answers_and_what_it_starts_takes_short_turns() -> None:
    assert told("take_short_turns()") == [os.nice(0), SHORT_TURN_NS]


def test_who_steps_back_takes_ordinary_turns_again() -> None:
    _, usual = told("")
    assert told("take_short_turns(); asyncio.run(step_back(7))") == [min(os.nice(0) + 7, 19), usual]
