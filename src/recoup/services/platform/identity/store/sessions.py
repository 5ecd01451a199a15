"""The tables `refresh_sessions` and `refresh_tokens`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from msgspec import Struct

from recoup.kit.ids import new_id
from recoup.kit.postgres import Postgres
from recoup.kit.postgres import Session as Transaction
from recoup.services.platform.audit.domain import Action, Actor
from recoup.services.platform.audit.store import AuditLog
from recoup.services.platform.identity.domain import Refresh, Session, SignedIn, Visit


class _Token(Struct, frozen=True, kw_only=True):
    session_id: UUID
    user_id: UUID
    used_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime


class _Ended(Struct, frozen=True):
    id: UUID
    ended_at: datetime


def digest(token: str) -> bytes:
    """By which a refresh token is found; 256 random bits need no slow hash."""
    return sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sign-ins and their chains of single-use refresh tokens."""

    db: Postgres
    audit: AuditLog
    lifetime: timedelta

    async def begin(self, user_id: UUID, token: str, visit: Visit, now: datetime) -> Session:
        """A new sign-in whose first refresh token is `token`."""
        session = Session(id=new_id(), user_id=user_id)
        async with self.db.transaction() as writing:
            await writing.execute(
                "insert into refresh_sessions (id, user_id, created_at, last_used_at, expires_at, address, device)"
                " values ($1, $2, $3, $3, $4, $5, $6)",
                session.id, user_id, now, now + self.lifetime, visit.address, visit.device,
            )  # fmt: skip
            await self._chain(writing, session.id, token, now)
            await self._note(
                writing, user_id, "login", Actor(str(user_id), visit.address, visit.request_id), session.id, now
            )
        return session

    async def rotate(self, old: str, new: str, visit: Visit, now: datetime) -> Session | Refresh:
        """Trades a refresh token for the next one. One that was used before ends the sign-in for all who hold it."""
        async with self.db.transaction() as writing:
            token = await writing.find(
                _Token,
                "select session_id, user_id, used_at, ended_at, expires_at from refresh_tokens"
                " join refresh_sessions on refresh_sessions.id = session_id where digest = $1"
                " for update of refresh_sessions, refresh_tokens",
                digest(old),
            )
            if token is None:
                return Refresh.UNKNOWN
            if token.ended_at is not None or token.expires_at <= now:
                return Refresh.ENDED
            if token.used_at is not None:
                await self._end(writing, token.session_id, Refresh.REUSED, now)
                actor = Actor("refresh", visit.address, visit.request_id)
                await self._note(writing, token.user_id, "refresh_reused", actor, token.session_id, now)
                return Refresh.REUSED
            await writing.execute("update refresh_tokens set used_at = $2 where digest = $1", digest(old), now)
            await writing.execute(
                "update refresh_sessions set last_used_at = $2, address = $3, device = $4 where id = $1",
                token.session_id, now, visit.address, visit.device,
            )  # fmt: skip
            await self._chain(writing, token.session_id, new, now)
        return Session(id=token.session_id, user_id=token.user_id)

    async def of_token(self, token: str) -> Session | None:
        """The sign-in a refresh token belongs to, used or not."""
        return await self.db.find(
            Session,
            "select refresh_sessions.id, user_id from refresh_tokens"
            " join refresh_sessions on refresh_sessions.id = session_id where digest = $1",
            digest(token),
        )

    async def of_user(self, user_id: UUID, now: datetime) -> Sequence[SignedIn]:
        """Those that go on, the one used last first."""
        return await self.db.rows(
            SignedIn,
            "select id, created_at, last_used_at, expires_at, address, device from refresh_sessions"
            " where user_id = $1 and ended_at is null and expires_at > $2 order by last_used_at desc, id limit 1000",
            user_id, now,
        )  # fmt: skip

    async def end(self, session_id: UUID, actor: Actor, now: datetime) -> None:
        """Signs out; a second time changes nothing."""
        async with self.db.transaction() as writing:
            user_id = await self._end(writing, session_id, "logout", now)
            if user_id is not None:
                await self._note(writing, user_id, "logout", actor, session_id, now)

    async def revoke(self, user_id: UUID, session_id: UUID, actor: Actor, now: datetime) -> bool:
        """Ends a sign-in of one's own; whether there was one."""
        async with self.db.transaction() as writing:
            own = await writing.find(
                UUID,
                "select id from refresh_sessions where id = $1 and user_id = $2 and ended_at is null for update",
                session_id, user_id,
            )  # fmt: skip
            if own is None:
                return False
            await self._end(writing, session_id, "revoked", now)
            await self._note(writing, user_id, "session_ended", actor, session_id, now)
            return True

    async def revoke_all(self, user_id: UUID, spared: UUID | None, actor: Actor, now: datetime) -> Sequence[UUID]:
        """Ends all sign-ins of somebody, or all but one; which ones."""
        async with self.db.transaction() as writing:
            return await self.end_all(writing, user_id, spared, actor, now)

    async def end_all(
        self, writing: Transaction, user_id: UUID, spared: UUID | None, actor: Actor, now: datetime
    ) -> Sequence[UUID]:  # fmt: skip
        """The same, inside a transaction that does more."""
        ended = await writing.rows(
            UUID,
            "update refresh_sessions set ended_at = $3, ended_because = 'revoked'"
            " where user_id = $1 and ended_at is null and id is distinct from $2::uuid returning id",
            user_id, spared, now,
        )  # fmt: skip
        for session_id in ended:
            await self._note(writing, user_id, "session_ended", actor, session_id, now)
        return ended

    async def ended_since(self, moment: datetime) -> Mapping[str, datetime]:
        """Sign-ins that were ended, so that their access tokens open nothing any more, and when."""
        rows = await self.db.rows(_Ended, "select id, ended_at from refresh_sessions where ended_at >= $1", moment)
        return {str(row.id): row.ended_at for row in rows}

    async def forget(self, before: datetime) -> int:
        """Deletes sign-ins that were over before a time, with their tokens; how many."""
        return await self.db.execute("delete from refresh_sessions where least(ended_at, expires_at) < $1", before)

    @staticmethod
    async def _chain(writing: Transaction, session_id: UUID, token: str, now: datetime) -> None:
        await writing.execute(
            "insert into refresh_tokens (digest, session_id, made_at) values ($1, $2, $3)",
            digest(token), session_id, now,
        )  # fmt: skip

    @staticmethod
    async def _end(writing: Transaction, session_id: UUID, why: str, now: datetime) -> UUID | None:
        return await writing.find(
            UUID,
            "update refresh_sessions set ended_at = $2, ended_because = $3 where id = $1 and ended_at is null"
            " returning user_id",
            session_id, now, why,
        )  # fmt: skip

    async def _note(
        self, writing: Transaction, user_id: UUID, action: Action, actor: Actor, session_id: UUID, now: datetime
    ) -> None:
        # In one order: trails are locked until the commit, and two people may share several stores.
        of = "select store_id from memberships where user_id = $1 order by store_id"
        for store_id in await writing.rows(str, of, user_id):
            await self.audit.add(writing, store_id, now, actor, action, str(session_id))
