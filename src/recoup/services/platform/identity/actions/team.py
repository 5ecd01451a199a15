"""Who is what in a store, and who is invited. Nobody gives a role that may do more than they may."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from recoup.kit.clock import Clock
from recoup.kit.errors import Conflict, Forbidden, Invalid, Missing, Problem, Unauthenticated
from recoup.kit.ids import new_id
from recoup.kit.passwords import Passwords
from recoup.messages.access import Permission, Role
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.identity import domain
from recoup.services.platform.identity.actions.passwords import Rules
from recoup.services.platform.identity.actions.tokens import AccessTokens
from recoup.services.platform.identity.domain import Change, Invitation, Person, Visit
from recoup.services.platform.identity.store.credentials import Credentials
from recoup.services.platform.identity.store.letters import Letters, Open
from recoup.services.platform.identity.store.people import People


class Giver(Struct, frozen=True):
    """Who lets somebody in, and what they may do in that store themselves."""

    actor: Actor
    permissions: Collection[Permission]

    def demand(self, role: Role) -> None:
        """Raises Forbidden for a role that may do more."""
        if role not in domain.givable(self.permissions):
            raise Forbidden(f"the role {role!r} may do more than you may", code=Change.TOO_HIGH)


@dataclass(frozen=True, slots=True)
class Team:
    """Members."""

    people: People
    tokens: AccessTokens
    clock: Clock

    async def change(self, store_id: str, user_id: UUID, role: Role | None, giver: Giver) -> None:
        """Another role, or none any more; signs the person out. Raises Missing, or Conflict for the last owner."""
        within = domain.givable(giver.permissions)
        match await self.people.change(store_id, user_id, role, within, giver.actor, self.clock.now()):
            case Change.NOBODY:
                raise Missing(f"no member {user_id}")
            case Change.LAST_OWNER:
                raise Conflict("a store keeps at least one owner", code=Change.LAST_OWNER)
            case Change.TOO_HIGH:
                raise Forbidden("this role, or the one they have, may do more than you may", code=Change.TOO_HIGH)
            case Change.DONE:
                await self.tokens.learn_ended()


@dataclass(frozen=True, slots=True)
class Invitations:
    """Places that wait: who has the letter may take one."""

    letters: Letters
    credentials: Credentials
    passwords: Passwords
    rules: Rules
    clock: Clock
    lifetime: timedelta

    async def invite(self, store_id: str, email: str, role: Role, giver: Giver) -> Invitation:
        """Raises Conflict for a member; an earlier invitation of theirs ends."""
        giver.demand(role)
        now = self.clock.now()
        made = Invitation(
            id=new_id(), store_id=store_id, email=domain.normalised(email), role=role, made_at=now,
            expires_at=now + self.lifetime,
        )  # fmt: skip
        await self.letters.invite(made, giver.actor)
        return made

    async def read(self, token: str) -> Open:
        """What a letter invites to."""
        found = await self.letters.invited(token, self.clock.now())
        if found is None:
            raise Unauthenticated("this invitation has been used, was taken back or is too old", code="invite_invalid")
        return found

    async def accept(self, token: str, password: str | None, visit: Visit) -> None:
        """Takes the place: with a new password for somebody without an account, else with what they have."""
        invitation = await self.read(token)
        hashed = "" if invitation.has_account else await self._chosen(password, invitation.email)
        person = Person(id=new_id(), email=invitation.email, password_hash=hashed)
        if not await self.credentials.accept(invitation, person, visit, self.clock.now()):
            raise Unauthenticated("this invitation has been used, was taken back or is too old", code="invite_invalid")

    async def _chosen(self, password: str | None, email: str) -> str:
        if password is None:
            problem = Problem(code="password_missing", field="password", detail="a new account needs a password")
            raise Invalid("this invitation makes a new account", code="password_weak", problems=[problem])
        await self.rules.check(password, email)
        return await self.passwords.hash(password)
