"""From a password to tokens, from a refresh token to the next pair, and out again."""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from recoup.kit.clock import Clock
from recoup.kit.errors import Missing, Unauthenticated
from recoup.kit.passwords import Passwords
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.identity import domain
from recoup.services.platform.identity.actions.factors import SecondFactor
from recoup.services.platform.identity.actions.guard import Guard
from recoup.services.platform.identity.actions.tokens import AccessTokens
from recoup.services.platform.identity.domain import Person, Refresh, Session, Visit
from recoup.services.platform.identity.store.people import People
from recoup.services.platform.identity.store.sessions import Sessions


class Tokens(Struct, frozen=True, kw_only=True):
    """A fresh pair. The refresh token can be used once; using it again ends the sign-in."""

    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds until the access token expires."""
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme, not a secret


class Which(StrEnum):
    """Of one's own sign-ins."""

    OTHERS = "others"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class SignIn:
    """Sign-ins begin, go on and end here."""

    people: People
    sessions: Sessions
    tokens: AccessTokens
    factor: SecondFactor
    passwords: Passwords
    guard: Guard
    clock: Clock

    async def login(self, email: str, password: str, code: str | None, visit: Visit) -> Tokens:
        """Raises Unauthenticated in the same words and after the same work, whether or not there is such an account."""
        account = domain.normalised(email)
        await self.guard.sign_in(account, visit.address)
        person = await self.people.named(account)
        if not await self.passwords.matches(password, person.password_hash if person else None) or person is None:
            raise Unauthenticated("e-mail or password is wrong", code="login_failed")
        await self._second(person, code, visit)
        await self.guard.signed_in(account, visit.address)
        return await self._begin(person, visit)

    async def refresh(self, refresh_token: str, visit: Visit) -> Tokens:
        """The next pair; raises Unauthenticated, and ends the sign-in when the token was used before."""
        new = secrets.token_urlsafe(32)
        outcome = await self.sessions.rotate(refresh_token, new, visit, self.clock.now())
        if isinstance(outcome, Refresh):
            await self.tokens.learn_ended()
            raise Unauthenticated("this refresh token is not in force: sign in again", code=outcome.value)
        return await self._pair(outcome, new)

    async def logout(self, session_id: UUID, actor: Actor) -> None:
        await self.sessions.end(session_id, actor, self.clock.now())
        self.tokens.end([session_id])

    async def revoke(self, user_id: UUID, session_id: UUID, actor: Actor) -> None:
        """Ends one sign-in of one's own; raises Missing where there is none."""
        if not await self.sessions.revoke(user_id, session_id, actor, self.clock.now()):
            raise Missing(f"no sign-in {session_id} goes on")
        self.tokens.end([session_id])

    async def revoke_all(self, user_id: UUID, current: UUID, which: Which, actor: Actor) -> None:
        """Ends one's sign-ins everywhere, here too or not."""
        spared = current if which is Which.OTHERS else None
        self.tokens.end(await self.sessions.revoke_all(user_id, spared, actor, self.clock.now()))

    async def _second(self, person: Person, code: str | None, visit: Visit) -> None:
        """Asks for the second factor where there is one. Only who knows the password learns that there is."""
        factor = await self.factor.in_force(person.id)
        if factor is None:
            return
        if not code:
            raise Unauthenticated("a code of the second factor is needed too", code="second_factor_required")
        await self.guard.proof(person.id)
        if not await self.factor.takes(factor, code, Actor(str(person.id), visit.address, visit.request_id)):
            raise Unauthenticated("this code is not the one of now", code="second_factor_wrong")
        await self.guard.proved(person.id)

    async def _begin(self, person: Person, visit: Visit) -> Tokens:
        token = secrets.token_urlsafe(32)
        return await self._pair(await self.sessions.begin(person.id, token, visit, self.clock.now()), token)

    async def _pair(self, session: Session, refresh_token: str) -> Tokens:
        access = self.tokens.sign(session, await self.people.roles(session.user_id))
        seconds = int(self.tokens.lifetime.total_seconds())
        return Tokens(access_token=access, refresh_token=refresh_token, expires_in=seconds)
