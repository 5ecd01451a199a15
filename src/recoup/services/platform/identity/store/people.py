"""The tables `users` and `memberships`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from recoup.kit.postgres import Postgres
from recoup.kit.postgres import Session as Transaction
from recoup.messages.access import Role
from recoup.services.platform.audit.domain import Action, Actor
from recoup.services.platform.audit.store import AuditLog
from recoup.services.platform.identity.domain import Change, Member, Person


class _Role(Struct, frozen=True):
    store_id: str
    role: Role


class _Member(Struct, frozen=True):
    user_id: UUID
    role: Role


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

    async def change(
        self, store_id: str, user_id: UUID, role: Role | None, within: Collection[Role], actor: Actor, now: datetime
    ) -> Change:
        """Another role, or none; a store keeps an owner. The person is signed out: tokens name the old role."""
        async with self.db.transaction() as writing:
            await writing.row(str, "select id from stores where id = $1 for update", store_id)
            rows = await writing.rows(_Member, "select user_id, role from memberships where store_id = $1", store_id)
            roles = {row.user_id: row.role for row in rows}
            refused = _refused(roles, user_id, role, within)
            if refused is not None:
                return refused
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

    async def note(self, writing: Transaction, user_id: UUID, action: Action, actor: Actor, now: datetime) -> None:
        """Something about a person, in the audit trail of every store they belong to."""
        # In one order: trails are locked until the commit, and two people may share several stores.
        of = "select store_id from memberships where user_id = $1 order by store_id"
        for store_id in await writing.rows(str, of, user_id):
            await self.audit.add(writing, store_id, now, actor, action, str(user_id))

    @staticmethod
    async def set_password(writing: Transaction, user_id: UUID, password_hash: str) -> None:
        await writing.execute("update users set password_hash = $2 where id = $1", user_id, password_hash)

    async def accept(self, writing: Transaction, store_id: str, person: Person, role: Role, now: datetime) -> UUID:
        """Makes whoever has the address a member, and a user first if nobody has it; who it is.

        A member stays what they are.
        """
        await writing.execute(
            "insert into users (id, email, password_hash, created_at) values ($1, $2, $3, $4)"
            " on conflict (email) do nothing",
            person.id, person.email, person.password_hash, now,
        )  # fmt: skip
        await writing.execute(
            "insert into memberships (store_id, user_id, role, created_at)"
            " select $1, id, $3, $4 from users where email = $2 on conflict do nothing",
            store_id, person.email, role, now,
        )  # fmt: skip
        return await writing.row(UUID, "select id from users where email = $1", person.email)


def _refused(roles: Mapping[UUID, Role], user_id: UUID, role: Role | None, within: Collection[Role]) -> Change | None:
    """Why somebody's role stays as it is; None where it does not."""
    if user_id not in roles:
        return Change.NOBODY
    if roles[user_id] not in within or (role is not None and role not in within):
        return Change.TOO_HIGH
    if role is not Role.OWNER and [each for each, held in roles.items() if held is Role.OWNER] == [user_id]:
        return Change.LAST_OWNER
    return None
