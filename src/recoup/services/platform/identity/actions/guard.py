"""How often somebody may try. Each is counted before anything is looked up, whether or not there is any account."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from recoup.kit.errors import TooMany
from recoup.services.platform.identity.domain import neighbourhood
from recoup.services.platform.identity.store.attempts import WINDOW, Attempts


@dataclass(frozen=True, slots=True)
class Limits:
    """How many attempts are borne in five minutes."""

    per_account_and_address: int
    per_account: int
    per_address: int
    codes: int
    letters: int


@dataclass(frozen=True, slots=True)
class Guard:
    """Raises TooMany, or Unavailable while nobody can count."""

    attempts: Attempts
    limits: Limits

    async def sign_in(self, account: str, address: str) -> None:
        """One more attempt to sign in."""
        pair, others = _identifiers(account, address)
        allowed = (self.limits.per_account_and_address, self.limits.per_account, self.limits.per_address)
        await self._bear(dict(zip((pair, *others), allowed, strict=True)))

    async def signed_in(self, account: str, address: str) -> None:
        """The last attempt was good: it is not held against anybody."""
        pair, others = _identifiers(account, address)
        await self.attempts.forgive(pair, others)

    async def proof(self, user_id: UUID) -> None:
        """One more attempt of somebody signed in to prove it with password or code."""
        await self._bear({f"proof\x1f{user_id}": self.limits.codes})

    async def proved(self, user_id: UUID) -> None:
        await self.attempts.forgive(f"proof\x1f{user_id}", ())

    async def letter(self, account: str, address: str) -> None:
        """One more letter for somebody."""
        await self._bear(
            {
                f"letter\x1f{account}": self.limits.letters,
                f"letters from\x1f{neighbourhood(address)}": self.limits.per_address,
            }
        )

    async def _bear(self, allowed: Mapping[str, int]) -> None:
        counts = await self.attempts.count(list(allowed))
        if any(count > limit for count, limit in zip(counts, allowed.values(), strict=True)):
            raise TooMany("too many attempts; wait a little", retry_after=WINDOW, code="login_limited")


def _identifiers(account: str, address: str) -> tuple[str, tuple[str, str]]:
    where = neighbourhood(address)
    return f"login\x1f{account}\x1f{where}", (f"login of\x1f{account}", f"login from\x1f{where}")
