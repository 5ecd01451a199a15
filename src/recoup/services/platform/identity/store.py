"""Tables of people and sign-ins, and the count of failed attempts in Valkey."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from msgspec import Struct

from recoup.kit.config import Secret, new_secret
from recoup.kit.errors import Conflict
from recoup.kit.ids import new_id
from recoup.kit.postgres import Postgres
from recoup.kit.postgres import Session as Transaction
from recoup.kit.valkey import Valkey, settled
from recoup.messages.access import Role
from recoup.messages.keys import RATE_LIMIT
from recoup.services.platform.audit.domain import Action, Actor
from recoup.services.platform.audit.store import AuditLog
from recoup.services.platform.identity.domain import Change, Member, Person, Refresh, Session

WINDOW: Final = RATE_LIMIT.lifetime or timedelta(minutes=5)


class _Role(Struct, frozen=True):
    store_id: str
    role: Role


class _Member(Struct, frozen=True):
    user_id: UUID
    role: Role


class _Token(Struct, frozen=True, kw_only=True):
    session_id: UUID
    user_id: UUID
    used_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime


def digest(token: str) -> bytes:
    """By which a refresh token is found; 256 random bits need no slow hash."""
    return sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class People:
    """Users and their memberships."""

    db: Postgres
    audit: AuditLog

    async def named(self, email: str) -> Person | None:
        return await self.db.find(Person, "select id, email, password_hash from users where email = $1", email)

    async def find(self, user_id: UUID) -> Person | None:
        return await self.db.find(Person, "select id, email, password_hash from users where id = $1", user_id)

    async def roles(self, user_id: UUID) -> Mapping[str, Role]:
        """What a person is, by store."""
        rows = await self.db.rows(
            _Role, "select store_id, role from memberships where user_id = $1 order by store_id", user_id
        )
        return {row.store_id: row.role for row in rows}

    async def any(self, session: Transaction) -> bool:
        """Whether there is anybody yet."""
        return await session.row(bool, "select exists (select from users)")

    async def add(self, session: Transaction, person: Person, now: datetime) -> None:
        await session.execute(
            "insert into users (id, email, password_hash, created_at) values ($1, $2, $3, $4)",
            person.id, person.email, person.password_hash, now,
        )  # fmt: skip

    async def members(self, store_id: str) -> Sequence[Member]:
        """Everybody of a store."""
        return await self.db.rows(
            Member,
            "select users.id, email, role, memberships.created_at from memberships join users on users.id = user_id"
            " where store_id = $1 order by users.id",
            store_id,
        )

    async def join(self, store_id: str, person: Person, role: Role, actor: Actor, now: datetime) -> bool:
        """Makes somebody a member, and a user first if the address is new; whether it was."""
        async with self.db.transaction() as writing:
            new = await writing.execute(
                "insert into users (id, email, password_hash, created_at) values ($1, $2, $3, $4)"
                " on conflict (email) do nothing",
                person.id, person.email, person.password_hash, now,
            )  # fmt: skip
            joined = await writing.execute(
                "insert into memberships (store_id, user_id, role, created_at)"
                " select $1, id, $3, $4 from users where email = $2 on conflict do nothing",
                store_id, person.email, role, now,
            )  # fmt: skip
            if joined == 0:
                raise Conflict(f"{person.email} is a member already")
            await self.audit.add(writing, store_id, now, actor, "member_added", person.email, {"role": role})
            return new == 1

    async def change(self, store_id: str, user_id: UUID, role: Role | None, actor: Actor, now: datetime) -> Change:
        """Another role, or none; a store keeps an owner. The person is signed out: tokens name the old role."""
        async with self.db.transaction() as writing:
            await writing.row(str, "select id from stores where id = $1 for update", store_id)
            roles = await writing.rows(_Member, "select user_id, role from memberships where store_id = $1", store_id)
            if user_id not in {member.user_id for member in roles}:
                return Change.NOBODY
            if role is not Role.OWNER and {member.user_id for member in roles if member.role is Role.OWNER} == {
                user_id
            }:
                return Change.LAST_OWNER
            await self._replace(writing, store_id, user_id, role)
            await writing.execute(
                "update refresh_sessions set ended_at = $2, ended_because = 'member_changed'"
                " where user_id = $1 and ended_at is null",
                user_id, now,
            )  # fmt: skip
            action: Action = "member_removed" if role is None else "member_changed"
            detail = {"role": role} if role is not None else {}
            await self.audit.add(writing, store_id, now, actor, action, str(user_id), detail)
            return Change.DONE

    @staticmethod
    async def _replace(writing: Transaction, store_id: str, user_id: UUID, role: Role | None) -> None:
        if role is None:
            await writing.execute("delete from memberships where store_id = $1 and user_id = $2", store_id, user_id)
            return
        await writing.execute(
            "update memberships set role = $3 where store_id = $1 and user_id = $2", store_id, user_id, role
        )

    async def signing_seed(self, now: datetime) -> Secret:
        """The seed of the key that signs access tokens; made the first time anyone asks."""
        async with self.db.transaction() as session:
            await session.execute("select pg_advisory_xact_lock(hashtext('recoup-signing-key'))")
            seed = await session.find(str, "select seed from signing_keys order by id desc limit 1")
            if seed is not None:
                return Secret(seed)
            made = new_secret()
            await session.execute(
                "insert into signing_keys (id, seed, created_at) values ($1, $2, $3)", new_id(), made.reveal(), now
            )
            return made


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sign-ins and their chains of single-use refresh tokens."""

    db: Postgres
    audit: AuditLog
    lifetime: timedelta

    async def begin(self, user_id: UUID, token: str, actor: Actor, now: datetime) -> Session:
        """A new sign-in whose first refresh token is `token`."""
        session = Session(id=new_id(), user_id=user_id)
        async with self.db.transaction() as writing:
            await writing.execute(
                "insert into refresh_sessions (id, user_id, created_at, expires_at) values ($1, $2, $3, $4)",
                session.id, user_id, now, now + self.lifetime,
            )  # fmt: skip
            await self._chain(writing, session.id, token, now)
            await self._note(writing, user_id, "login", actor, session.id, now)
        return session

    async def rotate(self, old: str, new: str, actor: Actor, now: datetime) -> Session | Refresh:
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
                await self._note(writing, token.user_id, "refresh_reused", actor, token.session_id, now)
                return Refresh.REUSED
            await writing.execute("update refresh_tokens set used_at = $2 where digest = $1", digest(old), now)
            await self._chain(writing, token.session_id, new, now)
            return Session(id=token.session_id, user_id=token.user_id)

    async def of_token(self, token: str) -> UUID | None:
        """The sign-in a refresh token belongs to, used or not."""
        return await self.db.find(UUID, "select session_id from refresh_tokens where digest = $1", digest(token))

    async def end(self, session_id: UUID, actor: Actor, now: datetime) -> None:
        """Signs out; a second time changes nothing."""
        async with self.db.transaction() as writing:
            user_id = await self._end(writing, session_id, "logout", now)
            if user_id is not None:
                await self._note(writing, user_id, "logout", actor, session_id, now)

    async def ended_since(self, moment: datetime) -> Sequence[str]:
        """Sign-ins that were ended, so that their access tokens open nothing any more."""
        return await self.db.rows(str, "select id::text from refresh_sessions where ended_at >= $1", moment)

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
        for store_id in await writing.rows(str, "select store_id from memberships where user_id = $1", user_id):
            await self.audit.add(writing, store_id, now, actor, action, str(session_id))


@dataclass(frozen=True, slots=True)
class Attempts:
    """Failed sign-ins of the last five minutes. Raises Unavailable when Valkey is away: nobody may guess uncounted."""

    valkey: Valkey

    async def count(self, *identifiers: str) -> Sequence[int]:
        """Counts one more attempt for each and says how many there are now."""
        pipeline = self.valkey.pipeline(transaction=True)
        for identifier in identifiers:
            pipeline.incr(self._key(identifier))
            pipeline.expire(self._key(identifier), WINDOW, nx=True)
        answers = await settled(pipeline.execute())
        return [int(answer) for answer in answers[::2]]

    async def forgive(self, account: str, address: str) -> None:
        """After a success: the account starts afresh, and the address has not failed."""
        pipeline = self.valkey.pipeline(transaction=True)
        pipeline.delete(self._key(account))
        pipeline.decr(self._key(address))
        await settled(pipeline.execute())

    @staticmethod
    def _key(identifier: str) -> str:
        """Hashed, so that nobody's address stands in a key, and none can be longer than a key should be."""
        return RATE_LIMIT.key(identifier=f"login:{sha256(identifier.encode()).hexdigest()}")
