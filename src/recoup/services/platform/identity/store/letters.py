"""The tables `letters_due`, `password_resets` and `invitations`: what people are sent by e-mail, and what it opens.

A letter's token is made when the letter is written, and kept as a digest alone. So asking leaves the same row behind
and takes the same time whether or not there is such an account.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from msgspec import Struct

from recoup.kit.errors import Conflict, Missing
from recoup.kit.ids import new_id
from recoup.kit.postgres import Postgres
from recoup.kit.postgres import Session as Transaction
from recoup.messages.access import Role
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.audit.store import AuditLog
from recoup.services.platform.identity.domain import Due, Invitation, Person


class Open(Struct, frozen=True, kw_only=True):
    """An invitation whose token somebody holds."""

    id: UUID
    store_id: str
    store: str
    email: str
    role: Role
    has_account: bool


@dataclass(frozen=True, slots=True)
class Letters:
    """What is to be sent, and what was."""

    db: Postgres
    audit: AuditLog

    async def ask_reset(self, email: str, now: datetime) -> None:
        """Wants a letter with which a password can be set, for whoever has this address, if anybody."""
        async with self.db.transaction() as writing:
            await _post(writing, email, None, now)

    async def claim(self, now: datetime, again_at: datetime, limit: int) -> Sequence[Due]:
        """Letters to be written now; those that are not struck off by `again_at` come again."""
        return await self.db.rows(
            Due,
            "with due as (update letters_due set due_at = $2, attempts = attempts + 1 where id in"
            " (select id from letters_due where due_at <= $1 order by due_at limit $3 for update skip locked)"
            " returning id, email, invitation_id, asked_at)"
            " select due.id, due.email, invitation_id, asked_at, stores.name as store, invitations.role,"
            " invitations.expires_at from due left join invitations on invitations.id = invitation_id"
            " left join stores on stores.id = invitations.store_id order by asked_at",
            now, again_at, limit,
        )  # fmt: skip

    async def strike(self, letter_id: UUID) -> None:
        """It was sent, or never will be."""
        await self.db.execute("delete from letters_due where id = $1", letter_id)

    async def open_reset(self, email: str, token: str, expires_at: datetime) -> bool:
        """Lets this token set the password of whoever has the address, instead of earlier ones; whether anybody has."""
        touched = await self.db.execute(
            "insert into password_resets (user_id, digest, expires_at) select id, $2, $3 from users where email = $1"
            " on conflict (user_id) do update set digest = $2, expires_at = $3",
            email, _digest(token), expires_at,
        )  # fmt: skip
        return touched == 1

    async def reset_of(self, token: str, now: datetime) -> Person | None:
        """Whose password a token may set."""
        return await self.db.find(
            Person,
            "select id, email, password_hash from users join password_resets on user_id = id"
            " where digest = $1 and expires_at > $2",
            _digest(token), now,
        )  # fmt: skip

    @staticmethod
    async def take_reset(writing: Transaction, token: str, now: datetime) -> bool:
        """Uses the token up, inside the transaction that sets the password; whether it was good."""
        touched = await writing.execute(
            "delete from password_resets where digest = $1 and expires_at > $2", _digest(token), now
        )
        return touched == 1

    async def invite(self, made: Invitation, actor: Actor) -> None:
        """Wants a letter with an invitation; raises Conflict for a member. An earlier one that is open ends."""
        async with self.db.transaction() as writing:
            member = await writing.find(
                bool,
                "select true from memberships join users on users.id = user_id where store_id = $1 and email = $2",
                made.store_id, made.email,
            )  # fmt: skip
            if member is not None:
                raise Conflict(f"{made.email} is a member already")
            await writing.execute(
                "update invitations set revoked_at = $3 where store_id = $1 and email = $2"
                " and accepted_at is null and revoked_at is null",
                made.store_id, made.email, made.made_at,
            )  # fmt: skip
            await writing.execute(
                "insert into invitations (id, store_id, email, role, made_at, made_by, expires_at)"
                " values ($1, $2, $3, $4, $5, $6, $7)",
                made.id, made.store_id, made.email, made.role, made.made_at, actor.subject, made.expires_at,
            )  # fmt: skip
            await _post(writing, made.email, made.id, made.made_at)
            detail = {"role": made.role}
            await self.audit.add(writing, made.store_id, made.made_at, actor, "member_invited", made.email, detail)

    async def invitations(self, store_id: str, now: datetime, before: UUID | None, limit: int) -> Sequence[Invitation]:
        """Those somebody may still accept, the newest first."""
        return await self.db.rows(
            Invitation,
            "select id, store_id, email, role, made_at, expires_at from invitations where store_id = $1"
            " and accepted_at is null and revoked_at is null and expires_at > $2 and ($3::uuid is null or id < $3)"
            " order by id desc limit $4",
            store_id, now, before, limit,
        )  # fmt: skip

    async def revoke(self, store_id: str, invitation_id: UUID, actor: Actor, now: datetime) -> None:
        """Raises Missing where there is none to be accepted."""
        async with self.db.transaction() as writing:
            email = await writing.find(
                str,
                "update invitations set revoked_at = $3 where store_id = $1 and id = $2"
                " and accepted_at is null and revoked_at is null and expires_at > $3 returning email",
                store_id, invitation_id, now,
            )  # fmt: skip
            if email is None:
                raise Missing(f"no open invitation {invitation_id}")
            await self.audit.add(writing, store_id, now, actor, "invitation_revoked", email)

    async def open_invitation(self, invitation_id: UUID, token: str, now: datetime) -> bool:
        """Lets this token accept the invitation, instead of tokens before; False where it is over."""
        touched = await self.db.execute(
            "update invitations set digest = $2 where id = $1"
            " and accepted_at is null and revoked_at is null and expires_at > $3",
            invitation_id, _digest(token), now,
        )  # fmt: skip
        return touched == 1

    async def invited(self, token: str, now: datetime) -> Open | None:
        """What a token invites to."""
        return await self.db.find(
            Open,
            "select invitations.id, store_id, stores.name as store, invitations.email, role,"
            " exists (select from users where users.email = invitations.email) as has_account"
            " from invitations join stores on stores.id = store_id"
            " where digest = $1 and accepted_at is null and revoked_at is null and expires_at > $2",
            _digest(token), now,
        )  # fmt: skip

    @staticmethod
    async def take_invitation(writing: Transaction, invitation_id: UUID, now: datetime) -> bool:
        """Uses an invitation up, inside the transaction that lets somebody in; whether it was good."""
        touched = await writing.execute(
            "update invitations set accepted_at = $2 where id = $1"
            " and accepted_at is null and revoked_at is null and expires_at > $2",
            invitation_id, now,
        )  # fmt: skip
        return touched == 1


async def _post(writing: Transaction, email: str, invitation_id: UUID | None, now: datetime) -> None:
    await writing.execute(
        "insert into letters_due (id, email, invitation_id, asked_at, due_at) values ($1, $2, $3, $4, $4)",
        new_id(), email, invitation_id, now,
    )  # fmt: skip


def _digest(token: str) -> bytes:
    """256 random bits need no slow hash."""
    return sha256(token.encode()).digest()
