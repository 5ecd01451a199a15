"""Passwords: Argon2id, away from the event loop and few at a time. Never says whether an account exists.

Each hash takes 64 MiB and some 50 ms of a core, so no more than two run at once; the rest wait their turn. How a
password is spelled in Unicode makes no difference (NFKC). How easily one is guessed is judged by zxcvbn (MIT), which
has 30,000 common passwords, names and words inside (from public breaches and Wikipedia) and sees through the usual
changes to them.
"""

import asyncio
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

AT_ONCE = 2
JUDGED_SIGNS: Final = 72
"""So much of a password is judged; the time that takes grows with the square of its length."""
GOOD_SCORE: Final = 3
"""At least 10^8 guesses, of zxcvbn's scores from 0 to 4."""


@dataclass(slots=True)
class Passwords:
    """Hashes and checks."""

    _hasher: PasswordHasher = field(default_factory=PasswordHasher)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _nobody: str = ""

    async def prepare(self) -> None:
        """Makes the hash that unknown accounts are compared with."""
        self._nobody = await self.hash("nobody's")

    async def hash(self, password: str) -> str:
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, _spelled(password))

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether it is the password; without a hash it takes as long and says no."""
        same = await self._check(password, self._nobody if hashed is None else hashed)
        return same and hashed is not None

    async def is_common(self, password: str, hints: Sequence[str]) -> bool:
        """Whether it is guessed too soon by somebody who knows common passwords and these words."""
        async with self._turns:
            return await asyncio.to_thread(_is_common, _spelled(password), list(hints))

    async def _check(self, password: str, hashed: str) -> bool:
        async with self._turns:
            try:
                return await asyncio.to_thread(self._hasher.verify, hashed, _spelled(password))
            except (Argon2Error, InvalidHashError):
                return False


def _is_common(password: str, hints: list[str]) -> bool:
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its lists take 15 MB, which only those who choose a password need

    return int(zxcvbn(password[:JUDGED_SIGNS], hints)["score"]) < GOOD_SCORE


def _spelled(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
