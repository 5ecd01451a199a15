"""Passwords: Argon2id, away from the event loop and few at a time. Never says whether an account exists.

Each hash takes 64 MiB and some 50 ms of a core, so no more than two run at once; the rest wait their turn.
"""

import asyncio
from dataclasses import dataclass, field

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

AT_ONCE = 2


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
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether it is the password; without a hash it takes as long and says no."""
        same = await self._check(password, self._nobody if hashed is None else hashed)
        return same and hashed is not None

    async def _check(self, password: str, hashed: str) -> bool:
        async with self._turns:
            try:
                return await asyncio.to_thread(self._hasher.verify, hashed, password)
            except (Argon2Error, InvalidHashError):
                return False
