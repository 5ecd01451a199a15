"""The tables `second_factors` and `recovery_codes`. Secrets stand there sealed, recovery codes as digests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from msgspec import Struct

from recoup.kit.config import Secret
from recoup.kit.postgres import Postgres
from recoup.kit.postgres import Session as Transaction
from recoup.kit.sealing import Sealer
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.identity.domain import Factor, plain_code
from recoup.services.platform.identity.store.people import People


class _Row(Struct, frozen=True):
    sealed: bytes
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Factors:
    """People's second factors. A code counts once: its time step is written down in the statement that takes it."""

    db: Postgres
    people: People
    sealer: Sealer

    async def find(self, user_id: UUID) -> Factor | None:
        """Raises Unavailable where it was sealed with another key: nobody comes in without it."""
        row = await self.db.find(_Row, "select sealed, confirmed_at from second_factors where user_id = $1", user_id)
        if row is None:
            return None
        secret = self.sealer.open(row.sealed, str(user_id))
        return Factor(user_id=user_id, secret=secret, is_confirmed=row.confirmed_at is not None)

    async def is_confirmed(self, user_id: UUID) -> bool:
        return await self.db.row(
            bool, "select exists (select from second_factors where user_id = $1 and confirmed_at is not null)", user_id
        )

    async def begin(self, user_id: UUID, secret: Secret, actor: Actor, now: datetime) -> bool:
        """Lays a secret down that is not asked for yet; False where one is in force."""
        sealed = self.sealer.seal(secret, str(user_id))
        async with self.db.transaction() as writing:
            touched = await writing.execute(
                "insert into second_factors (user_id, sealed, made_at) values ($1, $2, $3) on conflict (user_id)"
                " do update set sealed = $2, made_at = $3, last_step = 0 where second_factors.confirmed_at is null",
                user_id, sealed, now,
            )  # fmt: skip
            if touched == 1:
                await self.people.note(writing, user_id, "second_factor_begun", actor, now)
            return touched == 1

    async def confirm(self, user_id: UUID, step: int, codes: Sequence[str], actor: Actor, now: datetime) -> bool:
        """From now on it is asked for; False where it was already, or there is none."""
        async with self.db.transaction() as writing:
            touched = await writing.execute(
                "update second_factors set confirmed_at = $3, last_step = $2"
                " where user_id = $1 and confirmed_at is null",
                user_id, step, now,
            )  # fmt: skip
            if touched == 0:
                return False
            await self._give(writing, user_id, codes)
            await self.people.note(writing, user_id, "second_factor_enabled", actor, now)
            return True

    async def take_step(self, user_id: UUID, step: int) -> bool:
        """Whether the code of this time step is good: neither it nor a later one was taken before."""
        touched = await self.db.execute(
            "update second_factors set last_step = $2 where user_id = $1 and last_step < $2", user_id, step
        )
        return touched == 1

    async def take_recovery(self, user_id: UUID, code: str, actor: Actor, now: datetime) -> bool:
        """Whether it is a recovery code that was not used before."""
        async with self.db.transaction() as writing:
            touched = await writing.execute(
                "update recovery_codes set used_at = $3 where user_id = $1 and digest = $2 and used_at is null",
                user_id, _digest(code), now,
            )  # fmt: skip
            if touched == 1:
                await self.people.note(writing, user_id, "recovery_code_used", actor, now)
            return touched == 1

    async def renew(self, user_id: UUID, codes: Sequence[str], actor: Actor, now: datetime) -> None:
        """Other recovery codes instead of all before."""
        async with self.db.transaction() as writing:
            await self._give(writing, user_id, codes)
            await self.people.note(writing, user_id, "recovery_codes_made", actor, now)

    async def end(self, user_id: UUID, actor: Actor, now: datetime) -> None:
        async with self.db.transaction() as writing:
            touched = await writing.execute("delete from second_factors where user_id = $1", user_id)
            if touched == 1:
                await self.people.note(writing, user_id, "second_factor_disabled", actor, now)

    @staticmethod
    async def _give(writing: Transaction, user_id: UUID, codes: Sequence[str]) -> None:
        await writing.execute("delete from recovery_codes where user_id = $1", user_id)
        await writing.execute_many(
            "insert into recovery_codes (user_id, digest) values ($1, $2)",
            [(user_id, _digest(code)) for code in codes],
        )


def _digest(code: str) -> bytes:
    """80 random bits need no slow hash."""
    return sha256(plain_code(code).encode()).digest()
