"""What changes several tables of people at once: a new password and the sign-ins it ends, a place that is taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from recoup.kit.postgres import Postgres
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.identity.domain import Person, Visit
from recoup.services.platform.identity.store.letters import Letters, Open
from recoup.services.platform.identity.store.people import People
from recoup.services.platform.identity.store.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Credentials:
    """Each method is one transaction."""

    db: Postgres
    people: People
    sessions: Sessions
    letters: Letters

    async def change(
        self, user_id: UUID, password_hash: str, spared: UUID, actor: Actor, now: datetime
    ) -> Sequence[UUID]:
        """Another password; every sign-in but one ends. Which ones."""
        async with self.db.transaction() as writing:
            await self.people.set_password(writing, user_id, password_hash)
            await self.people.note(writing, user_id, "password_changed", actor, now)
            return await self.sessions.end_all(writing, user_id, spared, actor, now)

    async def reset(self, token: str, person: Person, actor: Actor, now: datetime) -> Sequence[UUID] | None:
        """The password that `person` carries; every sign-in ends. None where the token is no longer good."""
        async with self.db.transaction() as writing:
            if not await self.letters.take_reset(writing, token, now):
                return None
            await self.people.set_password(writing, person.id, person.password_hash)
            await self.people.note(writing, person.id, "password_reset", actor, now)
            return await self.sessions.end_all(writing, person.id, None, actor, now)

    async def accept(self, invitation: Open, person: Person, visit: Visit, now: datetime) -> bool:
        """Makes `person`, or whoever has their address already, a member; False where the invitation is over."""
        async with self.db.transaction() as writing:
            if not await self.letters.take_invitation(writing, invitation.id, now):
                return False
            user_id = await self.people.accept(writing, invitation.store_id, person, invitation.role, now)
            actor = Actor(str(user_id), visit.address, visit.request_id)
            await self.people.audit.add(
                writing, invitation.store_id, now, actor, "invitation_accepted", person.email,
                {"role": invitation.role},
            )  # fmt: skip
            return True
